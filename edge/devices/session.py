"""The host's side of a device: its facts, files that are sent, jobs for the agent and the agent's events.

A connection that is cut is opened again.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from edge import agent
from edge.devices import facts
from edge.devices import job as jobs
from edge.devices.adb import Adb
from edge.devices.app import App
from edge.devices.base import ConnectionCut, Device, Unreachable
from edge.devices.events import MOST, Event, parse
from edge.devices.python import python_of
from edge.dist import Artefact
from edge.evaluate.timings import Facts, Mode, Role
from pose.card import Card, digest
from pose.errors import BackendError
from pose.files import atomic_file, sha256
from targets.base import SPECS

Result = TypeVar("Result")

AGENT = Path(agent.__file__)
ATTEMPTS, PAUSE = 3, 2.0  # of an action that a cut connection ended, and seconds before the next attempt


@dataclass(frozen=True)
class Plan:
    """What is measured, on every device alike.

    Attributes:
        artefacts: the float twin and the artefact, or a float artefact alone.
        runs, seconds: at least so many inferences and seconds of each.
        timeout: seconds for one job; None estimates it from the first inference.
    """

    artefacts: dict[Role, Artefact]
    mode: Mode
    runs: int
    seconds: float
    threads: int = 1
    affinity: tuple[int, ...] = ()
    timeout: float | None = None


@dataclass
class Session:
    """A device and what is known about it.

    Attributes:
        stopped: whether to give up; called at every event.
        facts: before anything ran, once `open` has read them.
    """

    device: Device
    threads: int = 1
    affinity: tuple[int, ...] = ()
    stopped: Callable[[], bool] = lambda: False
    facts: Facts = field(default_factory=Facts)
    is_open: bool = False
    _command: list[str] = field(default_factory=list)

    def open(self) -> None:
        """Read the facts.

        Raises:
            DeviceFailure: the device cannot be reached.
        """
        self.facts = self.retry(lambda: facts.read(self.device))
        self.is_open = True

    def push(self, name: str, artefact: Path, card: Card) -> agent.ArtefactJob:
        """Send an artefact; returns its description for jobs."""
        with tempfile.TemporaryDirectory() as folder:
            file = jobs.runnable_file(artefact, card, self.facts.architecture, Path(folder))
            if file is not artefact and self.device.here:  # nothing is copied to this machine, and the folder is removed
                kept = Path(self.device.folder) / sha256(file)[:16] / file.name
                kept.parent.mkdir(parents=True, exist_ok=True)
                with atomic_file(kept) as temporary:  # another command may have it open
                    shutil.copyfile(file, temporary)
                file = kept
            remote = self.retry(lambda: self.device.push(file, digest(file)))
            return jobs.artefact_job(name, file, remote, card)

    def run(self, job: agent.Job, timeout: float) -> Iterator[Event]:
        """Events of one job of the agent.

        Raises:
            BackendError: the agent reported an error, or ended without a result; or as `Device.run`.
        """
        lines = self._lines({**job, "threads": self.threads, "affinity": list(self.affinity)}, timeout)
        last: Event = {}
        count = 0
        try:
            for line in lines:
                if self.stopped():
                    raise BackendError(f"{self.device.name}: interrupted")
                event = self._event(line)
                if event is None:
                    continue
                last, count = event, count + 1
                if count > MOST:
                    raise BackendError(f"{self.device.name}: more than {MOST} events, which the agent never sends")
                if event["event"] == "error":
                    raise BackendError(f"{self.device.name}: {event['message']}{self._hint(event['kind'], job)}")
                yield event
        finally:
            if isinstance(lines, Generator):
                lines.close()  # ends the agent, if it still runs
        if last.get("event") != "result":
            raise BackendError(f"{self.device.name}: the agent ended without a result; run it again")

    @property
    def app(self) -> App | None:
        """The app that runs the jobs there; None where Python does."""
        device = self.device
        return self.retry(lambda: device.app) if isinstance(device, Adb) else None

    def _lines(self, job: agent.Job, timeout: float) -> Iterator[str]:
        """What the agent prints for a job: the app, or Python with edge/agent.py."""
        if app := self.app:
            return app.run(job, timeout)
        if not self._command:
            python = self.retry(lambda: python_of(self.device))
            self._command = [python.path, self.retry(lambda: self.device.push(AGENT, sha256(AGENT)))]
        return self.device.run(self._command, stdin=json.dumps(job).encode(), timeout=timeout)

    def _event(self, line: str) -> Event | None:
        try:
            return parse(line)
        except BackendError as error:
            raise BackendError(f"{self.device.name}: {error}") from error

    def _hint(self, kind: str, job: agent.Job) -> str:
        """How to install a runtime that the agent did not find."""
        if kind != "runtime" or self.app:
            return ""
        runtimes = [artefact["runtime"] for artefact in job["artefacts"]]
        spec = next((spec for spec in SPECS.values() if spec.runtime in runtimes), None)
        return f"; {spec.install_hint()}" if self.device.here and spec else "; install it there with --setup"

    def retry(self, action: Callable[[], Result]) -> Result:
        """The action's result, with `ATTEMPTS` attempts when the connection is cut; a device out of reach gets only one."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return action()
            except ConnectionCut:
                if attempt == ATTEMPTS:
                    raise
            except Unreachable:
                if attempt in (1, ATTEMPTS):
                    raise
            time.sleep(PAUSE * attempt)
        raise AssertionError
