"""What is trained is what ships: the figures of a program's card are those that `edge.check` measures, to the last digit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from people_file import sample_of, write_people

from calib_data.synthetic import validation
from pose.program import load_program

pytest.importorskip("onnxruntime", reason="needs the extra 'onnx'")

pytestmark = pytest.mark.minutes
ROOT = Path(__file__).parents[2]
PEOPLE = 16


def run_module(folder: Path, *command: str) -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    answer = subprocess.run(
        [sys.executable, "-m", *command], cwd=folder, env=environment, capture_output=True, text=True, timeout=900
    )
    assert answer.returncode == 0, answer.stderr


def test_validation_at_the_end_of_qat_is_the_fake_quant_column_of_edge_check(tmp_path: Path) -> None:
    recipe = (
        "{epochs: 0.01, batch: 4, optimiser: adamw, lr: 1.0e-5, backbone_lr: 1.0e-5, bf16: false, losses: {float_twin: 1}}"
    )
    (tmp_path / "recipe.yaml").write_text(recipe)
    drawn = validation()
    write_people(tmp_path / "people.json", tmp_path / "photos", [sample_of(drawn, index) for index in range(PEOPLE)])
    people = ("--data", "people.json", "--images", "photos")
    run_module(
        tmp_path, "quantize.qat", "--student", "distilpose_edge", "--teacher", "labels", "--recipe", "recipe.yaml",
        *people, "--val", "people.json", "--val-images", "photos", "--calibration", "8", "--out", "int8",
    )  # fmt: skip
    run_module(tmp_path, "edge.export", "--program", "int8", "--target", "onnx", "--out", "dist")
    artefact = "dist/distilpose_edge-onnx-int8.onnx"
    run_module(tmp_path, "edge.check", "--artefact", artefact, *people, "--json", "check.json")
    check = json.loads((tmp_path / "check.json").read_text())
    trained_figures = load_program(tmp_path / "int8").card.metrics["validation"]
    assert check["persons"] == PEOPLE
    for column, trained in (("fp32", "fp32"), ("fake_quant", "qat")):
        figures = {key: check[column][key] for key in ("ap", "pck")}
        assert figures == trained_figures[trained]
        assert figures["pck"] > 0.1, figures  # a figure that means something
