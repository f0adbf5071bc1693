"""Poseur (Mao et al., ECCV 2022): coarse coordinates, refined by queries that sample feature maps around their points."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from pose.models.backbones.deformable import DeformableAttention
from pose.models.backbones.detr import DecoderLayer, split_projections
from pose.models.backbones.mobilenetv2 import MobileNetV2
from pose.models.backbones.resnet import BLOCKS, ResNet
from pose.models.encoder import periods, sine_position
from pose.models.flow import RealNVP
from pose.models.output import PoseOutput
from pose.models.regression import RegressionStudent, full_precision, mmpose_names, pool, small_linear

_GROUPS = 32  # of the group norms in the neck
_LEAST = 1e-5  # distance from 0 and 1 at which a logit is cut off
_PRIOR = 0.5  # mean of the flows' normal distribution
_NAMES = {  # in the names of mmpose 1.x -> ours, the first that fits
    "neck.convs.": "neck.",
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


class PoseurHead(nn.Module):
    """Maps `[N, D, h, w]`, finest first -> predictions of the coarse stage and of each layer.

    Args:
        heatmap: (width, height) of the grid that sigmas are measured in.
    """

    size: Tensor
    turns: Tensor

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
        self.register_buffer("turns", 2 * math.pi / periods(dim // 2), persistent=False)
        self.grids = [
            (heatmap[1] >> level, heatmap[0] >> level) for level in range(levels)
        ]  # the finest map's: the heatmap's
        for level, size in enumerate(self.grids):  # constants of the graph that ships
            self.register_buffer(f"position{level}", sine_position(*size, dim, start=0.5), persistent=False)

    def forward(self, maps: Sequence[Tensor]) -> PoseOutput:
        with full_precision(maps[0]):
            return self._refined([one.float() for one in maps])

    def _refined(self, maps: list[Tensor]) -> PoseOutput:
        pooled = pool(maps[-1])
        reference = self.fc_coord(pooled / pooled.square().sum(1, keepdim=True).sqrt()).unflatten(-1, (-1, 2))
        coords, sigmas = [reference], [self.fc_sigma(pooled).sigmoid().unflatten(-1, (-1, 2))]
        sizes = [(one.shape[-2], one.shape[-1]) for one in maps]
        memory = [
            one.flatten(2).transpose(1, 2) + self._position(level, sizes[level]) + self.level_embeds[level]
            for level, one in enumerate(maps)
        ]
        codes = torch.cat([self._point_code(one) for one in (reference, reference.clamp(0, 1))], -1)
        tokens = self.pos_trans_norm(self.pos_trans(codes))
        embedding = self.pos_embed.weight[None]
        branches = zip(self.layers, self.coord_branches, self.output_branches, self.sigma_branches, strict=True)
        for layer, coord, output, sigma in branches:
            tokens = layer(tokens, embedding, reference, memory, sizes)
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

    def _position(self, level: int, size: tuple[int, int]) -> Tensor:
        """The sine code `[1, h * w, D]` of a map's pixels; crops may be smaller than usual (progressive resizing)."""
        position = self.get_buffer(f"position{level}")
        if size == self.grids[level]:
            return position
        return sine_position(*size, position.shape[-1], start=0.5).to(position)

    def _point_code(self, points: Tensor) -> Tensor:
        """The sine code `[N, K, D]` of points `[N, K, 2]`: half of it for x, half for y, a full turn from 0 to 1."""
        angles = points[..., None] * self.turns
        return torch.stack([angles[..., 0::2].sin(), angles[..., 1::2].cos()], dim=-1).flatten(-3)


def _logit(share: Tensor) -> Tensor:
    return (share.clamp(_LEAST, 1.0) / (1 - share).clamp(_LEAST, 1.0)).log()


class NeckLevel(nn.Module):
    """One map of the backbone becomes `dim` channels wide: 1x1 convolution and group norm."""

    def __init__(self, inputs: int, dim: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, dim, 1, bias=False)
        self.gn = nn.GroupNorm(_GROUPS, dim)

    def forward(self, features: Tensor) -> Tensor:
        return self.gn(self.conv(features))


class Poseur(RegressionStudent):
    """Images `[N, 3, H, W]` -> `PoseOutput` with coordinates, scores, sigmas, and those of the coarse stage and each layer.

    Args:
        backbone: images -> maps, finest first, of as many `channels`.
        heatmap: (width, height) of the grid that sigmas are measured in.
        dim, heads, hidden, depth: of the decoder.
    """

    auxiliary = training_only = ("flows",)
    likelihood = "poseur"

    def __init__(
        self,
        backbone: ResNet | MobileNetV2,
        keypoints: int,
        heatmap: tuple[int, int] = (48, 64),
        dim: int = 256,
        heads: int = 8,
        hidden: int = 1024,
        depth: int = 6,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.neck = nn.ModuleList(NeckLevel(inputs, dim) for inputs in backbone.channels)
        self.head = PoseurHead(keypoints, len(backbone.channels), heatmap, dim, heads, hidden, depth)
        self.flows = nn.ModuleDict({"coarse": RealNVP(_PRIOR), "layers": RealNVP(_PRIOR)})

    def published(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """See `RegressionStudent`."""
        return {_renamed(key): value for key, value in split_projections(mmpose_names(state)).items()}

    def densities(self, output: PoseOutput) -> list[tuple[Tensor, Tensor, RealNVP]]:
        """See `RegressionStudent`: the coarse stage, then the layers."""
        assert output.layer_coords is not None
        assert output.layer_sigmas is not None
        coords, sigmas = output.layer_coords.unbind(1), (output.layer_sigmas / self.head.size).unbind(1)
        coarse, layers = (cast(RealNVP, self.flows[name]) for name in ("coarse", "layers"))
        return list(zip(coords, sigmas, [coarse] + [layers] * (len(coords) - 1), strict=True))

    def forward(self, images: Tensor) -> PoseOutput:
        return self.head([level(one) for level, one in zip(self.neck, self.backbone(images), strict=True)])


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
