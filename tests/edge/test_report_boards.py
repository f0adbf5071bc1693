"""From artefacts to a report and a diagnosis, with boards that are emulated."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from emulated.tools import quiet

from edge.report.words import EMULATED


@pytest.fixture
def tflite(lowered: Path) -> Path:
    return lowered / "tiny-tflite-int8.tflite"


def test_emulated_boards_are_in_the_report_with_answers_and_without_times(
    lab: Any, tflite: Path, command: Callable[..., Any], tmp_path: Path
) -> None:
    specs = [lab.raspberry_pi().spec, lab.android().spec]
    page = tmp_path / "page.html"
    named = [word for spec in specs for word in ("--device", spec)]
    answer = command("edge.report", "--artefact", tflite, *named, "--limit", 2, "--out", page)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.splitlines()[1] == "No latency of a real device was measured."
    (checked,) = json.loads(page.with_suffix(".json").read_text())["checks"]
    assert list(checked["on_device"]) == specs
    for on_board in checked["on_device"].values():
        assert on_board["host_px"]["p99"] < 1e-4
    text = page.read_text()
    assert text.count(EMULATED) >= 4
    assert "Accuracy against latency" not in text
    for kind in (".json", ".csv", ".md"):
        assert '"p90"' not in page.with_suffix(kind).read_text()


def test_the_doctor_tries_the_artefact_on_a_board(
    pi: Any, tflite: Path, command: Callable[..., Any], tmp_path: Path
) -> None:
    answer = command("edge.doctor", "--artefact", tflite, "--device", pi.spec, "--json", tmp_path / "doctor.json")
    assert answer.returncode == 0, answer.stdout + answer.stderr
    _, diagnosed = json.loads((tmp_path / "doctor.json").read_text())["devices"]
    made = {finding["what"]: finding["severity"] for finding in diagnosed["findings"]}
    assert "board pi4: Raspberry Pi 4" in next(iter(made))
    assert made["no dot-product instruction: int8 may be no faster than float"] == "warn"
    assert [what for what in made if what.startswith("emulated")]
    assert list(made)[-1].startswith("tiny-tflite-int8.tflite runs there: 0.000 px")
    quiet(pi)
