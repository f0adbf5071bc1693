"""Networks at half their usual crop, 96x128 pixels, for ablations that a laptop can run: a quarter of the work of each step.

They are named on a command line as `results/half_crops.py:deeppose_r50_half`.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from pose.crop import CropSpec
from pose.models import deeppose, distilpose, simplebaselines, tokenpose

_CROP = CropSpec(width=96, height=128)


def _half(build: Callable[[int], nn.Module], heatmap: tuple[int, int]) -> Callable[[int], nn.Module]:
    def built(keypoints: int) -> nn.Module:
        return build(keypoints)

    vars(built).update(crop=_CROP, heatmap=heatmap)
    return built


simplebaselines_r50_half = _half(simplebaselines.simplebaselines_r50, (24, 32))
deeppose_r50_half = _half(deeppose.deeppose_r50, (24, 32))
tokenpose_s_half = _half(tokenpose.tokenpose_s, (48, 64))  # a linear layer gives the heatmap, whatever the crop
distilpose_s_half = _half(distilpose.distilpose_s, (48, 64))
