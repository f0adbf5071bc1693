"""Multi-scale deformable attention (Zhu et al., ICLR 2021) in operators that every backend has: as matrix products.

Its features are projected by each head after they are sampled, as in Poseur.
"""

from __future__ import annotations

from collections.abc import Sequence

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

    def forward(self, query: Tensor, reference: Tensor, maps: Sequence[Tensor], sizes: Sequence[tuple[int, int]]) -> Tensor:
        """Queries `[N, Q, D]` after they looked at the maps.

        Args:
            reference: their points, `[N, Q, 2]` in 0..1.
            maps: `[N, h * w, D]`, row by row; sizes: (h, w) of each.
        """
        people, queries = query.shape[:2]
        looks = queries * self.heads
        offsets = self.sampling_offsets(query).reshape(people, looks, self.levels, _POINTS, 2)
        weights = self.attention_weights(query).reshape(people, looks, self.levels * _POINTS).softmax(-1)
        weights = weights.reshape(people, looks, self.levels, _POINTS)
        points = reference[:, :, None].expand(-1, -1, self.heads * _POINTS, -1).flatten(1, 2)
        sampled = []
        for level, (features, size) in enumerate(zip(maps, sizes, strict=True)):
            moved = offsets[:, :, level].flatten(1, 2)
            y, x = (_hats(points[..., axis] * size[1 - axis] + moved[..., axis] - 0.5, size[1 - axis]) for axis in (1, 0))
            y = y * weights[:, :, level].flatten(1)[..., None]
            rows, columns = (part.reshape(people * looks, _POINTS, -1) for part in (y, x))
            grid = torch.bmm(rows.transpose(1, 2), columns).reshape(people, looks, size[0] * size[1])
            sampled.append(torch.bmm(grid, features))
        total = torch.stack(sampled).sum(0).reshape(people * queries, self.heads, -1)
        return self.output_proj(self.value(total).reshape(people, queries, -1))


def _hats(at: Tensor, size: int) -> Tensor:
    """Weights `[..., size]` of the pixels 0..size - 1 in linear interpolation at positions `[...]`; 0 outside."""
    pixels = torch.arange(size, device=at.device, dtype=at.dtype)
    return (1 - (at[..., None] - pixels).abs()).relu()
