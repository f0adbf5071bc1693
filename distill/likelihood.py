"""Residual log-likelihood (RLE, Li et al., ICCV 2021, equation 9): the loss of RLE and Poseur.

The flow models how residuals differ from a plain density; their sum is the density of the labels. RLE's authors, mmpose and
Poseur weigh and average it differently, which matters where weights of theirs are trained further.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from pose.models.flow import Form, RealNVP
from pose.models.output import PoseOutput
from pose.models.regression import RegressionStudent

_LEAST = 1e-9  # keeps divisions by sigma finite


def residual_log_likelihood(
    coords: Tensor, sigmas: Tensor, target: Tensor, weight: Tensor, flow: RealNVP, form: Form = "authors"
) -> Tensor:
    """Negative log-likelihood of the labels, a scalar.

    Args:
        coords, target: `[N, K, 2]` in the same units; sigmas: `[N, K, 2]` in them, above 0.
        weight: `[N, K, 2]`, 0 where a joint is not labelled.
        form: mmpose weighs both parts of each axis and sums over joints; so do the authors, who weigh the flow's part by the
            weight of x; Poseur is as the authors and averages over joints. The plain density is a Laplace distribution, of
            `mmpose_gaussian` a normal one.
    """
    in_mmpose = form in ("mmpose", "mmpose_gaussian")
    error = (coords - target) / (sigmas + _LEAST if in_mmpose else sigmas)
    learned = sigmas.log() - flow(error.flatten(0, 1)).unflatten(0, error.shape[:2])[..., None]
    if not in_mmpose:
        plain = (sigmas * math.sqrt(2 * math.pi)).log() + (coords - target).abs() / (math.sqrt(2) * sigmas + _LEAST)
        total = (learned * weight[..., :1] + plain * weight).sum()
        return total / (weight.shape[0] * weight.shape[1]) if form == "poseur" else total / len(weight)
    if form == "mmpose":
        plain = (2 * sigmas).log() + error.abs()
    else:
        plain = (sigmas * math.sqrt(2 * math.pi)).log() + error.square() / 2
    return ((learned + plain) * weight).sum() / len(weight)


def network_likelihood(network: nn.Module, output: PoseOutput, target: Tensor, weight: Tensor) -> Tensor | None:
    """The sum over all that a network gives densities of; None of a network, or a form of it, without flows.

    Args:
        network: a student, or what holds one.
        target: `[N, K, 2]` in 0..1 of the crop; weight: `[N, K]`.
    """
    students = (module for module in network.modules() if isinstance(module, RegressionStudent))
    student = next((one for one in students if all(hasattr(one, name) for name in one.training_only)), None)
    terms = student.densities(output) if student is not None else []
    if student is None or not terms:
        return None
    weights = weight[..., None].expand(-1, -1, 2)
    values = [
        residual_log_likelihood(coords, sigmas, target, weights, flow, student.likelihood) for coords, sigmas, flow in terms
    ]
    return torch.stack(values).sum()
