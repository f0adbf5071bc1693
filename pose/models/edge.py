"""distilpose_edge: a small regression student of MoveNet Lightning's trunk and a token encoder with ReLU in place of GELU.

LayerNorm becomes about ten float operators in ExecuTorch and TFLite. Batch norm in its place folds away at export
(`TokenBatchNorm`), but an encoder that starts with it did not learn on photos; it would have to replace LayerNorm during
training.
"""

from __future__ import annotations

from torch import nn

from pose.models.backbones.movenet import MoveNetTrunk
from pose.models.distilpose import DistilPose
from pose.models.encoder import PatchEmbedding, TokenEncoder, raise_patches

_PATCH_STD = 0.45  # of initial weights: patches of the trunk's features (root mean square 0.34) come out at about 3


class DistilPoseEdge(DistilPose):
    """Images `[N, 3, 192, 192]` in -1..1 -> `PoseOutput` with everything but heatmaps.

    Args:
        keypoints: K.
        size: side of the square input in pixels, a multiple of 32.
        dim, depth, heads: of the token encoder.
    """

    def __init__(self, keypoints: int = 17, size: int = 192, dim: int = 160, depth: int = 6, heads: int = 5) -> None:
        patch, grid = PatchEmbedding(MoveNetTrunk.channels, (4, 4), dim), (size // 16, size // 16)
        encoder = TokenEncoder(dim, depth, heads, activation=nn.ReLU)
        super().__init__(MoveNetTrunk(), patch, grid, keypoints, encoder, nn.LayerNorm(dim))
        raise_patches(patch, _PATCH_STD)
