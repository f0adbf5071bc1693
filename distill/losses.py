"""DistilPose's five losses, each on its own (PAPER: equations 3 to 9), one for quantization, and the registry of them all.

Weights of keypoints, `[N, K]`, are 0 where a joint is not labelled. As in the published implementation both sides are
multiplied by the weight before they are compared and the mean runs over everything, unlabelled joints included.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from distill.heatmap_losses import hardest_joints_mse
from distill.likelihood import network_likelihood
from distill.matching import network_hungarian
from distill.recipe import LossWeights
from pose.errors import InputError
from pose.models.output import PoseOutput
from pose.registry import Registry

_LEAST_VARIANCE = 1e-2  # of a channel of features, as a share of the mean over the channels
LABEL_SIGMA = 2.0  # heatmap pixels, of the Gaussians that TokenPose and HRNet are trained on at 256x192


@dataclass(frozen=True)
class Target:
    """Labels of a batch: `coords [N, K, 2]` in 0..1 of the crop and `weight [N, K]` (0: not labelled)."""

    coords: Tensor
    weight: Tensor


def regression(coords: Tensor, target: Target, beta: float = 1.0) -> Tensor:
    """L_reg: smooth L1 of coordinates `[N, K, 2]`, linear from an error of `beta` (the paper's is 1: never)."""
    weight = target.weight[..., None]
    return F.smooth_l1_loss(coords * weight, target.coords * weight, beta=beta)


def token(student: Tensor, teacher: Tensor) -> Tensor:
    """L_kt and L_vt: MSE of tokens `[N, L, D]`."""
    return F.mse_loss(student, teacher)


def simulate_heatmaps(coords: Tensor, sigmas: Tensor, height: int, width: int) -> Tensor:
    """Gaussians `[N, K, H, W]`, peak 1, mean `coords * (W, H)`, standard deviation `sigmas` in heatmap pixels.

    A keypoint whose 3-sigma box lies wholly outside the grid gives an empty map and no gradient.
    """
    size = coords.new_tensor([width, height])
    mean, variance = coords * size, sigmas.square() + 1e-9

    def axis(length: int, index: int) -> Tensor:
        offset = torch.arange(length, device=coords.device) - mean[..., index, None]
        return torch.exp(-offset.square() / (2 * variance[..., index, None]))

    reach = 3 * sigmas.detach()
    inside = ((mean.detach() + reach >= 0) & (mean.detach() - reach < size)).all(-1)
    return axis(height, 1)[..., :, None] * axis(width, 0)[..., None, :] * inside[..., None, None]


def label_heatmaps(target: Target, size: tuple[int, int], sigma: float = LABEL_SIGMA) -> Tensor:
    """Gaussians `[N, K, H, W]` at the labels, the maps of unlabelled joints empty: what a perfect teacher predicts.

    Args:
        size: (W, H).
        sigma: in pixels of that grid.
    """
    width, height = size
    drawn = simulate_heatmaps(target.coords, torch.full_like(target.coords, sigma), height, width)
    return drawn * target.weight[..., None, None]


def simulated_heatmap(coords: Tensor, sigmas: Tensor, heatmaps: Tensor, weight: Tensor) -> Tensor:
    """L_sim: MSE between simulated heatmaps and the teacher's `[N, K, H, W]`, each keypoint's times its mean squared weight.

    The published implementation weighs by broadcasting `[N]` against `[N, 1]`, so that every weight meets every person: a
    keypoint counts by the share of the batch in which it is labelled, and the teacher teaches the unlabelled ones too.
    """
    error = (simulate_heatmaps(coords, sigmas, *heatmaps.shape[-2:]) - heatmaps).square().mean((0, 2, 3))
    return (error * weight.square().mean(0)).mean()


def read_heatmaps(heatmaps: Tensor, coords: Tensor) -> Tensor:
    """Value `[N, K]` of each heatmap at the keypoint, rounded to the grid (W - 1, H - 1); 0 for points outside 0..1."""
    height, width = heatmaps.shape[-2:]
    inside = ((coords >= 0) & (coords <= 1)).all(-1)
    points = torch.where(inside[..., None], coords, 0) * coords.new_tensor([width - 1, height - 1])
    column, row = points.round().long().unbind(-1)
    return heatmaps.flatten(2).gather(2, (row * width + column)[..., None]).squeeze(-1) * inside


def confidence(scores: Tensor, coords: Tensor, heatmaps: Tensor, weight: Tensor) -> Tensor:
    """L_cs: L1 between scores `[N, K]` and the teacher's heatmap at the student's own point."""
    target = read_heatmaps(heatmaps, coords.detach())
    return F.l1_loss(scores * weight, target * weight)


def float_twin(coords: Tensor, twin: Tensor, beta: float = 1.0) -> Tensor:
    """Smooth L1 between coordinates `[N, K, 2]` of a student under fake quantization and those of its float twin.

    All joints count, labelled or not: quantization should keep the student's predictions, right or wrong.
    """
    return F.smooth_l1_loss(coords, twin, beta=beta)


def features(ours: Tensor, theirs: Tensor) -> Tensor:
    """Mean squared error of a trunk's features `[N, C, h, w]` as a share of the variance of each of their channels.

    1 is no better than each channel's mean. A channel that hardly varies counts as if it varied a little.
    """
    variance = theirs.var((0, 2, 3), correction=0)
    least = (_LEAST_VARIANCE * variance.mean()).clamp_min(1e-12)
    return ((ours - theirs).square().mean((0, 2, 3)) / variance.maximum(least)).mean()


@dataclass(frozen=True)
class LossInputs:
    """What a registered loss may compare; what is missing on one side is None.

    Attributes:
        student, teacher: predictions of both for the same crops.
        target: the labels.
        float_coords: `[N, K, 2]` of the float student, while its int8 form is trained.
        beta: see `LossWeights`.
        network: the student itself, for losses with weights of their own.
        features: `[N, C, h, w]` of the student's trunk and of that of the larger student that it replaces.
    """

    student: PoseOutput
    teacher: PoseOutput
    target: Target
    float_coords: Tensor | None
    beta: float
    network: nn.Module | None = None
    features: tuple[Tensor, Tensor] | None = None


Loss = Callable[[LossInputs], Tensor | None]  # a scalar; None where one side lacks what the loss compares
LOSSES: Registry[Loss] = Registry("loss")
register = LOSSES.register


@register("regression")
def _regression(inputs: LossInputs) -> Tensor:
    return regression(_given(inputs.student.coords), inputs.target, inputs.beta)


@register("simulated_heatmap")
def _simulated_heatmap(inputs: LossInputs) -> Tensor | None:
    student, heatmaps = inputs.student, inputs.teacher.heatmaps
    if heatmaps is None or student.sigmas is None:
        return None
    return simulated_heatmap(_given(student.coords), student.sigmas, heatmaps, inputs.target.weight)


@register("confidence")
def _confidence(inputs: LossInputs) -> Tensor | None:
    student, heatmaps = inputs.student, inputs.teacher.heatmaps
    if heatmaps is None or student.scores is None:
        return None
    return confidence(student.scores, _given(student.coords), heatmaps, inputs.target.weight)


@register("float_twin")
def _float_twin(inputs: LossInputs) -> Tensor | None:
    if inputs.float_coords is None:
        return None
    return float_twin(_given(inputs.student.coords), inputs.float_coords, inputs.beta)


@register("features")
def _features(inputs: LossInputs) -> Tensor | None:
    """Of a student that replaces a larger one; see `distill.smaller`."""
    return None if inputs.features is None else features(*inputs.features)


@register("residual_log_likelihood")
def _residual_log_likelihood(inputs: LossInputs) -> Tensor | None:
    """RLE's and Poseur's loss; not of an int8 student, whose flow is gone."""
    if inputs.network is None:
        return None
    return network_likelihood(inputs.network, inputs.student, inputs.target.coords, inputs.target.weight)


@register("hungarian")
def _hungarian(inputs: LossInputs) -> Tensor | None:
    """PRTR's loss."""
    return network_hungarian(inputs.student, inputs.target.coords, inputs.target.weight)


def _tokens(ours: Tensor | None, theirs: Tensor | None) -> Tensor | None:
    """The token loss; None without tokens on both sides, or where their numbers differ: patches of another grid."""
    return None if ours is None or theirs is None or ours.shape[1] != theirs.shape[1] else token(ours, theirs)


@register("keypoint_token")
def _keypoint_token(inputs: LossInputs) -> Tensor | None:
    return _tokens(inputs.student.keypoint_tokens, inputs.teacher.keypoint_tokens)


@register("visual_token")
def _visual_token(inputs: LossInputs) -> Tensor | None:
    return _tokens(inputs.student.visual_tokens, inputs.teacher.visual_tokens)


@register("hardest_joints")
def _hardest_joints(inputs: LossInputs) -> Tensor | None:
    """Of a heatmap network that is fitted to labels; other students have no heatmaps."""
    heatmaps = inputs.student.heatmaps
    if heatmaps is None:
        return None
    labels = label_heatmaps(inputs.target, (heatmaps.shape[-1], heatmaps.shape[-2]))
    return hardest_joints_mse(heatmaps, labels, inputs.target.weight)


def _given(value: Tensor | None) -> Tensor:
    if value is None:
        raise InputError("a student must predict coordinates; its forward returned PoseOutput(coords=None)")
    return value


def terms(
    student: PoseOutput,
    teacher: PoseOutput,
    target: Target,
    weights: LossWeights,
    twin: Tensor | None = None,
    network: nn.Module | None = None,
    trunks: tuple[Tensor, Tensor] | None = None,
) -> dict[str, Tensor]:
    """Every registered term times its weight, by name; their sum is the loss.

    A term is left out where one side lacks what it compares: a teacher without tokens, a student without sigmas, no float
    `twin` (coordinates `[N, K, 2]`), a `network` (the student) without flows, no features of two
    `trunks` (`LossInputs.features`); and where a recipe does not name it.
    """
    inputs = LossInputs(student, teacher, target, twin, weights.beta, network, trunks)
    values = {name: loss(inputs) for name, loss in LOSSES.items() if name in weights.extra or hasattr(weights, name)}
    return {name: weights.factor(name) * value for name, value in values.items() if value is not None}
