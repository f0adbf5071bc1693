"""Multi-scale deformable attention (Zhu et al., ICLR 2021) in operators that every backend has: as matrix products.

Its features are projected by each head after they are sampled, as in Poseur.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_POINTS = 4  # that each head of a query samples of each map


class HeadLinear(nn.Module):
    """`[L, heads, dim]` -> `[L, heads, dim / heads]`: one linear a head."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(heads * dim, dim // heads))
        self.bias = nn.Parameter(torch.zeros(heads, dim // heads))
        nn.init.xavier_uniform_(self.weight)

    def forward(self, tokens: Tensor) -> Tensor:
        matrices = self.weight.chunk(len(self.bias))
        layers = zip(tokens.unbind(1), matrices, self.bias, strict=True)
        return torch.stack([F.linear(part, matrix.t(), bias) for part, matrix, bias in layers], dim=1)


class DeformableAttention(nn.Module):
    """Each head of a query samples a few points of each map around the query's own point, and sums them up.

    Sampling is a product with the weights of bilinear interpolation, `max(0, 1 - distance)` on each axis: the same values as
    a gather, in operators that every backend has.
    """

    def __init__(self, dim: int, heads: int, levels: int) -> None:
        super().__init__()
        self.heads, self.levels = heads, levels
        self.sampling_offsets = nn.Linear(dim, heads * levels * _POINTS * 2)
        self.attention_weights = nn.Linear(dim, heads * levels * _POINTS)
        self.value = HeadLinear(dim, heads)
        self.output_proj = nn.Linear(dim, dim)
        nn.init.zeros_(self.sampling_offsets.weight)
        nn.init.uniform_(self.sampling_offsets.bias, -_POINTS, _POINTS)  # pixels

    def forward(self, query: Tensor, reference: Tensor, *maps: Tensor) -> Tensor:
        """Queries `[N, Q, D]`, their points `[N, Q, 2]` in 0..1, maps `[N, D, h, w]` -> `[N, Q, D]`."""
        people, queries = query.shape[:2]
        offsets = self.sampling_offsets(query).reshape(people, queries * self.heads, self.levels, _POINTS, 2)
        weights = self.attention_weights(query).reshape(people, queries * self.heads, -1).softmax(-1)
        weights = weights.reshape(people, queries * self.heads, self.levels, _POINTS)
        points = reference.repeat_interleave(self.heads, dim=1)[:, :, None]
        sampled = []
        for level, features in enumerate(maps):
            height, width = features.shape[-2:]
            at = points * points.new_tensor([width, height]) + offsets[:, :, level] - 0.5
            x, y = (_hats(at[..., axis], size) for axis, size in enumerate((width, height)))
            y = y * weights[:, :, level, :, None]
            grid = torch.bmm(y.flatten(0, 1).transpose(1, 2), x.flatten(0, 1))
            sampled.append(torch.bmm(grid.reshape(people, -1, height * width), features.flatten(2).transpose(1, 2)))
        total = torch.stack(sampled).sum(0).reshape(people * queries, self.heads, -1)
        return self.output_proj(self.value(total).reshape(people, queries, -1))


def _hats(at: Tensor, size: int) -> Tensor:
    """Weights `[..., size]` of the pixels 0..size - 1 in linear interpolation at positions `[...]`; 0 outside."""
    pixels = torch.arange(size, device=at.device, dtype=at.dtype)
    return (1 - (at[..., None] - pixels).abs()).relu()
