"""What a device sends: numbers that cannot be end its measurement, and it cannot hang or fill this machine."""

from __future__ import annotations

import collections
import contextlib
import json
import math
import subprocess
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge import agent
from edge.devices import client
from edge.devices.events import parse
from pose.errors import BackendError

EVENTS = {
    "times": {"artefact": "int8", "s": 1.0, "ms": [1.5, 2.0]},
    "golden": {"artefact": "int8", "max_px": 0.1, "max_score": 0.0},
    "stages": {"artefact": "int8", "ms": {"preprocess": [0.1], "model": [1.0], "decode": [0.0]}},
    "clock": {"s": 1.0, "mhz": [1500.0]},
    "progress": {"done": 3},
    "runtime": {"python": "3.11", "versions": {"numpy": "2.0"}, "emulated": False, "own_s": 0.1},
    "result": {"runs": [10, 10]},
    "error": {"kind": "memory", "message": "out of memory"},
}


def line(event: object) -> str:
    return agent.MARK + json.dumps(event)


@pytest.mark.parametrize("kind", EVENTS)
def test_each_event_arrives_as_it_was_sent(kind: str) -> None:
    event = {"event": kind, **EVENTS[kind]}
    assert parse(line(event)) == event


@pytest.mark.parametrize(
    ("kind", "changed"),
    [
        ("times", {"ms": [1.0, float("nan")]}),
        ("times", {"ms": [float("inf")]}),
        ("times", {"ms": [0.0]}),
        ("times", {"ms": [-1.0]}),
        ("times", {"ms": "fast"}),
        ("times", {"ms": [1.0] * 100_001}),
        ("times", {"s": None}),
        ("golden", {"max_px": float("nan")}),
        ("golden", {"max_px": {}}),
        ("stages", {"ms": {"model": []}}),
        ("stages", {"ms": {"lunch": [1.0]}}),
        ("clock", {"mhz": [[]]}),
        ("progress", {"done": "most"}),
        ("runtime", {"versions": ["numpy"]}),
        ("result", {"first_ms": float("-inf")}),
        ("result", {"peak_memory_mb": -1}),
        ("error", {"message": 3}),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(kind: str, changed: dict) -> None:
    with pytest.raises(BackendError, match="impossible") as caught:
        parse(line({"event": kind, **EVENTS[kind], **changed}))
    assert "\n" not in str(caught.value)


def test_an_unknown_event_is_refused() -> None:
    with pytest.raises(BackendError, match="impossible"):
        parse(line({"event": "party"}))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)


@given(st.sampled_from(sorted(EVENTS)), st.dictionaries(st.sampled_from(["ms", "s", "artefact", "done", "runs"]), JSON))
def test_any_json_is_an_event_or_one_error(kind: str, changed: dict) -> None:
    with contextlib.suppress(BackendError):
        event = parse(line({"event": kind, **EVENTS[kind], **changed}))
        assert event is not None
        assert kind != "times" or all(math.isfinite(ms) and ms > 0 for ms in event["ms"])


@pytest.mark.parametrize("text", ["'x' * 65536", "'x\\\\n' * 30000"])
def test_the_timeout_holds_against_a_device_that_never_stops_to_talk(text: str) -> None:
    endless = f"import sys\nwhile True: sys.stdout.write({text})"
    with subprocess.Popen([sys.executable, "-c", endless], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        start = time.monotonic()
        with pytest.raises(TimeoutError):
            collections.deque(client.lines(process.stdout, start + 1.5), maxlen=0)
        process.kill()
    assert time.monotonic() - start < 5


def test_a_line_without_an_end_is_cut() -> None:
    endless = f"import sys\nsys.stdout.write('x' * {client.LINE + 100_000})"
    with subprocess.Popen([sys.executable, "-c", endless], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        (line,) = client.lines(process.stdout, time.monotonic() + 30)
    assert len(line) == client.LINE
