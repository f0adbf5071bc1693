"""Networks at half their usual crop, 96x128 pixels, for ablations that a laptop can run: a quarter of the work of each step.

They are named on a command line as `results/half_crops.py:deeppose_r50_half`.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from pose.crop import CropSpec
from pose.models import deeppose, simplebaselines

_CROP, _GRID = CropSpec(width=96, height=128), (24, 32)


def _half(build: Callable[[int], nn.Module]) -> Callable[[int], nn.Module]:
    def built(keypoints: int) -> nn.Module:
        return build(keypoints)

    vars(built).update(crop=_CROP, heatmap=_GRID)
    return built


simplebaselines_r50_half = _half(simplebaselines.simplebaselines_r50)
deeppose_r50_half = _half(deeppose.deeppose_r50)
