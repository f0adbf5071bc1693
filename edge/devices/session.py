"""The host's side of a device: its facts, files that are sent there, jobs for the agent and what it says.

A connection that is cut is made again.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

from edge import agent, facts
from edge.devices import job as jobs
from edge.devices.base import ConnectionCut, Device, Unreachable
from edge.devices.python import python_of
from pose.card import Card, digest
from pose.errors import BackendError
from pose.files import sha256, whole

Result = TypeVar("Result")
Mode = Literal["quick", "rigorous", "sustained"]

AGENT = Path(agent.__file__)
ATTEMPTS, PAUSE = 3, 2.0  # of what a cut connection ended, and seconds before the next


@dataclass(frozen=True)
class Plan:
    """What is measured, on every device alike.

    Attributes:
        artefacts: fp32 and int8 -> file.
        runs, seconds: inferences of each at least, and seconds of each at least.
        timeout: seconds for one job; None reckons it from the first inference.
    """

    artefacts: dict[str, Path]
    mode: Mode
    runs: int
    seconds: float
    threads: int = 1
    affinity: tuple[int, ...] = ()
    timeout: float | None = None


@dataclass
class Session:
    """A device and what is known of it.

    Attributes:
        stopped: whether to give up, asked at every event.
        facts: before anything ran.
    """

    device: Device
    threads: int = 1
    affinity: tuple[int, ...] = ()
    stopped: Callable[[], bool] = lambda: False
    facts: dict[str, Any] = field(default_factory=dict)
    _command: list[str] = field(default_factory=list)

    def open(self) -> None:
        """Read the facts.

        Raises:
            DeviceFailure: the device cannot be reached.
        """
        self.facts = self.again(lambda: facts.read(self.device))

    def push(self, name: str, artefact: Path, card: Card) -> dict[str, Any]:
        """Send an artefact; returns what the agent is told of it."""
        with tempfile.TemporaryDirectory() as folder:
            file = jobs.runnable(artefact, card, self.facts.get("architecture", ""), Path(folder))
            if file is not artefact and self.device.here:  # nothing is copied there, and the folder goes away
                kept = Path(self.device.folder) / sha256(file)[:16] / file.name
                kept.parent.mkdir(parents=True, exist_ok=True)
                with whole(kept) as temporary:  # another command may have it open
                    shutil.copyfile(file, temporary)
                file = kept
            remote = self.again(lambda: self.device.push(file, digest(file)))
            return jobs.described(name, file, remote, card)

    def run(self, job: dict[str, Any], timeout: float) -> Iterator[dict[str, Any]]:
        """Events of one job of the agent there.

        Raises:
            BackendError: the agent said what is wrong, or ended without a result; or as `Device.run`.
        """
        if not self._command:
            python = self.again(lambda: python_of(self.device))
            self._command = [python, self.again(lambda: self.device.push(AGENT, sha256(AGENT)))]
        told = json.dumps({"threads": self.threads, "affinity": list(self.affinity), **job}).encode()
        last: dict[str, Any] = {}
        lines = self.device.run(self._command, stdin=told, timeout=timeout)
        try:
            for line in lines:
                if self.stopped():
                    raise BackendError(f"{self.device.name}: interrupted")
                event = _event(line)
                if event is None:
                    continue
                last = event
                if event["event"] == "error":
                    raise BackendError(f"{self.device.name}: {event['message']}{self._mend(event['kind'])}")
                yield event
        finally:
            if isinstance(lines, Generator):
                lines.close()  # ends what runs there, if it still does
        if last.get("event") != "result":
            raise BackendError(f"{self.device.name}: the agent ended without a result; run it again")

    def _mend(self, kind: str) -> str:
        if kind != "runtime":
            return ""
        return "; pip install the extra of the artefact's target" if self.device.here else "; install it there with --setup"

    def again(self, action: Callable[[], Result]) -> Result:
        """Do it, and again when the connection was cut, `ATTEMPTS` times in all; unreachable from the start is the end."""
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


def _event(line: str) -> dict[str, Any] | None:
    """What the agent says in a line, whatever stands before it; None if that is nothing."""
    _, mark, text = line.partition(agent.MARK)
    try:
        event = json.loads(text) if mark else None
    except ValueError:
        return None
    return event if isinstance(event, dict) and isinstance(event.get("event"), str) else None
