"""Smaller forms of `distilpose_edge_s`, named on a command line as `results/smaller.py:without_1280`.

Each leaves out a part of MoveNet's trunk and puts a cheaper one in its place, which `distill.student --replaces
distilpose_edge_s` trains first. What the first of them costs and saves is in docs/results.md; the second was not trained
to an end.
"""

from __future__ import annotations

from torch import nn

from pose.models import MODELS, gated
from pose.models.backbones.movenet import SameConv2d

_STEM = 3  # blocks of the trunk up to its first lateral connection, at stride 4


def without_1280(keypoints: int) -> gated.GatedPose:
    """Without the convolution from 320 to 1280 channels: one of 1x1 leads from the last block to the pyramid."""
    model = gated.distilpose_edge_s(keypoints)
    trunk = model.backbone
    inputs, outputs = trunk.last[0].in_channels, trunk.top.out_channels
    trunk.last, trunk.top = nn.Sequential(), nn.Conv2d(inputs, outputs, 1)
    return model


def fused_stem(keypoints: int) -> gated.GatedPose:
    """`without_1280`, and two full convolutions of stride 2 in place of the stem and the first three blocks."""
    model = without_1280(keypoints)
    trunk = model.backbone
    outputs = trunk.laterals[0].in_channels
    trunk.stem = nn.Sequential(
        SameConv2d(3, 24, 3, 2), nn.ReLU6(), SameConv2d(24, 48, 3, 2), nn.ReLU6(), nn.Conv2d(48, outputs, 1)
    )
    for index in range(_STEM):
        trunk.blocks[index] = nn.Identity()
    return model


for _factory in (without_1280, fused_stem):
    vars(_factory).update(crop=MODELS["distilpose_edge_s"].crop, heatmap=MODELS["distilpose_edge_s"].heatmap)
