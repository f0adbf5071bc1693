"""The token encoder of TokenPose (section 3), DistilPose (section 3.2) and distilpose_edge.

Tokens are `[N, L, D]`: K learnable keypoint tokens first, then P visual tokens, row by row of the patch grid.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pose.models.official import TOKEN_LAYOUTS
from pose.models.protocols import Groups, parameter_groups


class TokenBatchNorm(nn.BatchNorm1d):
    """Batch norm over the channel of tokens `[N, L, D]`; unlike LayerNorm it folds into the linear that follows it."""

    def forward(self, tokens: Tensor) -> Tensor:
        return super().forward(tokens.flatten(0, 1)).view_as(tokens)


class Attention(nn.Module):
    """Multi-head self-attention over `[N, L, D]`, query, key and value in one linear without bias.

    Batched matrix products of rank 3: on CPU their bfloat16 backward takes half the time of the fused kernel's, and no
    backend has to break up a rank-4 `matmul`.
    """

    def __init__(self, dim: int, heads: int, scale: float) -> None:
        super().__init__()
        self.heads, self.scale = heads, scale
        self.qkv = nn.Linear(dim, 3 * dim, bias=False)
        self.out = nn.Linear(dim, dim)

    def forward(self, tokens: Tensor) -> Tensor:
        query, key, value = (split_heads(part, self.heads) for part in self.qkv(tokens).chunk(3, dim=-1))
        weights = torch.bmm(query * self.scale, key.transpose(1, 2)).softmax(-1)
        return self.out(merge_heads(torch.bmm(weights, value), self.heads))


def split_heads(tokens: Tensor, heads: int) -> Tensor:
    """`[N, L, D]` -> `[N * heads, L, D / heads]`."""
    return tokens.unflatten(-1, (heads, -1)).transpose(1, 2).flatten(0, 1)


def merge_heads(tokens: Tensor, heads: int) -> Tensor:
    """`[N * heads, L, D / heads]` -> `[N, L, D]`."""
    return tokens.unflatten(0, (-1, heads)).transpose(1, 2).flatten(2)


class Mlp(nn.Sequential):
    """Linear, activation, linear over `[N, L, D]`."""

    def __init__(self, dim: int, hidden: int, activation: Callable[[], nn.Module]) -> None:
        super().__init__()
        self.up = nn.Linear(dim, hidden)
        self.activation = activation()
        self.down = nn.Linear(hidden, dim)


class Block(nn.Module):
    """Pre-norm transformer block."""

    def __init__(
        self,
        dim: int,
        heads: int,
        mlp_ratio: int,
        scale: float,
        norm: Callable[[int], nn.Module],
        activation: Callable[[], nn.Module],
    ) -> None:
        super().__init__()
        self.norm1 = norm(dim)
        self.attention = Attention(dim, heads, scale)
        self.norm2 = norm(dim)
        self.mlp = Mlp(dim, mlp_ratio * dim, activation)

    def forward(self, tokens: Tensor) -> Tensor:
        tokens = tokens + self.attention(self.norm1(tokens))
        return tokens + self.mlp(self.norm2(tokens))


class TokenEncoder(nn.Module):
    """`depth` blocks; the position embedding is added to the visual tokens before all but the first ("sine-full").

    Args:
        scale: factor of the attention logits; (dim / heads) ** -0.5 when None.
    """

    def __init__(
        self,
        dim: int,
        depth: int,
        heads: int = 8,
        mlp_ratio: int = 3,
        scale: float | None = None,
        norm: Callable[[int], nn.Module] = nn.LayerNorm,
        activation: Callable[[], nn.Module] = nn.GELU,
    ) -> None:
        super().__init__()
        scale = (dim / heads) ** -0.5 if scale is None else scale
        self.blocks = nn.ModuleList(Block(dim, heads, mlp_ratio, scale, norm, activation) for _ in range(depth))

    def forward(self, tokens: Tensor, position: Tensor) -> Tensor:
        """`[N, K + P, D]` from tokens of that shape and the position embedding `[1, P, D]` of the visual ones."""
        keypoints = tokens.shape[1] - position.shape[1]
        everywhere = F.pad(position, (0, 0, keypoints, 0))
        for index, block in enumerate(self.blocks):
            tokens = block(tokens if index == 0 else tokens + everywhere)
        return tokens


class PatchEmbedding(nn.Module):
    """Cuts a feature map `[N, C, H, W]` into patches and embeds each linearly: `[N, P, D]`.

    The patch vector is ordered (row in patch, column in patch, channel), as in the official checkpoints.
    """

    def __init__(self, channels: int, patch: tuple[int, int], dim: int) -> None:
        super().__init__()
        self.patch = patch
        self.linear = nn.Linear(channels * patch[0] * patch[1], dim)

    def forward(self, features: Tensor) -> Tensor:
        n, c, h, w = features.shape
        rows, columns = self.patch
        grid = features.reshape(n, c, h // rows, rows, w // columns, columns)
        return self.linear(grid.permute(0, 2, 4, 3, 5, 1).reshape(n, -1, rows * columns * c))


_PATCH_STD = 0.04  # patches of the stemnet's features come out at about 2


@torch.no_grad()
def raise_patches(patch: PatchEmbedding, std: float = _PATCH_STD) -> None:
    """Large initial weights: with usual ones the position embedding, added before every block, outweighs the patches."""
    nn.init.normal_(patch.linear.weight, std=std)
    nn.init.zeros_(patch.linear.bias)


def periods(channels: int) -> Tensor:
    """How many times as long as the first channel's each channel's period is, `[channels]`, in a sine embedding."""
    return 10000.0 ** (2 * (torch.arange(channels) // 2) / channels)


def sine_position(rows: int, columns: int, dim: int, start: float = 1.0) -> Tensor:
    """Fixed 2-D sine embedding `[1, rows * columns, dim]`: half of the channels for y, half for x, a full turn each.

    Args:
        start: position of the first row and column, in cells.
    """

    def axis(length: int) -> Tensor:
        angles = (torch.arange(length)[:, None] + start) / (length + 1e-6) * 2 * math.pi / periods(dim // 2)
        return torch.stack([angles[:, 0::2].sin(), angles[:, 1::2].cos()], dim=-1).flatten(1)

    y = axis(rows)[:, None].expand(rows, columns, -1)
    x = axis(columns)[None].expand(rows, columns, -1)
    return torch.cat([y, x], dim=-1).reshape(1, rows * columns, -1)


class TokenNetwork(nn.Module):
    """Backbone, patch embedding, learnable keypoint tokens, encoder; a subclass adds the head.

    Args:
        backbone: images `[N, 3, H, W]` -> features that `patch` can cut.
        grid: (rows, columns) of patches; P is their product.
        keypoints: K.
    """

    layouts = TOKEN_LAYOUTS

    def __init__(
        self, backbone: nn.Module, patch: PatchEmbedding, grid: tuple[int, int], keypoints: int, encoder: nn.Module
    ) -> None:
        super().__init__()
        dim = patch.linear.out_features
        self.keypoints, self.grid = keypoints, grid
        self.backbone = backbone
        self.patch = patch
        self.position = nn.Parameter(sine_position(*grid, dim), requires_grad=False)
        self.keypoint_token = nn.Parameter(torch.randn(1, keypoints, dim) * 0.02)
        self.encoder = encoder

    def parameter_groups(self) -> Groups:
        """The backbone, the matrices of the encoder, and the rest; see `pose.models.protocols.Student`."""
        return parameter_groups(self, [self.backbone], [self.encoder])

    def embed(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens `[N, K + P, D]` that the encoder starts from, and the position embedding `[1, P, D]` of the visual ones.

        Images may be smaller than the network's own (progressive resizing): the embedding is then averaged to their grid.
        """
        features = self.backbone(images)
        visual = self.patch(features)
        position: Tensor = self.position
        if visual.shape[1] != position.shape[1]:
            rows, columns = self.patch.patch
            cells = features.shape[-2] // rows, features.shape[-1] // columns
            plane = position.transpose(1, 2).unflatten(-1, self.grid)
            position = F.adaptive_avg_pool2d(plane, cells).flatten(2).transpose(1, 2)
        keypoint = self.keypoint_token.expand(len(images), -1, -1)
        return torch.cat([keypoint, visual + position], dim=1), position

    def split(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Keypoint tokens `[N, K, D]` and visual tokens `[N, P, D]`."""
        return tokens[:, : self.keypoints], tokens[:, self.keypoints :]
