"""distilpose_edge: a regression student whose graph is int8 from end to end.

MoveNet Lightning's trunk, then the token encoder with batch norm for LayerNorm and ReLU for GELU: both fold or fuse away at
export, so that a backend sees convolutions, linears and batched matrix products only.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pose.models.backbones.movenet import MoveNetTrunk
from pose.models.encoder import PatchEmbedding, TokenBatchNorm, TokenEncoder, sine_position
from pose.models.output import PoseOutput


class DistilPoseEdge(nn.Module):
    """Images `[N, 3, 192, 192]` in -1..1 -> `PoseOutput` with everything but heatmaps.

    Args:
        keypoints: K.
        size: side of the square input in pixels, a multiple of 32.
        dim, depth, heads: of the token encoder.
    """

    def __init__(self, keypoints: int = 17, size: int = 192, dim: int = 160, depth: int = 6, heads: int = 8) -> None:
        super().__init__()
        patch, grid = (4, 4), size // 16
        self.keypoints = keypoints
        self.backbone = MoveNetTrunk()
        self.patch = PatchEmbedding(MoveNetTrunk.channels, patch, dim)
        self.position = nn.Parameter(sine_position(grid, grid, dim), requires_grad=False)
        self.keypoint_token = nn.Parameter(torch.randn(1, keypoints, dim) * 0.02)
        self.encoder = TokenEncoder(dim, depth, heads, norm=TokenBatchNorm, activation=nn.ReLU)
        self.head = nn.Sequential(TokenBatchNorm(dim), nn.Linear(dim, 5))

    def forward(self, images: Tensor) -> PoseOutput:
        visual = self.patch(self.backbone(images)) + self.position
        keypoint = self.keypoint_token.expand(len(images), -1, -1)
        tokens = self.encoder(torch.cat([keypoint, visual], dim=1), self.position)
        keypoint, visual = tokens[:, : self.keypoints], tokens[:, self.keypoints :]
        raw = self.head(keypoint)
        return PoseOutput(
            coords=raw[..., :2].sigmoid(),
            scores=raw[..., 2],
            sigmas=F.softplus(raw[..., 3:]),
            keypoint_tokens=keypoint,
            visual_tokens=visual,
        )
