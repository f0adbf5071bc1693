"""The regression families with a few thousand parameters each, in evaluation mode, for crops of 64x64."""

from __future__ import annotations

from collections.abc import Callable

import torch
from tiny_student import SPEC, used
from torch import nn

from pose.models.backbones.resnet import FrozenBatchNorm2d, LastMap, ResNet
from pose.models.deeppose import DeepPose
from pose.models.poseur import Poseur
from pose.models.prtr import PRTR
from pose.models.rle import RLE

GRID = (16, 16)


def _made(builder: Callable[[], nn.Module]) -> nn.Module:
    torch.manual_seed(0)
    model = used(builder())
    model.crop, model.heatmap = SPEC, GRID  # type: ignore[assignment]
    return model


def deeppose() -> nn.Module:
    return _made(lambda: DeepPose(LastMap((1, 1), width=8), 64, 17))


def rle() -> nn.Module:
    return _made(lambda: RLE(LastMap((1, 1), width=8), 64, 17, heatmap=GRID))


def prtr() -> nn.Module:
    backbone = LastMap((1, 1), width=8, norm=FrozenBatchNorm2d)
    return _made(lambda: PRTR(backbone, 64, 17, (8, 8), queries=20, dim=32, heads=2, hidden=32, depth=1))


def poseur() -> nn.Module:
    return _made(lambda: Poseur(ResNet((1, 1), width=8), 17, GRID, dim=64, heads=2, hidden=32, depth=1))


FAMILIES = {"deeppose": deeppose, "rle": rle, "prtr": prtr, "poseur": poseur}
