"""What `edge.bench` measures on one device, from the facts before to the facts after."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from edge import facts
from edge.devices import job as jobs
from edge.devices import trt
from edge.devices.base import ConnectionCut, Device, Unreachable
from edge.devices.python import setup
from edge.devices.session import ATTEMPTS, PAUSE, Plan, Session
from pose.card import Card
from pose.errors import UserError

START = 300.0  # seconds for a runtime to be imported, and an artefact opened and run once
EMULATED_RUNS = 3  # that it runs and what it answers is all that an emulation can show
INFERENCES = 80  # of each artefact beside the counted ones: warming up, stages, cold ones
SLOWER = 3.0  # by which an inference may take longer than the first did, when a board throttles
OTHER_KERNELS = 0.5  # pixels
SLOWED = 1.05  # by which a board that gets hot is told from noise
_TIMED = ("load_ms", "first_ms", "stages_ms", "peak_memory_mb", "runtime_memory_mb")


def measure(
    device: Device,
    plan: Plan,
    step: Callable[[float], None] = lambda share: None,
    stopped: Callable[[], bool] = lambda: False,
    *,
    install: bool = False,
    clean: bool = False,
) -> dict[str, Any]:
    """One entry of the result's `devices`. A failure is its `error`, and what was measured until then is kept.

    Args:
        step: is told which share of the timing is done, 0..1. stopped: whether to give up.
        install, clean: the runtime first, where it is missing; in the end, remove what we put there.
    """
    run = _Run(Session(device, plan.threads, plan.affinity, stopped), plan, step)
    error = None
    try:
        run.everything(install)
    except UserError as failure:
        error = str(failure)
    try:
        if clean:
            device.clean()
    except UserError as failure:
        error = error or str(failure)
    return run.entry(error)


def summary(times: list[float]) -> dict[str, float]:
    """Percentiles and mean of latencies, and how many there are."""
    p50, p90, p99 = (float(value) for value in np.percentile(times, [50, 90, 99]))
    return {"p50": p50, "p90": p90, "p99": p99, "mean": float(np.mean(times)), "runs": len(times)}


class _Run:
    def __init__(self, session: Session, plan: Plan, step: Callable[[float], None]) -> None:
        self._session, self._plan, self._step = session, plan, step
        self._facts: dict[str, dict[str, Any]] = {}
        self._found: dict[str, dict[str, Any]] = {name: {"golden_px": None} for name in plan.artefacts}
        self._times: dict[str, list[float]] = {name: [] for name in plan.artefacts}
        self._clocks: list[dict[str, Any]] = []
        self._warnings: list[str] = []

    def everything(self, install: bool) -> None:
        plan, session = self._plan, self._session
        cards = {name: jobs.card_of(path) for name, path in plan.artefacts.items()}
        session.open()
        self._facts["before"] = session.facts
        target = cards["int8"].target
        self._warnings += _of_cards(cards)
        if target == "tensorrt" and session.facts.get("trtexec"):
            self._trtexec(cards)
        else:
            if target == "tensorrt":
                self._warnings.append("not TensorRT: there is no trtexec, so ONNX Runtime ran the file on the processor")
            if install:
                setup(session.device, target)
            told = {name: session.push(name, path, cards[name]) for name, path in plan.artefacts.items()}
            slowest = self._load(told)
            self._time(told, slowest)
        self._facts["after"] = session.again(lambda: facts.read(session.device))

    def entry(self, error: str | None) -> dict[str, Any]:
        before, after = self._facts.get("before", {}), self._facts.get("after", {})
        emulated = bool(before.get("emulated") or after.get("emulated"))
        warnings = list(self._warnings)
        if after:
            warnings += facts.warnings(before, after, self._clocks, self._plan.threads)
        for name, found in self._found.items():
            if (found["golden_px"] or 0) > OTHER_KERNELS:
                said = f"{name} answers the golden crop up to {found['golden_px']:.1f} px otherwise than this machine"
                warnings.append(f"{said}: other kernels, or another version; edge.check --device shows what that costs")
        if self._plan.mode == "sustained" and not emulated:
            warnings += [line for name, times in self._times.items() for line in _slowed(name, times)]
        timed = any(self._times.values()) or any("latency_ms" in found for found in self._found.values())
        if self._plan.mode == "quick" and timed and not emulated:
            warnings.append("quick: a first impression; --rigorous runs 1024 inferences and a minute of each at least")
        return {
            "device": self._session.device.name,
            "board": before.get("board", "generic"),
            "emulated": emulated,
            "error": error,
            "facts": self._facts,
            "warnings": warnings,
            **{name: self._timing(name, emulated) for name in self._plan.artefacts},
        }

    def _timing(self, name: str, emulated: bool) -> dict[str, Any]:
        found, times = self._found[name], self._times[name]
        latency = found.get("latency_ms") or (summary(times) if times else None)
        timed = {key: found.get(key) for key in _TIMED}
        if emulated:
            hidden = {**timed, **(latency or {})} if latency or any(timed.values()) else None
            return {
                "latency_ms": None,
                "emulated_ms": hidden,
                "times_ms": [],
                **dict.fromkeys(_TIMED),
                "golden_px": found["golden_px"],
            }
        return {"latency_ms": latency, "times_ms": times, **timed, "golden_px": found["golden_px"]}

    def _load(self, told: dict[str, dict[str, Any]]) -> float:
        """Each artefact alone in a process; returns the seconds that the slower one took."""
        slowest = 0.0
        for artefact in told.values():
            start = time.monotonic()
            job = {"job": "load", "artefacts": [artefact]}
            for event in self._session.again(lambda job=job: list(self._session.run(job, self._plan.timeout or START))):  # type: ignore[misc]
                self._note(event | {"artefact": artefact["name"]})
            slowest = max(slowest, time.monotonic() - start)
        return slowest

    def _time(self, told: dict[str, dict[str, Any]], start_up: float) -> None:
        """All of them in turns, and again what a cut connection left out."""
        plan, emulated = self._plan, bool(self._facts["before"]["emulated"])
        wanted, seconds = (min(plan.runs, EMULATED_RUNS), 0.0) if emulated else (plan.runs, plan.seconds)
        cuts, spent = 0, 0.0
        while True:
            done = self._done
            runs, left = max(1, wanted - done), max(0.0, seconds - spent / len(told))
            job = {"job": "time", "artefacts": list(told.values()), "runs": runs, "seconds": left}
            latest = 0.0
            try:
                for event in self._session.run(job, plan.timeout or self._patience(start_up, runs, left)):
                    self._note(event)
                    latest = max(latest, event.get("s", 0.0))
                    passed = (spent + latest) / (seconds * len(told)) if seconds else 1.0
                    self._step(min(1.0, self._done / wanted, passed))
                return
            except (ConnectionCut, Unreachable) as error:
                cuts = 0 if self._done > done else cuts  # it goes on as long as it gets on
                if cuts == ATTEMPTS - 1 or (isinstance(error, Unreachable) and not (cuts or spent)):
                    raise
                cuts, spent = cuts + 1, spent + latest
                time.sleep(PAUSE * cuts)
                self._warnings.append("the connection was cut and made again; what was missing was timed then")

    @property
    def _done(self) -> int:
        return min(map(len, self._times.values()))

    def _note(self, event: dict[str, Any]) -> None:
        """Keep what an event tells."""
        kind, found = event["event"], self._found.get(event.get("artefact", ""), {})
        if kind == "times":
            self._times[event["artefact"]] += event["ms"]
        elif kind == "golden":
            found["golden_px"] = event["max_px"]
        elif kind == "stages":
            found["stages_ms"] = {stage: float(np.median(ms)) for stage, ms in event["ms"].items()}
        elif kind == "clock":
            self._clocks.append(event)
        elif kind == "result":
            found |= {key: event[key] for key in _TIMED if key in event}
        elif kind == "runtime":
            before = self._facts["before"]
            before["runtime"] = {"python": event["python"], **event["versions"]}
            if event["emulated"] and not before["emulated"]:
                before["emulated"] = "DISTILPOSE_EMULATED"

    def _patience(self, start_up: float, runs: int, seconds: float) -> float:
        """Seconds after which a job that times is given up."""
        first = sum(found["first_ms"] for found in self._found.values()) / 1e3
        return 60 + SLOWER * (2 * start_up + (1.2 * runs + INFERENCES) * first) + 1.5 * seconds * len(self._found)

    def _trtexec(self, cards: dict[str, Card]) -> None:
        seconds = max(10, round(self._plan.seconds))
        self._warnings.append("trtexec times one engine after the other, not in turns")
        for name, path in self._plan.artefacts.items():
            found = trt.measure(self._session, path, cards[name], seconds, self._plan.timeout)
            self._times[name] = found.pop("times_ms")
            self._warnings += [f"{name}: trtexec: {line}" for line in found.pop("warnings")]
            self._facts["before"].setdefault("runtime", {})["tensorrt"] = found.pop("version")
            self._found[name] = found


def _slowed(name: str, times: list[float]) -> list[str]:
    """Whether the last tenth of a run took longer than the first."""
    tenth = len(times) // 10
    if not tenth:
        return []
    first, last = float(np.median(times[:tenth])), float(np.median(times[-tenth:]))
    if last < SLOWED * first:
        return []
    return [f"{name} slowed down while it went on: p50 of the first tenth {first:.2f} ms, of the last {last:.2f} ms"]


def _of_cards(cards: dict[str, Card]) -> list[str]:
    found = []
    for name, card in cards.items():
        outside = card.coverage.undelegated if card.coverage else {}
        if outside:
            what = ", ".join(f"{count} {operator}" for operator, count in outside.items())
            found.append(f"{name}: {sum(outside.values())} undelegated nodes run outside the backend ({what})")
    return found
