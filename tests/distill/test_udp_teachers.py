"""Teachers whose heatmaps lie on a grid of corners (UDP): what they are asked, taught and compared with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from calib_data.sources import Data
from calib_data.synthetic import SyntheticPeople
from distill import task
from distill.batches import Batch
from distill.heatmap_fit import objective_of
from distill.losses import Target
from distill.recipe import LossWeights, Recipe
from distill.request import Request
from distill.validation import DecodedNetwork
from pose import models
from pose.crop import CropSpec
from pose.heatmaps import HeatmapGrid
from pose.models import ModelSpec, checkpoint
from pose.models.output import PoseOutput
from pose.models.teacher import NetworkTeacher
from pose.skeleton import COCO_17

SMALL = CropSpec(width=64, height=64)
PLACE = 42 / 64  # of cell 10 of 16: cells 0 and 15 lie on pixels 0 and 63


class Constant(nn.Module):
    """Its joints are on cell 10, whatever it sees, as Gaussians of two cells."""

    def __init__(self, keypoints: int) -> None:
        super().__init__()
        cells = torch.arange(16)
        gauss = torch.exp(-(cells - 10).square() / 8)
        self.maps = nn.Parameter((gauss[:, None] * gauss).repeat(keypoints, 1, 1))

    def forward(self, images: Tensor) -> PoseOutput:
        return PoseOutput(heatmaps=self.maps[None].repeat(len(images), 1, 1, 1))


@pytest.fixture
def udp(monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a network with such weights."""
    monkeypatch.setitem(models.MODELS, "small_udp", ModelSpec(Constant, SMALL, (16, 16), teacher=True, corners=True))
    monkeypatch.setitem(models.MODELS, "small", ModelSpec(Constant, SMALL, (16, 16), teacher=True))
    return "small_udp"


@pytest.mark.parametrize("name", ["hrnet_w32_udp", "hrnet_w48_udp"])
def test_published_ones_have_a_name_of_their_own(name: str) -> None:
    assert models.MODELS[name].corners
    assert not models.MODELS[name.removesuffix("_udp")].corners


@torch.no_grad()
def test_its_keypoints_are_decoded_on_that_grid(udp: str) -> None:
    model = models.build(udp).eval()
    teacher = NetworkTeacher(udp, model, COCO_17, "a")
    assert teacher.grid == HeatmapGrid(corners=(64, 64))
    crops = np.zeros((1, 64, 64, 3), np.uint8)
    assert np.allclose(teacher.observe(crops)[1], PLACE, atol=1e-3)
    assert np.allclose(DecodedNetwork(model)(torch.zeros(1, 3, 64, 64)).coords, PLACE, atol=1e-3)
    cells = NetworkTeacher("small", models.build("small").eval(), COCO_17, "a")
    assert np.allclose(cells.observe(crops)[1], 10 / 16, atol=1e-3)


def test_it_is_fitted_to_labels_on_that_grid(udp: str) -> None:
    target = Target(torch.full((1, 17, 2), PLACE), torch.ones(1, 17))
    batch = Batch(torch.zeros(1, 3, 64, 64), target, None, (0,))
    errors = {}
    for name in (udp, "small"):
        network = models.build(name)
        errors[name] = float(objective_of(network, LossWeights())(network, batch)["heatmap"])
    assert errors[udp] < 1e-9 < errors["small"]


def test_its_heatmaps_come_to_a_student_on_the_students_grid(
    udp: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cell by cell they cannot be compared with simulated ones: they are cached and resampled."""
    monkeypatch.setenv("DISTILPOSE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setitem(models.MODELS, "student", ModelSpec(Constant, SMALL, (16, 16), teacher=False))
    checkpoint.save(Constant(17), tmp_path / "teacher.safetensors")
    people, held_out = Data(SyntheticPeople(2, 0), "0" * 64), Data(SyntheticPeople(2, 1), "1" * 64)
    recipe = Recipe(epochs=1, batch=2, bf16=False)

    def build(name: str) -> task.Task:
        return task.build(Request(tmp_path, "student", name, tmp_path / "teacher.safetensors", people, held_out, recipe))

    assert build("small").live is not None
    built = build(udp)
    assert built.live is None
    assert built.batches.cache is not None
    assert built.batches.cache.grid == HeatmapGrid(corners=(64, 64))
