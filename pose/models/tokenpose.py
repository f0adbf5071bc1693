"""TokenPose (ICCV 2021): heatmaps `[N, K, 64, 48]` from keypoint tokens, for crops of 192x256. The teachers.

Published twice, with one set of names here: `tokenpose_t` to `tokenpose_l_d24` are those of the TokenPose repository,
`tokenpose_s` and `tokenpose_l` the two teachers of the DistilPose paper.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pose.models.backbones.hrnet import HRNet
from pose.models.backbones.stemnet import StemNet
from pose.models.encoder import PatchEmbedding, TokenEncoder, TokenNetwork, raise_patches
from pose.models.output import PoseOutput

HEATMAP = (64, 48)  # rows, columns
_DIM = 192


def heatmap_head(features: int) -> nn.Sequential:
    """`[N, K, features]` -> `[N, K, 64 * 48]`; wide features go without the hidden layer, as published."""
    pixels = HEATMAP[0] * HEATMAP[1]
    hidden = pixels // 8
    if features > hidden // 2:
        return nn.Sequential(nn.LayerNorm(features), nn.Linear(features, pixels))
    return nn.Sequential(
        nn.LayerNorm(features), nn.Linear(features, hidden), nn.LayerNorm(hidden), nn.Linear(hidden, pixels)
    )


class TokenPose(TokenNetwork):
    """Images `[N, 3, 256, 192]` -> `PoseOutput` with heatmaps and tokens."""

    def __init__(
        self, backbone: nn.Module, patch: PatchEmbedding, grid: tuple[int, int], keypoints: int, encoder: TokenEncoder
    ) -> None:
        super().__init__(backbone, patch, grid, keypoints, encoder)
        self.head = heatmap_head(patch.linear.out_features)
        raise_patches(patch)

    def forward(self, images: Tensor) -> PoseOutput:
        keypoint, visual = self.split(self.encoder(*self.embed(images)))
        heatmaps = self.head(keypoint).unflatten(-1, HEATMAP)
        return PoseOutput(heatmaps=heatmaps, keypoint_tokens=keypoint, visual_tokens=visual)


class TokenPoseCascade(TokenNetwork):
    """TokenPose-L of the TokenPose repository: three encoders in a row, whose keypoint tokens are read side by side."""

    def __init__(
        self, backbone: nn.Module, patch: PatchEmbedding, grid: tuple[int, int], keypoints: int, encoders: list[TokenEncoder]
    ) -> None:
        super().__init__(backbone, patch, grid, keypoints, nn.ModuleList(encoders))
        self.head = heatmap_head(patch.linear.out_features * len(encoders))
        raise_patches(patch)

    def forward(self, images: Tensor) -> PoseOutput:
        (tokens, position), stages = self.embed(images), []
        for encoder in self.encoder.children():
            tokens = encoder(tokens, position)
            stages.append(tokens[:, : self.keypoints])
        keypoint, visual = self.split(tokens)
        heatmaps = self.head(torch.cat(stages, dim=-1)).unflatten(-1, HEATMAP)
        return PoseOutput(heatmaps=heatmaps, keypoint_tokens=keypoint, visual_tokens=visual)


def tokenpose_t(keypoints: int) -> TokenPose:
    """No backbone: patches of 12x16 pixels."""
    return TokenPose(nn.Identity(), PatchEmbedding(3, (16, 12), _DIM), (16, 16), keypoints, TokenEncoder(_DIM, 12, heads=16))


def tokenpose_s_v1(keypoints: int) -> TokenPose:
    """Stemnet, patches of 4x3 features; its attention scales by the whole dimension."""
    encoder = TokenEncoder(_DIM, 12, scale=_DIM**-0.5)
    return TokenPose(StemNet(), PatchEmbedding(StemNet.channels, (4, 3), _DIM), (16, 16), keypoints, encoder)


def tokenpose_s_v2(keypoints: int) -> TokenPose:
    """Stemnet, patches of 2x2 features: 768 visual tokens; its attention scales by the whole dimension."""
    encoder = TokenEncoder(_DIM, 12, scale=_DIM**-0.5)
    return TokenPose(StemNet(), PatchEmbedding(StemNet.channels, (2, 2), _DIM), (32, 24), keypoints, encoder)


def tokenpose_b(keypoints: int) -> TokenPose:
    """HRNet-W32 up to stage 3."""
    return TokenPose(HRNet(32, 3), PatchEmbedding(32, (4, 3), _DIM), (16, 16), keypoints, TokenEncoder(_DIM, 12))


def tokenpose_l_d24(keypoints: int) -> TokenPoseCascade:
    """HRNet-W48 up to stage 3, 3 x 8 blocks."""
    encoders = [TokenEncoder(_DIM, 8, heads=12) for _ in range(3)]
    return TokenPoseCascade(HRNet(48, 3), PatchEmbedding(48, (4, 3), _DIM), (16, 16), keypoints, encoders)


def tokenpose_s(keypoints: int) -> TokenPose:
    """The small teacher of the DistilPose paper: stemnet, 6.62 M parameters without the position embedding."""
    return TokenPose(StemNet(), PatchEmbedding(StemNet.channels, (4, 3), _DIM), (16, 16), keypoints, TokenEncoder(_DIM, 12))


def tokenpose_l(keypoints: int) -> TokenPose:
    """The teacher of the DistilPose paper: the whole HRNet-W48, 69.41 M parameters without the position embedding."""
    return TokenPose(HRNet(48, 4), PatchEmbedding(48, (4, 3), _DIM), (16, 16), keypoints, TokenEncoder(_DIM, 12))
