"""Results beside what a command reads through other files: photos, twins, labels. None is replaced."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import report_examples
from people_file import person, write_people
from tiny_onnx import write_tiny_onnx

from calib_data import inspect
from edge import bench, check
from edge.predict import __main__ as predict
from edge.report import __main__ as report
from pose import cli
from pose.errors import InputError

PHOTO, INT8, FP32, LABELS = "images/1.png", "dist/tiny-onnx-int8.onnx", "dist/tiny-onnx-fp32.onnx", "ds/labels/val/1.txt"
DATA = ["--data", "people.json"]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with people, an artefact and its twin, a data set of YOLO and a check's record."""
    points = [(20.0 + 3 * place, 20.0 + 5 * place) for place in range(17)]
    people = [person(np.full((120, 100, 3), 90, np.uint8), (10, 10, 70, 100), points)] * 2
    write_people(tmp_path / "people.json", tmp_path / "images", people)
    for precision, shift in (("int8", 0.01), ("fp32", 0.0)):
        write_tiny_onnx(tmp_path / "dist", precision, shift)
    shutil.copytree(tmp_path / "images", tmp_path / "ds" / "images" / "val")
    (tmp_path / "ds" / "labels" / "val").mkdir(parents=True)
    joints = " ".join(f"{x / 100} {y / 120} 2" for x, y in points)
    (tmp_path / LABELS).write_text(f"0 0.45 0.5 0.7 0.8 {joints}\n")
    (tmp_path / "ds" / "data.yaml").write_text("val: images/val\ntrain: images/val\nkpt_shape: [17, 3]\n")
    (tmp_path / "c.json").write_text(json.dumps(report_examples.check(data="people.json", artefact=INT8)))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("main", "arguments", "precious"),
    [
        (inspect.main, ["people.json", "--out", PHOTO], PHOTO),
        (inspect.main, ["people.json", "--json", PHOTO], PHOTO),
        (inspect.main, ["ds/data.yaml", "--json", LABELS], LABELS),
        (check.main, ["--artefact", INT8, *DATA, "--json", FP32], FP32),
        (check.main, [*DATA, "--json", INT8], INT8),
        (check.main, [*DATA, "--json", INT8 + ".card.yaml"], INT8 + ".card.yaml"),
        (check.main, ["--artefact", INT8, *DATA, "--json", PHOTO], PHOTO),
        (bench.main, ["--artefact", INT8, "--json", FP32], FP32),
        (predict.main, [PHOTO, "--artefact", INT8, "--compare", "fp32", "--json", FP32], FP32),
        (report.main, ["--check", "c.json", "--out", "people.html"], "people.json"),
        (report.main, ["--check", "c.json", "--out", "r.html", "--json", INT8], INT8),
        (report.main, ["--check", "c.json", "--json", "people.json"], "people.json"),
    ],
)
def test_what_is_read_on_the_way_is_not_replaced(
    here: Path, monkeypatch: pytest.MonkeyPatch, main: Any, arguments: list[str], precious: str
) -> None:
    before = (here / precious).read_bytes()
    monkeypatch.setattr(sys, "argv", ["command", *arguments])
    with pytest.raises(InputError, match=f"{precious} is read by this command"):
        cli._invoke(main, "command", "")
    assert (here / precious).read_bytes() == before
    assert not list(here.glob("*.html"))


def test_a_result_of_an_earlier_run_is_replaced(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["command", "people.json", "--json", "k.json"])
    for _ in range(2):
        (here / "k.json").write_text("old")
        assert cli._invoke(inspect.main, "command", "") == 0
        assert json.loads((here / "k.json").read_text())["people"] == 2
