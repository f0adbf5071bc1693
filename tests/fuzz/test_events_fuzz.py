"""Devices that send anything: a measurement ends with numbers that mean something, or with one line of why not."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from json_mutations import damaged, mutated, values

from edge import agent
from edge.devices import facts
from edge.devices import session as sessions
from edge.devices.events import parse
from edge.devices.local import Local
from edge.devices.measure import measure
from edge.devices.session import Plan
from edge.dist import Artefact, Dist
from edge.evaluate import timings
from pose import card as cards
from pose.errors import BackendError
from pose.files import sha256
from pose.weights import bundled

SHARE = max(1, settings.default.max_examples // 4)  # of what the profile asks for: each one takes long
together = settings(max_examples=SHARE, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])

RUNTIME = {"event": "runtime", "python": "3.11.7", "versions": {"numpy": "2.0"}, "emulated": False, "own_s": 0.1}
LOAD = [
    {"event": "golden", "artefact": "int8", "max_px": 0.1, "max_score": 0.01},
    RUNTIME,
    {"event": "result", "load_ms": 3.0, "first_ms": 2.0, "runtime_memory_mb": 20.0, "peak_memory_mb": 30.0},
]
TIMED = [
    {"event": "golden", "artefact": "fp32", "max_px": 0.0, "max_score": 0.0},
    RUNTIME,
    *({"event": "times", "artefact": name, "s": 1.0, "ms": [2.0, 2.5, 2.25]} for name in ("fp32", "int8")),
    {"event": "clock", "s": 1.0, "mhz": [1500.0]},
    *(
        {"event": "stages", "artefact": name, "ms": {"preprocess": [0.1], "model": [1.0], "decode": [0.0]}}
        for name in ("fp32", "int8")
    ),
    {"event": "progress", "done": 3},
    {"event": "result", "runs": [3, 3]},
]
ERROR = [{"event": "error", "kind": "memory", "message": "out of memory on the device"}]
FACTS = ["@@ model", "Raspberry Pi 4", "@@ cpuinfo", "processor : 0", "@@ khz", "1500000", "@@ zone", "45000", "@@ loadavg",
         "0.1 0.2 0.3 1/2 3", "@@ meminfo", "MemTotal: 4000000 kB", "@@ kernel", "Linux 6.1 aarch64"]  # fmt: skip

line = st.one_of(
    st.text(max_size=40),
    st.sampled_from(["", agent.MARK, agent.MARK + "{", agent.MARK + "[" * 3000, agent.MARK + "9" * 5000, "@@ x", "\x1b[2J"]),
    values.map(lambda value: agent.MARK + json.dumps(value)),
    damaged([*LOAD, *TIMED]).map(lambda data: agent.MARK + data.decode(errors="replace")),
)


def told(events: list[Any]) -> list[str]:
    """The lines of events, as an agent writes them."""
    return [agent.MARK + json.dumps(event) for event in events] if isinstance(events, list) else [json.dumps(events)]


def job(good: list[dict[str, Any]]) -> st.SearchStrategy[list[str]]:
    """The lines of a job that is right, slightly wrong, or between other lines."""
    right, wrong = st.just(told(good)), mutated([good]).map(told)
    return st.one_of(
        right, wrong, st.tuples(st.lists(line, max_size=3), right | wrong).map(lambda parts: parts[0] + parts[1])
    )


class Scripted(Local):
    """A device that sends the lines that it is given: facts first, then those of each job."""

    name, here = "ssh://scripted", False

    def __init__(self, before: list[str], jobs: list[list[str]]) -> None:
        self.before, self.jobs = before, iter([*jobs, *[[]] * 10])

    def push(self, path: Path, digest: str) -> str:
        return f"/tmp/{path.name}"

    def run(self, command: Sequence[str], *, stdin: bytes = b"", timeout: float) -> Iterator[str]:
        if stdin:
            return iter(next(self.jobs))
        return iter(self.before if "@@" in command[-1] else ["/usr/bin/python3"])


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    """Two artefacts of invented content with real cards."""
    folder = tmp_path_factory.mktemp("dist")
    card, pair = cards.read(bundled() / "card.yaml"), {}
    for name in ("fp32", "int8"):
        path = folder / f"x-{name}.tflite"
        path.write_bytes(name.encode())
        expected = card.golden.expected | {"lowered": card.golden.expected["int8"]}
        update = {"target": "tflite", "precision": name, "files": {path.name: sha256(path)}}
        golden = card.golden.model_copy(update={"expected": expected})
        pair[name] = Artefact(path, card.model_copy(update=update | {"golden": golden}), Dist(folder))
    return Plan(pair, "quick", 3, 0.0)  # type: ignore[arg-type]


@given(line)
def test_a_line_is_an_event_nothing_or_an_error_of_one_line(text: str) -> None:
    error = ""
    event = None
    try:
        event = parse(text)
    except BackendError as refusal:
        error = str(refusal)
    assert len(error.splitlines()) <= 1
    assert len(error) < 400
    if event is not None:
        assert all(map(math.isfinite, numbers(event)))
        assert parse(agent.MARK + json.dumps(event)) == event


@given(
    st.lists(
        st.sampled_from(FACTS) | st.text(max_size=30) | st.sampled_from(["9" * 5000, "nan", "-1", "1e999"]), max_size=30
    )
)
def test_facts_are_those_of_a_device_whatever_it_prints(lines: list[str]) -> None:
    for read in (facts.parse, facts.parse_board):
        reported = read("\n".join(lines))
        assert all(map(math.isfinite, numbers(reported.reported())))
        assert timings.Facts.model_validate(reported.reported()) == reported


@together
@given(st.lists(st.sampled_from(FACTS) | line, max_size=6) | st.just(FACTS), job(LOAD), job(LOAD), job(TIMED) | job(ERROR))
def test_a_device_has_figures_that_mean_something_or_an_error(
    plan: Plan, before: list[str], first: list[str], second: list[str], timed: list[str]
) -> None:
    record = measure(Scripted(before, [first, second, timed]), plan)
    assert timings.Device.model_validate(json.loads(json.dumps(record.as_json(), allow_nan=False))) == record
    if record.error is not None:
        assert record.error.startswith("ssh://scripted: ")
        assert len(record.error.splitlines()) == 1
        assert len(record.error) < 5000
    elif not record.emulated:
        assert record.int8 is not None
        latency = record.int8.latency_ms
        assert latency is not None
        assert 0 < latency.p50 <= latency.p90 <= latency.p99
    for warning in record.warnings:
        assert len(warning.splitlines()) == 1


def numbers(value: Any) -> Iterator[float]:
    """Every number in nested lists and dictionaries."""
    if isinstance(value, dict | list | tuple):
        yield from itertools.chain.from_iterable(map(numbers, value.values() if isinstance(value, dict) else value))
    elif isinstance(value, int | float):
        yield float(value)


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "PAUSE", 0.0)
