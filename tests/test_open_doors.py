"""Skeletons that nobody registered go from a COCO file to checked artefacts, by commands alone."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from documents import ROOT, code_blocks
from drawn_objects import ANIMAL, HAND, write_objects

from pose.card import read
from pose.program import load_program

for extra, module in (("executorch", "executorch"), ("tflite", "litert_torch"), ("onnx", "onnxruntime")):
    pytest.importorskip(module, reason=f"needs the extra {extra!r}")

pytestmark = pytest.mark.minutes

RECIPE = "{epochs: 0.01, batch: 4, optimiser: adamw, lr: 0.0001, backbone_lr: 0.00001, bf16: false, losses: {float_twin: 1}}"


def run(line: str, folder: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", *shlex.split(line)]
    answer = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=600)
    assert answer.returncode == 0, f"{line}\n{answer.stdout}\n{answer.stderr}"


@pytest.mark.parametrize(
    ("category", "student", "limbs", "flip_pairs", "files"),
    [
        pytest.param(
            *(HAND, "distilpose_edge", 20, 0, {"onnx": "onnx"}),
            id="hand, bundled architecture",
            marks=pytest.mark.xdist_group("hand"),
        ),
        pytest.param(
            *(ANIMAL, "my_student.py:SmallStudent", 6, 3, {"executorch": "pte", "tflite": "tflite"}),
            id="animal, architecture of a user's file",
            marks=pytest.mark.xdist_group("animal"),
        ),
    ],
)
def test_a_new_skeleton_becomes_checked_artefacts(
    category: dict[str, Any], student: str, limbs: int, flip_pairs: int, files: dict[str, str], tmp_path: Path
) -> None:
    """`files` names the targets and the suffixes of their artefacts."""
    write_objects(tmp_path / "data", category)
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    (tmp_path / "my_student.py").write_text(code_blocks("add-a-student.md", "python my_student.py")[0])
    name = student.rpartition(":")[2]
    common = f"--student {student} --teacher labels --data data/people.json --val data/people.json --recipe recipe.yaml"
    run(f"distill.student {common} --out float", tmp_path)
    run(f"quantize.qat {common} --weights float/student.safetensors --calibration 4 --out int8", tmp_path)
    validation = load_program(tmp_path / "int8").card.metrics["validation"]
    for target in files:
        run(f"edge.export --program int8 --target {target} --out dist", tmp_path)
    artefacts = [f"dist/{name}-{target}-int8.{suffix}" for target, suffix in files.items()]
    run(f"edge.check --artefact {artefacts[0]} --target all --data data/people.json --json check.json", tmp_path)
    checks = json.loads((tmp_path / "check.json").read_text())["targets"].values()
    assert len(checks) == len(files)
    for artefact in artefacts:
        skeleton = read(tmp_path / f"{artefact}.card.yaml").skeleton
        assert list(skeleton.joints) == category["keypoints"]
        assert (len(skeleton.limbs), len(skeleton.flip_pairs)) == (limbs, flip_pairs)
        (check,) = (check for check in checks if check["artefact"] == artefact)
        assert check["joints"] == category["keypoints"]
        assert check["lowered"]["fake_quant_px"]["median"] < 0.5
        for column, trained in (("fp32", "fp32"), ("fake_quant", "qat")):
            assert {key: check[column][key] for key in ("ap", "pck")} == validation[trained]
