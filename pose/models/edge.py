"""distilpose_edge: a regression student whose graph is int8 from end to end.

MoveNet Lightning's trunk, then the token encoder with batch norm for LayerNorm and ReLU for GELU: both fold or fuse away at
export, so that a backend sees convolutions, linears and batched matrix products only.
"""

from __future__ import annotations

from torch import nn

from pose.models.backbones.movenet import MoveNetTrunk
from pose.models.distilpose import DistilPose
from pose.models.encoder import PatchEmbedding, TokenBatchNorm, TokenEncoder


class DistilPoseEdge(DistilPose):
    """Images `[N, 3, 192, 192]` in -1..1 -> `PoseOutput` with everything but heatmaps.

    Args:
        keypoints: K.
        size: side of the square input in pixels, a multiple of 32.
        dim, depth, heads: of the token encoder.
    """

    def __init__(self, keypoints: int = 17, size: int = 192, dim: int = 160, depth: int = 6, heads: int = 5) -> None:
        patch, grid = PatchEmbedding(MoveNetTrunk.channels, (4, 4), dim), (size // 16, size // 16)
        encoder = TokenEncoder(dim, depth, heads, norm=TokenBatchNorm, activation=nn.ReLU)
        super().__init__(MoveNetTrunk(), patch, grid, keypoints, encoder, TokenBatchNorm(dim))
