"""Measurement files with anything in them: refused in one line, or made into a report whose numbers mean something.

`pytest tests/fuzz` is part of the suite; CONTRIBUTING.md has the command that looks for new cases for an hour.
"""

from __future__ import annotations

import copy
import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from json_mutations import damaged, mutated
from report_examples import bench, check, device

from edge.evaluate import gates
from edge.evaluate.records import read_checks, read_teacher_score
from edge.evaluate.timings import Bench, read_bench
from edge.report import compare, page
from edge.report.collect import collect, read_report
from edge.report.model import Report
from pose.errors import InputError, UserError

SHARE = max(1, settings.default.max_examples // 4)  # of what the profile asks for: each one takes long
together = settings(
    max_examples=SHARE,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large],
)


def short(value: dict[str, Any]) -> dict[str, Any]:
    """A bench whose devices have eight latencies."""
    value = copy.deepcopy(value)
    for one in value["devices"]:
        for timing in (one["fp32"], one["int8"]):
            if timing and timing["times_ms"]:
                timing["times_ms"] = timing["times_ms"][:8]
                if timing["latency_ms"]:
                    timing["latency_ms"]["runs"] = 8
    return value


CHECK, BENCH = check(), short(bench(device(), device("ssh://pi", emulated=True)))
CHECKS = {"schema_version": 1, "targets": {"tflite": CHECK, "onnx": check("onnx")}}
TEACHER = {"schema_version": 1, "teacher": "t", "joints": ["nose"], "data": "d", "ap": 50.0, "pck": 60.0, "persons": 3}


@pytest.fixture(scope="module")
def earlier(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """A good report."""
    path = tmp_path_factory.mktemp("good") / "check.json"
    path.write_text(json.dumps(CHECK))
    return collect(list(read_checks(path).values()), [Bench.model_validate(BENCH)])


def read(reader: Callable[[Path], Any], content: bytes, path: Path) -> Any:
    """The record, or None where the file is refused in one line that names it."""
    path.write_bytes(content)
    try:
        return reader(path)
    except InputError as refusal:
        error = str(refusal)
    assert str(path) in error
    require_line(error)
    return None


def require_line(error: str) -> None:
    """Raises AssertionError unless a message is one line, and short enough to be read."""
    assert len(error.splitlines()) == 1
    assert len(error) < 2000


def require_report(report: Report, earlier: Report) -> None:
    """Raises AssertionError unless report, gates and comparison are made, of finite numbers and valid records."""
    changes = [*compare.compare(report, earlier, 0.5, 10), *compare.compare(earlier, report, 0.5, 10)]
    report = report.model_copy(update={"changes": changes})
    for measured in (lambda: gates.accuracy(report.checks, 1.0), lambda: gates.latency(report.benches, {None: 5.0})):
        made: list[gates.Gate] = []
        try:
            made = measured()
        except UserError as refusal:
            require_line(str(refusal))
        assert all(gate.value is not None and math.isfinite(gate.value) for gate in made if gate.ok)
    text = page.render(report, [], "report.md.j2") + page.render(report, [], "page.html.j2")
    figures = re.sub(r"<title>.*?</title>|aria-label=\"[^\"]*\"", "", text)
    assert not re.search(r'="(nan|-?inf)|[ |](nan|-?inf)[ |]', figures)
    Report.model_validate(json.loads(json.dumps(report.as_json(), allow_nan=False)))


@together
@given(st.data())
def test_checks(tmp_path: Path, earlier: Report, data: st.DataObject) -> None:
    content = data.draw(mutated([CHECK, CHECKS]).map(lambda value: json.dumps(value).encode()) | damaged([CHECK]))
    checks = read(read_checks, content, tmp_path / "check.json")
    if checks:
        try:
            report = collect(list(checks.values()), earlier.benches)
        except InputError:
            return
        require_report(report, earlier)


@together
@given(st.data())
def test_benches(tmp_path: Path, earlier: Report, data: st.DataObject) -> None:
    content = data.draw(mutated([BENCH]).map(lambda value: json.dumps(value).encode()) | damaged([BENCH]))
    timed = read(read_bench, content, tmp_path / "bench.json")
    if timed:
        require_report(collect(earlier.checks, [timed]), earlier)


@together
@given(st.data())
def test_earlier_reports(tmp_path: Path, earlier: Report, data: st.DataObject) -> None:
    good = [earlier.as_json()]
    content = data.draw(mutated(good).map(lambda value: json.dumps(value).encode()) | damaged(good))
    old = read(read_report, content, tmp_path / "report.json")
    if old:
        compare.compare(earlier, old, 0.5, 10)


@together
@given(mutated([TEACHER]).map(lambda value: json.dumps(value).encode()) | damaged([TEACHER]))
def test_scores_of_teachers(tmp_path: Path, content: bytes) -> None:
    read(read_teacher_score, content, tmp_path / "teacher.json")
