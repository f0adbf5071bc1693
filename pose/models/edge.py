"""distilpose_edge: a regression student whose graph is int8 from end to end.

MoveNet Lightning's trunk, then the token encoder with batch norm for LayerNorm and ReLU for GELU: both fold or fuse away at
export, so that a backend sees convolutions, linears and batched matrix products only.
"""

from __future__ import annotations

from torch import nn

from pose.models.backbones.movenet import MoveNetTrunk
from pose.models.distilpose import DistilPose
from pose.models.encoder import PatchEmbedding, TokenBatchNorm, TokenEncoder

_PATCH_STD = 0.9  # of initial weights: patches of the trunk's features (root mean square 0.34) come out at about 6
_KEYPOINT_STD = 3.0


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
        # The position embedding is added before every block and would drown patches of the usual size; and a norm over the
        # batch, unlike one over each token, does not lift keypoint tokens that are much smaller than the visual ones.
        nn.init.normal_(patch.linear.weight, std=_PATCH_STD)
        nn.init.zeros_(patch.linear.bias)
        nn.init.normal_(self.keypoint_token, std=_KEYPOINT_STD)
