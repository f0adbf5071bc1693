"""DeepPose (Toshev and Szegedy, CVPR 2014) as mmpose has it: coordinates from the pooled features of a ResNet."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pose.models.backbones.resnet import BLOCKS, LastMap
from pose.models.output import PoseOutput
from pose.models.regression import RegressionStudent, full_precision, pool, small_linear

_SIGMA = 2.0  # heatmap pixels, where our head for sigmas starts: the width of the Gaussians that teachers are trained on


class DeepPoseHead(nn.Module):
    """Features `[N, C, h, w]` -> coordinates without bounds, scores, sigmas in heatmap pixels.

    The original has coordinates alone. `scores` and `sigmas` are ours, for the confidence and the simulated-heatmap loss:
    they start as constants, 1 (what the original reports) and two pixels.
    """

    def __init__(self, features: int, keypoints: int) -> None:
        super().__init__()
        self.fc = small_linear(features, 2 * keypoints, 0.5)
        self.scores = nn.Linear(features, keypoints)
        self.sigmas = nn.Linear(features, 2 * keypoints)
        starts = {self.scores: 1.0, self.sigmas: torch.tensor(_SIGMA).expm1().log().item()}
        for layer, start in starts.items():
            nn.init.zeros_(layer.weight)
            nn.init.constant_(layer.bias, start)

    def forward(self, features: Tensor) -> PoseOutput:
        with full_precision(features):
            pooled = pool(features.float())
            coords, sigmas = (layer(pooled).unflatten(-1, (-1, 2)) for layer in (self.fc, self.sigmas))
            return PoseOutput(coords=coords, scores=self.scores(pooled), sigmas=F.softplus(sigmas))


class DeepPose(RegressionStudent):
    """Images `[N, 3, H, W]` -> `PoseOutput` with coordinates, scores and sigmas.

    Args:
        backbone: images -> features `[N, channels, h, w]`.
    """

    auxiliary = ("head.scores", "head.sigmas")
    flip_shift = 1.0

    def __init__(self, backbone: nn.Module, channels: int, keypoints: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = DeepPoseHead(channels, keypoints)

    def forward(self, images: Tensor) -> PoseOutput:
        return self.head(self.backbone(images))


def deeppose_r50(keypoints: int) -> DeepPose:
    """ResNet-50: 23.58 M parameters, 4.00 G multiply-adds."""
    backbone = LastMap(BLOCKS[50])
    return DeepPose(backbone, backbone.channels[-1], keypoints)
