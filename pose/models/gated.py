"""The gated read: MoveNet's choice of the person in matrix products and softmax, by DistilPose's simulated heatmaps.

MoveNet's heatmaps show everybody's joints; its map of person centres and its displacements from there to the joints choose
one person. Its decoding takes maxima and gathers, which neither train nor quantize. Here each is an expectation:

1. centre attention w = softmax(t (log s(centre) + log prior)) over the cells; coarse = sum w (cell + displacement);
2. a = softmax(p log s(heatmap) - d^2 / (2 sigma^2)): a Gaussian about each coarse keypoint, which is DistilPose's simulated
   heatmap (PAPER: equation 5), gates its heatmap;
3. keypoint = sum a cell; keypoint token = sum a features. A linear layer on the token corrects keypoint and score: as a
   convolution of the features, whose expectation it is, it has less to multiply.
"""

from __future__ import annotations

import copy
import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pose.centre import SOFTENING
from pose.models.backbones.movenet import MoveNetHeads, MoveNetTrunk
from pose.models.output import PoseOutput
from pose.models.protocols import Groups, parameter_groups

STRIDE = 4  # pixels of a cell of the trunk's features
_REFERENCE_CELLS = 48.0  # of MoveNet Lightning's grid, in which its prior is written
_CENTRE_SHARPNESS, _HEATMAP_SHARPNESS = 24.0, 4.0  # exponents of the probabilities: powers near a maximum, but smooth
_GATE_SIGMA = 4 / _REFERENCE_CELLS  # of the gating Gaussians at the start, as a share of the crop
_LEAST_PROBABILITY = 1e-12  # below, the logarithm has no gradient left
_LEAST_SIGMA = 0.3  # heatmap cells


class _Grid(NamedTuple):
    """Constants of the read over a square grid of S cells a side; the coarse maps have s."""

    prior: Tensor  # [1, s * s], added to the logits of the centre attention
    cells: Tensor  # [2, S * S], x and y in 0..1 of the crop
    homogeneous: Tensor  # [3, s * s], x and y of the coarse cells, and 1
    parabola: Tensor  # [S * S, 3]; times (u, v, 1): -d^2 / 2 to (u, v), but for a constant, which the softmax drops
    spread: Tensor  # [3, 2], cells (x, y) -> 0..1 of the crop, and 0
    ones: Tensor  # [1, S * S]; a sum as a product, which every delegate takes

    @classmethod
    def of(cls, side: int) -> _Grid:
        x, y = _cells(side)
        centre_x, centre_y = _cells(side, MoveNetHeads.coarse_stride)
        distance = _REFERENCE_CELLS * torch.hypot(centre_x - 0.5, centre_y - 0.5)
        return cls(
            prior=-_CENTRE_SHARPNESS * (distance + SOFTENING).log()[None],
            cells=torch.stack([x, y]),
            homogeneous=torch.stack([centre_x, centre_y, torch.ones_like(centre_x)]),
            parabola=torch.stack([x, y, -(x * x + y * y) / 2], -1),
            spread=torch.eye(3, 2) / side,
            ones=torch.ones(1, side * side),
        )


class GatedRead(nn.Module):
    """Maps of the heads and features -> keypoints.

    Args:
        keypoints: K.
        channels: C, of the features.
        side: S, of the square grid. Training takes others as well; see `resolution` of `distill.recipe.Recipe`.
    """

    def __init__(self, keypoints: int, channels: int, side: int) -> None:
        super().__init__()
        self.side = side
        for name, value in _Grid.of(side)._asdict().items():
            self.register_buffer(name, value, persistent=False)
        self.log_precision = nn.Parameter(torch.full((1, keypoints, 1), -2 * math.log(_GATE_SIGMA)))
        self.correction = nn.Conv2d(channels, 3, 1)  # x and y in cells, score
        for parameter in self.correction.parameters():
            nn.init.zeros_(parameter)

    def forward(self, heatmaps: Tensor, displacements: Tensor, centre: Tensor, features: Tensor) -> PoseOutput:
        """`PoseOutput` with coordinates, scores, sigmas and keypoint tokens.

        Args:
            heatmaps: logits `[N, K, S, S]`.
            displacements: `[N, 2 K, s, s]` in cells of S; see `MoveNetHeads`.
            centre: logits `[N, 1, s, s]`.
            features: `[N, C, S, S]`.
        """
        grid = self._grid(heatmaps)
        gate = F.linear(_coarse(centre, displacements, grid) * self.log_precision.exp(), grid.parabola)
        probability = _probability(heatmaps.flatten(2))
        attention = (_HEATMAP_SHARPNESS * probability.log() + gate).softmax(-1)  # [N, K, S * S]
        mean = F.linear(attention, grid.cells)
        correction = _expectation(attention, self.correction(features))
        variance = F.linear(attention, grid.cells.square()) - mean.square()
        return PoseOutput(
            coords=mean + correction[..., :2] * (1 / heatmaps.shape[-1]),
            scores=(F.linear(attention * probability, grid.ones) + correction[..., 2:]).flatten(1),
            sigmas=variance.clamp_min((_LEAST_SIGMA / self.side) ** 2).sqrt() * self.side,
            keypoint_tokens=_expectation(attention, features),
        )

    def _grid(self, maps: Tensor) -> _Grid:
        if maps.shape[-1] == self.side:
            return _Grid(*(getattr(self, name) for name in _Grid._fields))
        return _Grid(*(constant.to(maps.device) for constant in _Grid.of(maps.shape[-1])))


def _coarse(centre: Tensor, displacements: Tensor, grid: _Grid) -> Tensor:
    """Coarse keypoints `[N, K, 3]`: x and y in 0..1 of the crop, and 1."""
    logits = _CENTRE_SHARPNESS * _probability(centre.flatten(2)).log() + grid.prior
    weights = logits.softmax(-1)  # [N, 1, s * s]
    moved = _expectation(weights, displacements)
    return F.linear(moved.view(-1, moved.shape[-1] // 2, 2), grid.spread) + F.linear(weights, grid.homogeneous)


def _cells(side: int, stride: int = 1) -> tuple[Tensor, Tensor]:
    """x and y, in 0..1 of the crop, of every cell of a square grid, or of cells 1, 1 + stride, ... in both directions."""
    axis = (torch.arange(side)[int(stride > 1) :: stride] + 0.5) / side
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    return x.flatten(), y.flatten()


def _expectation(weights: Tensor, maps: Tensor) -> Tensor:
    """`[N, K, C]` of maps `[N, C, h, w]` under weights `[N, K, h * w]` that add up to 1."""
    return torch.bmm(weights, maps.flatten(2).transpose(1, 2))


def _probability(logits: Tensor) -> Tensor:
    return logits.sigmoid().clamp_min(_LEAST_PROBABILITY)


class GatedPose(nn.Module):
    """Images `[N, 3, 4 S, 4 S]` in -1..1 -> `PoseOutput` of the gated read.

    Args:
        keypoints: K.
        size: side of the input in pixels, a multiple of 32.
        width: of the trunk: 1 is MoveNet Lightning's, 1.75 Thunder's.
    """

    def __init__(self, keypoints: int = 17, size: int = 192, width: float = 1.0) -> None:
        super().__init__()
        self.backbone = MoveNetTrunk(width)
        self.maps = MoveNetHeads(keypoints)
        self.head = GatedRead(keypoints, MoveNetTrunk.channels, size // STRIDE)

    def parameter_groups(self) -> Groups:
        """The trunk, and the rest; see `pose.models.protocols.Student`."""
        return parameter_groups(self, [self.backbone], [])

    def forward(self, images: Tensor) -> PoseOutput:
        features = self.backbone(images)
        if not torch.is_autocast_enabled(features.device.type):
            return self._read(features)
        with torch.autocast(features.device.type, enabled=False):  # a coordinate in bfloat16 has steps of half a pixel
            return self._read(features.float())

    def _read(self, features: Tensor) -> PoseOutput:
        output: PoseOutput = self.head(*self.maps(features), features)
        return output

    def deploy(self) -> GatedPose:
        """A copy: batch norm is folded into the weights as they were published, and nothing else differs in what ships."""
        return copy.deepcopy(self).eval()


def distilpose_edge_t(keypoints: int) -> GatedPose:
    """Lightning's trunk at 160 pixels."""
    return GatedPose(keypoints, 160)


def distilpose_edge_s(keypoints: int) -> GatedPose:
    """Lightning's trunk at 192 pixels."""
    return GatedPose(keypoints, 192)


def distilpose_edge_m(keypoints: int) -> GatedPose:
    """Lightning's trunk at 224 pixels."""
    return GatedPose(keypoints, 224)


def distilpose_edge_l(keypoints: int) -> GatedPose:
    """Thunder's trunk at 256 pixels."""
    return GatedPose(keypoints, 256, 1.75)
