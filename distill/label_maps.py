"""Labels as heatmaps: what a network of heatmaps is fitted to, drawn as a recipe says, on the network's own grid."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from distill.losses import LABEL_SIGMA, Target, label_heatmaps
from pose.heatmaps import HeatmapGrid

LabelDrawing = Literal["msra", "udp"]
_REACH = int(3 * LABEL_SIGMA)  # cells beside the nearest one, in which published code draws


def draw_labels(target: Target, size: tuple[int, int], drawing: LabelDrawing | None = None) -> tuple[Tensor, Tensor]:
    """Heatmaps `[N, K, H, W]` at the labels, and the weight `[N, K]` with which each joint counts.

    A joint whose Gaussian lies outside the grid has an empty map; `msra` and `udp` leave it out of the loss.

    Args:
        size: (W, H).
        drawing: None: the whole Gaussian about the label, which is what DARK is trained on. `msra`: about the nearest cell,
            and cut off three standard deviations from there (SimpleBaselines, HRNet, TransPose, OKDHP). `udp`: about the
            label, and cut off in the same way.
    """
    if drawing is None:
        return label_heatmaps(target, size), target.weight
    cells = target.coords.new_tensor(size)
    label = target.coords * cells
    nearest = (label + 0.5).trunc()
    middle = nearest if drawing == "msra" else label

    def axis(index: int) -> Tensor:
        cell = torch.arange(size[index], device=label.device)
        value = torch.exp(-(cell - middle[..., index, None]).square() / (2 * LABEL_SIGMA**2))
        return value * ((cell - nearest[..., index, None]).abs() <= _REACH)

    inside = ((nearest + _REACH + 1 >= 0) & (nearest - _REACH < cells)).all(-1)
    weight = target.weight * inside
    return axis(1)[..., :, None] * axis(0)[..., None, :] * weight[..., None, None], weight


def on_grid(target: Target, grid: HeatmapGrid, size: tuple[int, int]) -> Target:
    """The labels with coordinates as shares of a grid's cells instead of the crop: those of a grid of cells are the same."""
    steps = torch.as_tensor(grid.steps(*size) / size, dtype=target.coords.dtype, device=target.coords.device)
    return Target(target.coords * steps, target.weight)
