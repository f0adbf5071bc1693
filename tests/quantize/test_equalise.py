"""Equalised channels: the same network, whose feature maps lose less to one int8 scale."""

from __future__ import annotations

import copy
import math
from typing import cast

import pytest
import torch
from tiny_student import SPEC, tiny_images, tiny_student
from torch import Tensor, nn
from torch.nn import functional as F

from pose import models
from pose.models.deploy import deploy
from quantize.equalise import equalise
from quantize.program import trace


class Uneven(nn.Module):
    """Dense, depthwise and resized feature maps whose channels differ a thousandfold; one channel is always silent."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.side = nn.Conv2d(3, 6, 1), nn.Conv2d(3, 6, 1)
        self.depthwise, self.dense = nn.Conv2d(6, 6, 3, groups=6), nn.Conv2d(6, 4, 1)
        self.clamped, self.last = nn.Conv2d(4, 5, 1), nn.Conv2d(5, 2, 1)
        with torch.no_grad():
            uneven = torch.logspace(-1.5, 1.5, 6)[:, None, None, None]
            for conv in (self.first, self.side, self.depthwise):
                conv.weight.mul_(uneven)
            for conv in (self.first, self.side):
                conv.weight[2] = 0
                cast(Tensor, conv.bias)[2] = 0

    def forward(self, images: Tensor) -> Tensor:
        resized = F.interpolate(self.first(images), scale_factor=2.0, mode="bilinear")
        features = self.depthwise(F.pad(resized + self.side(F.interpolate(images, scale_factor=2.0)), (0, 1, 0, 1)))
        clamped = F.relu6(self.clamped(self.dense(features.relu())))
        return self.last(clamped).flatten(1)


def export(model: nn.Module) -> torch.fx.GraphModule:
    return torch.export.export(copy.deepcopy(model), (torch.zeros(2, 3, 8, 8),)).module()


def spread(values: Tensor) -> float:
    """Largest over smallest range of the channels that are not silent."""
    ranges = values.abs().amax((0, 2, 3))
    heard = ranges[ranges > 1e-6]
    return (heard.max() / heard.min()).item()


@torch.no_grad()
def test_ranges_come_closer_and_the_function_stays() -> None:
    torch.manual_seed(0)
    model, images = Uneven(), torch.rand(2, 3, 8, 8)
    expected, before = model(images), (spread(model.first(images)), spread(model.side(images)))
    groups = equalise(model, export(model), [images])
    assert groups == 3  # both summands and their sum; the depthwise output; the dense one, which ReLU6's writer reads
    torch.testing.assert_close(model(images), expected, rtol=1e-4, atol=1e-5)
    assert spread(model.first(images)) < before[0] / 10
    assert spread(model.side(images)) < before[1] / 10


@torch.no_grad()
def test_a_clamp_from_above_lets_no_scale_through() -> None:
    torch.manual_seed(0)
    model, images = Uneven(), torch.rand(2, 3, 8, 8)
    kept = model.last.weight.clone(), cast(Tensor, model.clamped.bias).clone()
    equalise(model, export(model), [images])
    assert torch.equal(model.last.weight, kept[0])
    assert torch.equal(cast(Tensor, model.clamped.bias), kept[1])


@torch.no_grad()
def test_a_student_stays_what_it_was() -> None:
    torch.manual_seed(0)
    spec = models.MODELS["distilpose_s"].crop
    form, images = deploy(models.build("distilpose_s").eval()), torch.rand(2, 3, spec.height, spec.width) * 2 - 1
    expected, weights = form(images), {key: value.clone() for key, value in form.state_dict().items()}
    assert equalise(form, trace(form, spec), [images]) > 10
    now = form(images)
    assert (now.coords - expected.coords).abs().max() < 1e-5
    assert (now.visual_tokens - expected.visual_tokens).abs().max() < 1e-4 * expected.visual_tokens.abs().max()
    changed = {key for key, value in form.state_dict().items() if not torch.equal(value, weights[key])}
    assert {"blocks.0.norm1.weight", "blocks.0.query.weight", "readout.norm2.weight", "readout.up.weight"} < changed
    assert not [key for key in changed if key.endswith(("out.weight", "down.weight"))]


@torch.no_grad()
def test_the_middle_of_each_patch_channel_goes_into_the_start() -> None:
    form, images = deploy(tiny_student()), tiny_images(4)
    assert form.patch.bias is not None
    form.patch.bias += torch.linspace(-5, 5, len(form.patch.bias))
    expected = form(images)
    equalise(form, trace(form, SPEC), [images])
    patches = form.patch(form.backbone(images)).transpose(0, 1).flatten(1)
    torch.testing.assert_close(patches.amax(1), -patches.amin(1), rtol=0, atol=1e-5)
    torch.testing.assert_close(form(images).coords, expected.coords, rtol=0, atol=1e-5)


@torch.no_grad()
def test_relu6_lets_one_factor_through_and_ends_where_int8_does() -> None:
    form, images = deploy(tiny_student()), tiny_images(2)
    expected, stem = form(images), form.get_parameter("backbone.stem.0.weight").clone()
    assert equalise(form, trace(form, SPEC), [images]) == 2
    torch.testing.assert_close(form(images).coords, expected.coords, rtol=0, atol=1e-5)
    factors = form.get_parameter("backbone.stem.0.weight") / stem
    assert factors.max() - factors.min() < 1e-5 < (factors - 1).abs().min()
    step = cast(nn.Hardtanh, form.get_submodule("backbone.stem.1")).max_val / 255
    assert math.log2(step) == pytest.approx(round(math.log2(step)), abs=1e-5)
