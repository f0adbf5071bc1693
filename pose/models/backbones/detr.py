"""Layers of DETR's transformer (Carion et al., ECCV 2020): norms after sums, positions added to queries and keys alone."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import torch
from torch import Tensor, nn

from pose.models.encoder import merge_heads, split_heads

_PARTS = ("query", "key", "value")


class Attention(nn.Module):
    """Multi-head attention of tokens `[N, L, D]` to a memory `[N, M, D]`; products of rank 3, see `pose.models.encoder`."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads, self.scale = heads, (dim // heads) ** -0.5
        self.query, self.key, self.value = (nn.Linear(dim, dim) for _ in _PARTS)
        self.out = nn.Linear(dim, dim)

    def forward(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        query, key, value = (
            split_heads(layer(part), self.heads)
            for layer, part in ((self.query, query), (self.key, key), (self.value, value))
        )
        weights = torch.bmm(query * self.scale, key.transpose(1, 2)).softmax(-1)
        return self.out(merge_heads(torch.bmm(weights, value), self.heads))


class EncoderLayer(nn.Module):
    """Self-attention and two linears over tokens `[N, L, D]` with positions `[1, L, D]`."""

    def __init__(self, dim: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.self_attn = Attention(dim, heads)
        self.linear1, self.linear2 = nn.Linear(dim, hidden), nn.Linear(hidden, dim)
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)

    def forward(self, tokens: Tensor, position: Tensor) -> Tensor:
        placed = tokens + position
        tokens = self.norm1(tokens + self.self_attn(placed, placed, tokens))
        return self.norm2(tokens + self.linear2(self.linear1(tokens).relu()))


class DecoderLayer(nn.Module):
    """Self-attention of queries `[N, Q, D]`, attention to a memory, and two linears.

    Args:
        cross: the attention to the memory: queries `[N, Q, D]`, and what `forward` gets of the memory -> `[N, Q, D]`.
    """

    def __init__(self, dim: int, heads: int, hidden: int, cross: nn.Module) -> None:
        super().__init__()
        self.self_attn, self.multihead_attn = Attention(dim, heads), cross
        self.linear1, self.linear2 = nn.Linear(dim, hidden), nn.Linear(hidden, dim)
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(dim) for _ in range(3))

    def forward(self, tokens: Tensor, embedding: Tensor, *memory: object) -> Tensor:
        """The queries after the layer; `embedding` is theirs, `[1, Q, D]`."""
        placed = tokens + embedding
        tokens = self.norm1(tokens + self.self_attn(placed, placed, tokens))
        tokens = self.norm2(tokens + self.multihead_attn(tokens + embedding, *memory))
        return self.norm3(tokens + self.linear2(self.linear1(tokens).relu()))


def split_projections(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state dict whose packed `in_proj` tensors, of torch's `MultiheadAttention`, are split into those of `Attention`."""
    split: dict[str, Tensor] = {}
    for key, value in state.items():
        owner, packed, leaf = key.rpartition("in_proj_")
        if packed:
            split |= {f"{owner}{part}.{leaf}": rows for part, rows in zip(_PARTS, value.chunk(3), strict=True)}
        else:
            split[key.replace(".out_proj.", ".out.")] = value
    return split


class Perceptron(nn.Module):
    """`layers` linears with ReLU between them; the names are DETR's."""

    def __init__(self, dim: int, outputs: int, layers: int = 3) -> None:
        super().__init__()
        widths = [dim] * layers + [outputs]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))

    def forward(self, tokens: Tensor) -> Tensor:
        *hidden, last = self.layers
        for layer in hidden:
            tokens = layer(tokens).relu()
        return last(tokens)
