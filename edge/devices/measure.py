"""What `edge.bench` measures on one device, from the facts before to the facts after."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from edge import agent
from edge.devices import facts, trt
from edge.devices import job as jobs
from edge.devices.base import ConnectionCut, Device, Unreachable, failure_line
from edge.devices.events import Event
from edge.devices.python import setup
from edge.devices.session import ATTEMPTS, PAUSE, Plan, Session
from edge.evaluate import timings
from edge.evaluate.timings import DeviceFacts, EmulatedTiming, Facts, Percentiles, Role, Timing
from pose.card import Card
from pose.errors import BackendError, one_line

START = 300.0  # seconds for a runtime to be imported, and an artefact opened and run once
EMULATED_RUNS = 3  # an emulation can only show that the artefact runs and what it answers
INFERENCES = 80  # of each artefact beside the counted ones: warming up, stages, cold ones
SLOWER = 3.0  # factor by which an inference may take longer than the first did, when a board throttles
OTHER_KERNELS = 0.5  # pixels
MOST_TIMES = 5_000_000  # latencies of one artefact
SLOWED = 1.05  # factor that distinguishes a board that gets hot from noise
_FIELDS = ("load_ms", "first_ms", "stages_ms", "peak_memory_mb", "runtime_memory_mb")
Jobs = dict[Role, agent.ArtefactJob]


def measure(
    device: Device,
    plan: Plan,
    on_progress: Callable[[float], None] = lambda share: None,
    stopped: Callable[[], bool] = lambda: False,
    *,
    install: bool = False,
    clean: bool = False,
) -> timings.Device:
    """Times on one device. A failure is the record's `error`, and what was measured until then is kept.

    Args:
        on_progress: is called with the share of the timing that is done, 0..1.
        stopped: whether to give up.
        install: install the runtime before, where it is missing.
        clean: remove our files from the device afterwards.
    """
    run = _Run(Session(device, plan.threads, plan.affinity, stopped), plan, on_progress)
    error = None
    try:
        run.everything(install)
    except Exception as failure:
        error = failure_line(device, failure)
    try:
        if clean:
            device.clean()
    except Exception as failure:
        error = error or failure_line(device, failure)
    try:
        return run.record(error)
    except Exception as failure:
        return timings.Device(device=device.name, error=error or failure_line(device, failure))


def summary(times: list[float]) -> Percentiles:
    """Percentiles, mean and number of latencies."""
    p50, p90, p99 = (float(value) for value in np.percentile(times, [50, 90, 99]))
    return Percentiles(p50=p50, p90=p90, p99=p99, mean=float(np.mean(times)), runs=len(times))


class _Run:
    def __init__(self, session: Session, plan: Plan, on_progress: Callable[[float], None]) -> None:
        self._session, self._plan, self._on_progress = session, plan, on_progress
        self._before: Facts | None = None
        self._after: Facts | None = None
        self._fields: dict[Role, dict[str, Any]] = {name: {"golden_px": None} for name in plan.artefacts}  # of `Timing`
        self._times: dict[Role, list[float]] = {name: [] for name in plan.artefacts}
        self._clocks: list[list[float]] = []
        self._warnings: list[str] = []

    def everything(self, install: bool) -> None:
        plan, session = self._plan, self._session
        cards = {name: jobs.require_runnable(artefact) for name, artefact in plan.artefacts.items()}
        session.open()
        self._before = session.facts
        card = next(iter(cards.values()))  # all are for one target
        self._warnings += _undelegated(cards)
        if jobs.device_tool(card) and session.facts.trtexec:
            self._time_engines(cards)
        else:
            if jobs.device_tool(card):
                self._warnings.append("not TensorRT: there is no trtexec, so ONNX Runtime ran the file on the processor")
            if install and session.app is None:  # which has its runtime
                setup(session.device, card.target, session.facts)
            artefacts = {name: session.push(name, one.path, cards[name]) for name, one in plan.artefacts.items()}
            slowest = self._load(artefacts)
            self._time(artefacts, slowest)
        self._after = session.retry(lambda: facts.read(session.device))

    def record(self, error: str | None) -> timings.Device:
        before, after = self._before or Facts(), self._after or Facts()
        emulated = bool(before.emulated or after.emulated)
        timing = {name: self._timing(name, emulated) for name in self._plan.artefacts}
        return timings.Device(
            device=self._session.device.name,
            board=before.board,
            emulated=emulated,
            error=error,
            facts=DeviceFacts(before=self._before, after=self._after),
            warnings=self._all_warnings(before, emulated),
            **timing,
        )

    def _all_warnings(self, before: Facts, emulated: bool) -> list[str]:
        warnings = list(self._warnings)
        if self._after is not None:
            warnings += facts.warnings(before, self._after, self._clocks, self._plan.threads)
        for name in self._plan.artefacts:
            golden_px = self._fields[name]["golden_px"] or 0
            if golden_px > OTHER_KERNELS:
                warnings.append(
                    f"{name} answers the golden crop up to {golden_px:.1f} px otherwise than this machine: other kernels, "
                    "or another version; edge.check --device shows what that costs"
                )
        if self._plan.mode == "sustained" and not emulated:
            warnings += [line for name, times in self._times.items() for line in _slowed(name, times)]
        timed = any(self._times.values()) or any("latency_ms" in fields for fields in self._fields.values())
        if self._plan.mode == "quick" and timed and not emulated:
            warnings.append("quick: a first impression; --rigorous runs 1024 inferences and a minute of each at least")
        return warnings

    def _timing(self, name: Role, emulated: bool) -> Timing:
        fields, times = self._fields[name], self._times[name]
        timed: dict[str, Any] = {field: fields.get(field) for field in _FIELDS}
        latency = fields.get("latency_ms") or (summary(times) if times else None)
        answered: dict[str, Any] = {"golden_px": fields["golden_px"], "accelerator": fields.get("accelerator", "")}
        if not emulated:
            return Timing(latency_ms=latency, times_ms=times, **answered, **timed)
        hidden = EmulatedTiming(**timed, **(latency.model_dump() if latency else {}))
        some = latency is not None or any(timed.values())
        return Timing(times_ms=[], **answered, emulated_ms=hidden if some else None)

    def _load(self, artefacts: Jobs) -> float:
        """Open each artefact alone in a process; returns the seconds that the slower one took."""
        slowest = 0.0
        for name, artefact in artefacts.items():
            start = time.monotonic()
            for event in self._session.retry(lambda artefact=artefact: self._load_events(artefact)):  # type: ignore[misc]
                self._keep(event | {"artefact": name})
            if self._fields[name].get("first_ms") is None:
                raise BackendError(
                    f"{self._session.device.name}: the agent did not say how long {name} took to load and run"
                )
            slowest = max(slowest, time.monotonic() - start)
        return slowest

    def _load_events(self, artefact: agent.ArtefactJob) -> list[Event]:
        return list(self._session.run({"job": "load", "artefacts": [artefact]}, self._plan.timeout or START))

    def _time(self, artefacts: Jobs, start_up: float) -> None:
        """All of them in turns, and again what a cut connection left out."""
        plan, emulated = self._plan, bool(self._before and self._before.emulated)
        wanted, seconds = (min(plan.runs, EMULATED_RUNS), 0.0) if emulated else (plan.runs, plan.seconds)
        cuts, spent = 0, 0.0
        while True:
            done = self._done
            runs, left = max(1, wanted - done), max(0.0, seconds - spent / len(artefacts))
            job: agent.Job = {"job": "time", "artefacts": list(artefacts.values()), "runs": runs, "seconds": left}
            latest = 0.0
            try:
                for event in self._session.run(job, plan.timeout or self._timeout(start_up, runs, left)):
                    self._keep(event)
                    latest = max(latest, event.get("s", 0.0))
                    passed = (spent + latest) / (seconds * len(artefacts)) if seconds else 1.0
                    self._on_progress(min(1.0, self._done / wanted, passed))
                return
            except (ConnectionCut, Unreachable) as error:
                cuts = 0 if self._done > done else cuts  # it continues as long as it makes progress
                if cuts == ATTEMPTS - 1 or (isinstance(error, Unreachable) and not (cuts or spent)):
                    raise
                cuts, spent = cuts + 1, spent + latest
                time.sleep(PAUSE * cuts)
                self._warnings.append("the connection was cut and made again; what was missing was timed then")

    @property
    def _done(self) -> int:
        return min(map(len, self._times.values()))

    def _keep(self, event: Event) -> None:
        """Store what an event reports."""
        kind, name = event["event"], event.get("artefact", "")
        if "artefact" in event and name not in self._fields:
            raise BackendError(
                f"{self._session.device.name}: the agent reported an artefact '{one_line(name, 40)}' that it was not sent"
            )
        fields = self._fields.get(name, {})
        if kind == "times":
            self._times[name] += event["ms"]
            if len(self._times[name]) > MOST_TIMES:
                raise BackendError(f"{self._session.device.name}: more than {MOST_TIMES} latencies of {name}; ask for fewer")
        elif kind == "golden":
            fields["golden_px"] = event["max_px"]
            fields["accelerator"] = event.get("accelerator", "")
        elif kind == "stages":
            fields["stages_ms"] = {stage: float(np.median(ms)) for stage, ms in event["ms"].items()}
        elif kind == "clock":
            self._clocks.append(event.get("mhz", []))
        elif kind == "result":
            fields |= {field: event[field] for field in _FIELDS if field in event}
        elif kind == "runtime":
            before = self._before or Facts()
            python = {"python": event["python"]} if event.get("python") else {}
            before = before.model_copy(update={"runtime": {**python, **event["versions"]}})
            if event["emulated"] and not before.emulated:
                before = before.model_copy(update={"emulated": "DISTILPOSE_EMULATED"})
            self._before = before

    def _timeout(self, start_up: float, runs: int, seconds: float) -> float:
        """Seconds after which a timing job is given up."""
        first = sum(fields["first_ms"] for fields in self._fields.values()) / 1e3
        return 60 + SLOWER * (2 * start_up + (1.2 * runs + INFERENCES) * first) + 1.5 * seconds * len(self._fields)

    def _time_engines(self, cards: dict[Role, Card]) -> None:
        trt.require_supported(self._session)
        seconds = max(10, round(self._plan.seconds))
        if len(cards) > 1:
            self._warnings.append("trtexec times one engine after the other, not in turns")
        for name, artefact in self._plan.artefacts.items():
            engine = trt.measure(self._session, artefact.path, cards[name], seconds, self._plan.timeout)
            self._times[name] = engine.timing.times_ms or []
            self._warnings += [f"{name}: trtexec: {line}" for line in engine.warnings]
            before = self._before or Facts()
            self._before = before.model_copy(update={"runtime": {**before.runtime, "tensorrt": engine.version}})
            kept = ("latency_ms", "golden_px", "accelerator", *_FIELDS)
            self._fields[name] = {field: getattr(engine.timing, field) for field in kept}


def _slowed(name: str, times: list[float]) -> list[str]:
    """A warning where the last tenth of a run took longer than the first."""
    tenth = len(times) // 10
    if not tenth:
        return []
    first, last = float(np.median(times[:tenth])), float(np.median(times[-tenth:]))
    if last < SLOWED * first:
        return []
    return [f"{name} slowed down during the run: p50 of the first tenth {first:.2f} ms, of the last {last:.2f} ms"]


def _undelegated(cards: dict[Role, Card]) -> list[str]:
    """A warning for each artefact with nodes that its backend left out."""
    warnings = []
    for name, card in cards.items():
        outside = card.coverage.undelegated if card.coverage else {}
        if outside:
            what = ", ".join(f"{count} {operator}" for operator, count in outside.items())
            warnings.append(f"{name}: {sum(outside.values())} undelegated nodes run outside the backend ({what})")
    return warnings
