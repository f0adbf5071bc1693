"""RealNVP (Dinh et al., ICLR 2017): a density of residuals in two dimensions, for training by residual log-likelihood.

The names of its parts are those of the checkpoints of RLE (Li et al., ICCV 2021) and Poseur (Mao et al., ECCV 2022).
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn

Form = Literal["authors", "mmpose", "mmpose_gaussian", "poseur"]  # of the loss, see `distill.likelihood`
_LAYERS, _HIDDEN = 6, 64


def _perceptron(*last: nn.Module) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(2, _HIDDEN), nn.LeakyReLU(), nn.Linear(_HIDDEN, _HIDDEN), nn.LeakyReLU(), nn.Linear(_HIDDEN, 2), *last
    )


class RealNVP(nn.Module):
    """Points `[N, 2]` -> their log density `[N]`: affine couplings onto a normal distribution of variance 1.

    Args:
        mean: of that distribution, for both axes.
    """

    mask: Tensor

    def __init__(self, mean: float = 0.0) -> None:
        super().__init__()
        self.mean = mean
        self.register_buffer("mask", torch.tensor([[0.0, 1.0], [1.0, 0.0]] * (_LAYERS // 2)))
        self.t = nn.ModuleList(_perceptron() for _ in range(_LAYERS))
        self.s = nn.ModuleList(_perceptron(nn.Tanh()) for _ in range(_LAYERS))

    def latent(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """The point `[N, 2]` of the normal distribution that each is mapped to, and the log determinant `[N]` of the map."""
        log_det = points.new_zeros(len(points))
        for mask, shift, scale in reversed(list(zip(self.mask, self.t, self.s, strict=True))):
            kept = mask * points
            log_scale = scale(kept) * (1 - mask)
            points = (1 - mask) * (points - shift(kept)) * torch.exp(-log_scale) + kept
            log_det = log_det - log_scale.sum(-1)
        return points, log_det

    def forward(self, points: Tensor) -> Tensor:
        latent, log_det = self.latent(points)
        return log_det - (latent - self.mean).square().sum(-1) / 2 - math.log(2 * math.pi)
