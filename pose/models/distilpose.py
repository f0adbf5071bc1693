"""DistilPose (CVPR 2023): the regression students, for crops of 192x256."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pose.models.backbones.hrnet import HRNet
from pose.models.backbones.stemnet import StemNet
from pose.models.encoder import PatchEmbedding, TokenEncoder, TokenNetwork, raise_patches
from pose.models.output import PoseOutput

if TYPE_CHECKING:
    from pose.models.deploy import DeployPose

_DIM = 192


class DistilPose(TokenNetwork):
    """Images `[N, 3, H, W]` -> `PoseOutput` with everything but heatmaps (section 3).

    Args:
        norm: of the head, before its only linear layer.
    """

    def __init__(
        self,
        backbone: nn.Module,
        patch: PatchEmbedding,
        grid: tuple[int, int],
        keypoints: int,
        encoder: TokenEncoder,
        norm: nn.Module,
    ) -> None:
        super().__init__(backbone, patch, grid, keypoints, encoder)
        self.head = nn.Sequential(norm, nn.Linear(patch.linear.out_features, 5))

    def forward(self, images: Tensor) -> PoseOutput:
        keypoint, visual = self.split(self.encoder(*self.embed(images)))
        with torch.autocast(keypoint.device.type, enabled=False):  # a coordinate in bfloat16 has steps of half a pixel
            raw = self.head(keypoint.float())
        return PoseOutput(
            coords=raw[..., :2].sigmoid(),
            scores=raw[..., 2],
            sigmas=F.softplus(raw[..., 3:]),
            keypoint_tokens=keypoint,
            visual_tokens=visual,
        )

    def deploy(self) -> DeployPose:
        """The form that ships, equal to this network in evaluation mode; see `pose.models.deploy`."""
        from pose.models.deploy import DeployPose

        return DeployPose(self)


def _student(backbone: nn.Module, channels: int, keypoints: int) -> DistilPose:
    patch, encoder = PatchEmbedding(channels, (4, 3), _DIM), TokenEncoder(_DIM, 12)
    student = DistilPose(backbone, patch, (16, 16), keypoints, encoder, nn.LayerNorm(_DIM))
    raise_patches(patch)
    return student


def distilpose_s(keypoints: int) -> DistilPose:
    """Stemnet: 5.36 M parameters, 2.38 G multiply-adds."""
    return _student(StemNet(), StemNet.channels, keypoints)


def distilpose_l(keypoints: int) -> DistilPose:
    """HRNet-W48 up to stage 3: 21.27 M parameters, 10.33 G multiply-adds."""
    return _student(HRNet(48, 3), 48, keypoints)
