"""A teacher of the user's own whose heatmaps are logits is refused before anything is trained or cached."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import yaml
from drawn_source import Dots
from foreign_network import description, write_model
from torch import nn

from calib_data.sources import Data
from distill import task
from distill.recipe import Recipe
from distill.request import Request
from pose import models
from pose.crop import CropSpec
from pose.errors import InputError
from pose.models import ModelSpec
from pose.models.output import PoseOutput

SPEC = CropSpec(width=64, height=64)


class Teacher(nn.Module):
    """Heatmaps of one value beside the joint, and another one on it."""

    def __init__(self, low: float, high: float) -> None:
        super().__init__()
        maps = torch.full((1, 17, 16, 16), float(low))
        maps[..., 4, 5] = high
        self.maps = nn.Parameter(maps)

    def forward(self, images: torch.Tensor) -> PoseOutput:
        return PoseOutput(heatmaps=self.maps.expand(len(images), -1, -1, -1))


def request(folder: Path, monkeypatch: pytest.MonkeyPatch, low: float, high: float, crop: CropSpec) -> Request:
    """Of a teacher with these values; the student takes crops of `SPEC`."""
    monkeypatch.setenv("DISTILPOSE_CACHE", str(folder / "cache"))
    spec = ModelSpec(lambda keypoints: Teacher(low, high), crop, (16, 16), teacher=True, source=Path(__file__))
    monkeypatch.setitem(models.MODELS, "mine", spec)
    student = ModelSpec(lambda keypoints: nn.Identity(), SPEC, (16, 16), teacher=False)
    monkeypatch.setitem(models.MODELS, "student", student)
    torch.save(Teacher(low, high).state_dict(), folder / "teacher.pt")
    people = Data(Dots(), "a" * 64)
    return Request(folder / "run", "student", "mine", folder / "teacher.pt", people, people, Recipe(batch=2, epochs=1))


@pytest.mark.parametrize("crop", [SPEC, CropSpec(width=96, height=96)], ids=["live", "cached"])
def test_logits_are_refused(crop: CropSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"'mine': its heatmaps reach from -9 to 2, not from 0 to about 1; return them"):
        task.build(request(tmp_path, monkeypatch, -9, 2, crop))
    assert not list(tmp_path.rglob("heatmaps.npy"))
    assert task.build(request(tmp_path, monkeypatch, 0, 0.9, crop)).teacher == "mine"


@pytest.mark.parametrize(("high", "is_said"), [(0.02, True), (0.9, False)])
def test_heatmaps_of_a_small_unit_are_a_note(
    high: float, is_said: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    task.build(request(tmp_path, monkeypatch, 0, high, CropSpec(width=96, height=96)))
    said = " ".join(capsys.readouterr().err.split())
    assert (
        "mine is sure of nothing: nine in ten of its heatmaps stay below 0.02, where joints have about 1" in said
    ) is is_said


@pytest.mark.parametrize("direct", [False, True])
def test_a_foreign_teacher_that_shows_everybody_is_a_note(
    direct: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DISTILPOSE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setitem(models.MODELS, "student", ModelSpec(lambda keypoints: nn.Identity(), SPEC, (16, 16), teacher=False))
    write_model(tmp_path / "net.onnx")
    described = description() | ({"keypoints": {"output": "points", "order": "xys"}} if direct else {})
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(described))
    people = Data(Dots(), "a" * 64)
    task.build(Request(tmp_path / "run", "student", str(tmp_path / "mine.yaml"), None, people, people, Recipe(batch=2)))
    assert ("heatmaps may show a neighbour's joint" in " ".join(capsys.readouterr().err.split())) is not direct
