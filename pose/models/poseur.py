"""Poseur (Mao et al., ECCV 2022): coarse coordinates, refined by queries that sample feature maps around their points."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn

from pose.models.backbones.detr import DecoderLayer, split_projections
from pose.models.backbones.mobilenetv2 import MobileNetV2
from pose.models.backbones.resnet import BLOCKS, ResNet
from pose.models.encoder import periods, sine_position
from pose.models.flow import RealNVP
from pose.models.output import PoseOutput
from pose.models.regression import RegressionStudent, mmpose_names, pool, small_linear

_POINTS = 4  # that each head of a query samples of each map
_GROUPS = 32  # of the group norms in the neck
_LEAST = 1e-5  # distance from 0 and 1 at which a logit is cut off
_PRIOR = 0.5  # mean of the flows' normal distribution
_NAMES = {  # in the names of mmpose 1.x -> ours, the first that fits
    "head.transformer.decoder.layers.": "head.layers.",
    "head.transformer.": "head.",
    "head.enc_flow.": "flows.coarse.",
    "head.dec_flow.": "flows.layers.",
    "head.fc_coord_branches.": "head.coord_branches.",
    "head.fc_coord_output_branches.": "head.output_branches.",
    "head.fc_sigma_branches.": "head.sigma_branches.",
}
_PARTS = {  # inside a decoder layer
    ".attentions.0.attn.": ".self_attn.",
    ".attentions.1.": ".multihead_attn.",
    "value_proj_weight.": "value.",
    "value_proj_bias.weight": "value.bias",
    ".ffns.0.layers.0.0.": ".linear1.",
    ".ffns.0.layers.1.": ".linear2.",
    ".norms.0.": ".norm1.",
    ".norms.1.": ".norm2.",
    ".norms.2.": ".norm3.",
    ".linear.": ".",
}


class HeadLinear(nn.Module):
    """`[L, heads, dim]` -> `[L, heads, dim / heads]`: one linear a head."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.fan_in = dim
        self.weight = nn.Parameter(torch.empty(heads * dim, dim // heads))
        self.bias = nn.Parameter(torch.zeros(heads, dim // heads))
        nn.init.xavier_uniform_(self.weight)

    def forward(self, tokens: Tensor) -> Tensor:
        matrices = self.weight.reshape(len(self.bias), self.fan_in, -1)
        return torch.bmm(tokens.transpose(0, 1), matrices).transpose(0, 1) + self.bias


class DeformableAttention(nn.Module):
    """Multi-scale deformable attention (Zhu et al., ICLR 2021) to features that each head projects after they are sampled.

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


class PoseurHead(nn.Module):
    """Maps `[N, D, h, w]`, finest first -> predictions of the coarse stage and of each layer.

    Args:
        heatmap: (width, height) of the grid that sigmas are measured in.
    """

    size: Tensor

    def __init__(self, keypoints: int, levels: int, heatmap: tuple[int, int], dim: int, heads: int, hidden: int, depth: int):
        super().__init__()
        self.fc_coord = small_linear(dim, 2 * keypoints, 0.5)
        self.fc_sigma = small_linear(dim, 2 * keypoints)
        self.pos_trans, self.pos_trans_norm = nn.Linear(2 * dim, dim), nn.LayerNorm(dim)
        self.pos_embed = nn.Embedding(keypoints, dim)
        self.level_embeds = nn.Parameter(torch.randn(levels, dim))
        self.layers = nn.ModuleList(
            DecoderLayer(dim, heads, hidden, DeformableAttention(dim, heads, levels)) for _ in range(depth)
        )
        self.coord_branches, self.output_branches = (
            nn.ModuleList(
                nn.Sequential(nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, dim), nn.ReLU(), small_linear(dim, 2))
                for _ in range(depth)
            )
            for _ in range(2)
        )
        self.sigma_branches = nn.ModuleList(
            nn.Sequential(nn.Linear(dim, dim), nn.Linear(dim, dim), small_linear(dim, 2)) for _ in range(depth)
        )
        self.register_buffer("size", torch.tensor(heatmap, dtype=torch.float32), persistent=False)

    def forward(self, maps: Sequence[Tensor]) -> PoseOutput:
        with torch.autocast(maps[0].device.type, enabled=False):  # a coordinate in bfloat16 has steps of half a pixel
            return self._refined([one.float() for one in maps])

    def _refined(self, maps: list[Tensor]) -> PoseOutput:
        pooled = pool(maps[-1])
        reference = self.fc_coord(pooled / pooled.square().sum(1, keepdim=True).sqrt()).unflatten(-1, (-1, 2))
        coords, sigmas = [reference], [self.fc_sigma(pooled).sigmoid().unflatten(-1, (-1, 2))]
        memory = [one + _position(one) + embed[:, None, None] for one, embed in zip(maps, self.level_embeds, strict=True)]
        codes = torch.cat([_point_code(one, self.pos_embed.embedding_dim) for one in (reference, reference.clamp(0, 1))], -1)
        tokens = self.pos_trans_norm(self.pos_trans(codes))
        embedding = self.pos_embed.weight[None]
        branches = zip(self.layers, self.coord_branches, self.output_branches, self.sigma_branches, strict=True)
        for layer, coord, output, sigma in branches:
            tokens = layer(tokens, embedding, reference, *memory)
            reference = (coord(tokens) + _logit(reference)).sigmoid()
            coords.append(reference + output(tokens))
            sigmas.append(sigma(tokens).sigmoid())
        return PoseOutput(
            coords=coords[-1],
            scores=1 - sigmas[-1].mean(-1),
            sigmas=sigmas[-1] * self.size,
            layer_coords=torch.stack(coords, dim=1),
            layer_sigmas=torch.stack(sigmas, dim=1) * self.size,
        )


def _logit(share: Tensor) -> Tensor:
    return (share.clamp(_LEAST, 1) / (1 - share).clamp(_LEAST, 1)).log()


def _position(features: Tensor) -> Tensor:
    """The sine code `[1, D, h, w]` of the pixels' centres."""
    _, dim, height, width = features.shape
    code = sine_position(height, width, dim, start=0.5).transpose(1, 2).unflatten(-1, (height, width))
    return code.to(features)


def _point_code(points: Tensor, dim: int) -> Tensor:
    """The sine code `[N, K, dim]` of points `[N, K, 2]`: half of the channels for x, half for y, a full turn from 0 to 1."""
    angles = points[..., None] * 2 * math.pi / periods(dim // 2).to(points)
    return torch.stack([angles[..., 0::2].sin(), angles[..., 1::2].cos()], dim=-1).flatten(-3)


class Neck(nn.Module):
    """One 1x1 convolution and group norm a map: all become `dim` channels wide."""

    def __init__(self, channels: Iterable[int], dim: int) -> None:
        super().__init__()
        parts = ({"conv": nn.Conv2d(inputs, dim, 1, bias=False), "gn": nn.GroupNorm(_GROUPS, dim)} for inputs in channels)
        self.convs = nn.ModuleList(nn.ModuleDict(part) for part in parts)

    def forward(self, maps: Iterable[Tensor]) -> list[Tensor]:
        return [part["gn"](part["conv"](one)) for part, one in zip(self.convs, maps, strict=True)]


class Poseur(RegressionStudent):
    """Images `[N, 3, H, W]` -> `PoseOutput` with coordinates, scores and sigmas: of the last layer, the coarse stage, each layer.

    Args:
        backbone: images -> maps, finest first, of as many `channels`.
    """

    auxiliary = training_only = ("flows",)
    heatmap = (48, 64)

    def __init__(
        self,
        backbone: ResNet | MobileNetV2,
        keypoints: int,
        dim: int = 256,
        heads: int = 8,
        hidden: int = 1024,
        depth: int = 6,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.neck = Neck(backbone.channels, dim)
        self.head = PoseurHead(keypoints, len(backbone.channels), self.heatmap, dim, heads, hidden, depth)
        self.flows = nn.ModuleDict({"coarse": RealNVP(_PRIOR), "layers": RealNVP(_PRIOR)})

    def published(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """See `RegressionStudent`."""
        return {_renamed(key): value for key, value in split_projections(mmpose_names(state)).items()}

    def forward(self, images: Tensor) -> PoseOutput:
        return self.head(self.neck(self.backbone(images)))


def _renamed(key: str) -> str:
    theirs = next((prefix for prefix in _NAMES if key.startswith(prefix)), "")
    key = _NAMES.get(theirs, "") + key.removeprefix(theirs)
    for part, ours in _PARTS.items() if key.startswith("head.") else ():
        key = key.replace(part, ours)
    return key


def poseur_mbv2(keypoints: int) -> Poseur:
    """MobileNetV2: 11.25 M parameters without the flows, 0.49 G multiply-adds."""
    return Poseur(MobileNetV2(), keypoints)


def poseur_r50(keypoints: int) -> Poseur:
    """ResNet-50: 33.15 M parameters without the flows, 4.53 G multiply-adds."""
    return Poseur(ResNet(BLOCKS[50]), keypoints)
