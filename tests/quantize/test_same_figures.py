"""What is trained is what ships: the figures of a program's card are those that `edge.check` measures, to the last digit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pose.program import load_program

pytest.importorskip("onnxruntime", reason="needs the extra 'onnx'")
ROOT = Path(__file__).parents[2]


def run_module(folder: Path, *command: str) -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    answer = subprocess.run(
        [sys.executable, "-m", *command], cwd=folder, env=environment, capture_output=True, text=True, timeout=900
    )
    assert answer.returncode == 0, answer.stderr


def test_validation_at_the_end_of_qat_is_the_fake_quant_column_of_edge_check(tmp_path: Path) -> None:
    recipe = "{epochs: 0.01, batch: 4, optimiser: adamw, lr: 0.00001, bf16: false, losses: {float_twin: 1}}"
    (tmp_path / "recipe.yaml").write_text(recipe)
    run_module(
        tmp_path, "quantize.qat", "--student", "distilpose_edge", "--teacher", "labels", "--recipe", "recipe.yaml",
        "--people", "8", "--calibration", "8", "--out", "int8",
    )  # fmt: skip
    for column, program in (("qat", "int8"), ("ptq", "int8/ptq")):
        out = f"dist-{column}"
        run_module(tmp_path, "edge.export", "--program", program, "--target", "onnx", "--out", out)
        artefact = f"{out}/distilpose_edge-onnx-int8.onnx"
        run_module(tmp_path, "edge.check", "--artefact", artefact, "--limit", "100", "--json", f"{column}.json")
        check = json.loads((tmp_path / f"{column}.json").read_text())
        validation = load_program(tmp_path / program).card.metrics["validation"]
        assert check["persons"] == 100
        for measured, trained in (("fp32", "fp32"), ("fake_quant", column)):
            figures = {key: check[measured][key] for key in ("ap", "pck")}
            assert figures == validation[trained]
            assert figures["ap"] > 10  # a figure that means something
