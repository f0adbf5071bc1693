"""A small teacher of each heatmap family, fitted to drawn people, teaches a small student of each regression family.

The student is made int8 by quantization-aware training, lowered and checked.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_regression import FAMILIES as STUDENTS
from tiny_regression import GRID
from tiny_student import SPEC
from torch import nn

from calib_data.sources import Data
from calib_data.synthetic import SyntheticPeople
from distill import fit_teacher
from distill.recipe import Recipe
from distill.request import Request
from distill.run_files import STUDENT, TEACHER
from distill.student import distill
from pose import models
from pose.crop import BGR, CropSpec
from pose.models import ModelSpec, checkpoint
from pose.models.backbones.resnet import LastMap
from pose.models.hrnet import HRNetPose
from pose.models.okdhp import OnlineHourglass
from pose.models.simplebaselines import SimpleBaseline
from pose.models.teacher import load_network
from pose.models.transpose import PixelEncoder, TransPose
from pose.skeleton import COCO_17

pytest.importorskip("onnxscript", reason="needs the extra 'onnx'")

SMALL = CropSpec(width=64, height=64)
SMALL_BGR = replace(BGR, width=64, height=64)


def transpose(keypoints: int) -> nn.Module:
    return TransPose(LastMap((1, 1), width=4), PixelEncoder(32, 16, (8, 8), 1, heads=2, hidden=32), 1, keypoints)


FAMILIES: dict[str, tuple[Callable[[int], nn.Module], CropSpec, str]] = {  # of the teacher, its crop, of the student
    "hrnet": (lambda keypoints: HRNetPose(4, keypoints), SPEC, "deeppose"),  # it sees the student's own crops
    "simplebaselines": (lambda keypoints: SimpleBaseline(keypoints, (1, 1, 1, 1), width=4, channels=8), SMALL_BGR, "rle"),
    "transpose": (transpose, SMALL, "prtr"),
    "okdhp": (lambda keypoints: OnlineHourglass(keypoints, shared=0, own=1, channels=8), SMALL, "poseur"),
}
RECIPE = Recipe(epochs=1, batch=4, optimiser="adamw", lr=1e-3, bf16=False)


@pytest.mark.parametrize("family", FAMILIES)
def test_from_labels_to_a_checked_artefact(family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from edge.dist import Dist
    from edge.evaluate.check import check
    from edge.export import export
    from quantize.pipeline import quantize
    from quantize.precision import Precision

    builder, crop, student = FAMILIES[family]
    monkeypatch.setenv("DISTILPOSE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setitem(models.MODELS, "small", ModelSpec(builder, crop, (16, 16), teacher=True))
    monkeypatch.setitem(models.MODELS, "student", ModelSpec(lambda _: STUDENTS[student](), SPEC, GRID, teacher=False))
    people = Data(SyntheticPeople(8, 0), "0" * 64)
    held_out = Data(SyntheticPeople(4, 1), "1" * 64)
    fit_teacher.fit("small", tmp_path / "teacher", people, held_out, RECIPE)
    request = Request(tmp_path / "float", "student", "small", tmp_path / "teacher" / TEACHER, people, held_out, RECIPE)
    distill(request)
    request = replace(request, out=tmp_path / "int8", weights=tmp_path / "float" / STUDENT)
    figures = quantize(request, Precision(), calibration=4)
    export(tmp_path / "int8", "onnx", "int8", tmp_path / "dist")
    result = check(Dist(tmp_path / "dist").latest(), held_out.source)
    assert result.lowered.pck is not None
    assert (result.fp32.pck, result.fake_quant.pck) == (figures["fp32"]["pck"], figures["qat"]["pck"])
    assert abs(result.lowered.pck - result.fp32.pck) <= 10  # percent of four people's joints
    assert result.lowered.fake_quant_px.median < 0.5


def test_a_teacher_in_bgr_stays_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The authors' weights take blue first; so does what is fitted from them, in a file of ours, too."""
    small = SimpleBaseline(17, (1, 1, 1, 1), width=4, channels=8)
    (authors, *_) = small.layouts
    torch.save({authors.name(key): value for key, value in small.state_dict().items()}, tmp_path / "authors.pth")
    spec = ModelSpec(
        lambda keypoints: SimpleBaseline(keypoints, (1, 1, 1, 1), width=4, channels=8), CropSpec(), (48, 64), True
    )
    monkeypatch.setitem(models.MODELS, "small", spec)
    teacher = load_network("small", tmp_path / "authors.pth", COCO_17)
    assert teacher.crop == BGR
    checkpoint.save(teacher.model, tmp_path / "ours.safetensors")
    again = load_network("small", tmp_path / "ours.safetensors", COCO_17)
    assert again.crop == BGR
    crops = torch.randint(0, 256, (1, 256, 192, 3), dtype=torch.uint8).numpy()
    heatmaps = teacher.observe(crops)[0]
    assert (heatmaps == again.observe(crops)[0]).all()
    blue_first = torch.tensor(crops[..., ::-1].copy()).permute(0, 3, 1, 2) / 255
    mean, std = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]])[..., None, None]
    expected = small.eval()((blue_first - mean) / std).heatmaps.detach().numpy()
    assert abs(heatmaps - expected).max() < 1e-6
