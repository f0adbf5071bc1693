"""TFLite and ONNX artefacts are opened and scored where torch is not installed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from people_file import sample_of, write_people
from tiny_onnx import write_tiny_onnx

from calib_data.synthetic import validation
from edge import dist
from edge.check import main as check_command
from edge.evaluate import check as checks
from edge.evaluate.records import read_check
from pose.errors import BackendError

ROOT = Path(__file__).parents[2]


@pytest.fixture
def people(tmp_path: Path) -> Path:
    source = validation(2)
    return write_people(tmp_path / "people.json", tmp_path / "images", [sample_of(source, index) for index in range(2)])


@pytest.fixture
def artefact(tmp_path: Path) -> Path:
    write_tiny_onnx(tmp_path, "fp32", shift=0.1)
    return write_tiny_onnx(tmp_path)


def test_opening_an_artefact_imports_no_torch(artefact: Path) -> None:
    program = f"""
import sys
from pathlib import Path
from edge import run
from pose.weights import bundled
for path in (Path({str(artefact)!r}), bundled() / "distilpose_edge-tflite-int8.tflite"):
    run.open(path)
print("torch" in sys.modules)
"""
    answer = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert answer.stdout == "False\n", answer.stderr


def test_the_bundled_float_twin_needs_no_toolchain(tmp_path: Path) -> None:
    """Put together from the bundled weights, it is the file that its card describes, and answers as the card says."""
    program = """
import sys
import numpy as np
from edge.predict.student import artefact_path, twin_path
from edge import run
from pose import card as cards
path = twin_path(artefact_path(), "fp32")
card = cards.read(cards.card_path(path))
card.verify_artefact(path)
coords, _ = run.open(path).predict(card.golden.pixels(card.spec.width, card.spec.height)[None])
print(card.precision, np.abs(coords[0] - card.golden.expected["fp32"].coords).max() < 1e-4, "torch" in sys.modules)
"""
    environment = {**os.environ, "DISTILPOSE_CACHE": str(tmp_path)}
    command = [sys.executable, "-c", program]
    answer = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)
    assert answer.stdout == "fp32 True False\n", answer.stderr


def test_the_float_artefact_is_the_float_column(
    artefact: Path, people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(checks, "find_spec", lambda name: None)
    check_command(artefact=artefact, data=people, json=tmp_path / "check.json")
    printed, said = capsys.readouterr()
    assert "torch is not installed" in said
    assert "fake_quant" not in printed
    assert "from torch" not in printed
    check = read_check(tmp_path / "check.json")
    assert list(check.columns()) == ["float", "lowered"]
    assert check.fake_quant.error == "torch is not installed"
    assert check.lowered.fake_quant_px is None
    assert check.lowered.keypoint_px is not None
    assert check.lowered.keypoint_px.median == pytest.approx(0.1 * 2**0.5 * 32, abs=1e-3)  # the twin's shift, of the crop
    assert check.float_twin is not None
    assert check.float_twin.torch_px is None


def test_without_a_float_artefact_there_is_nothing_to_compare_with(
    artefact: Path, people: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "find_spec", lambda name: None)
    for path in artefact.parent.glob("tiny-onnx-fp32*"):
        path.unlink()
    with pytest.raises(BackendError, match="without torch the float column"):
        checks.check(dist.find(artefact), checks.open_source(people, None, "annotation"))
