"""What the networks share that predict coordinates from pooled features or queries: DeepPose, RLE, PRTR and Poseur."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import ClassVar

import torch
from torch import Tensor, nn

from pose.models.flow import Form, RealNVP
from pose.models.output import PoseOutput
from pose.models.protocols import Groups, parameter_groups

_MMPOSE = {"keypoint_head.": "head."}  # 0.x -> 1.x
_PREPROCESSOR = "data_preprocessor."  # mean and std, which mmpose 1.x keeps among the weights


class RegressionStudent(nn.Module):
    """A network with a `backbone` and a `head`; see `pose.models.protocols.Student`.

    Attributes:
        auxiliary: names of the submodules that are no part of the published network as it runs: density models, and heads of
            ours for losses. Published checkpoints may lack them, and sizes leave them out.
        training_only: those of them that the deploy form leaves out.
        likelihood: the form of its residual log-likelihood, see `distill.likelihood`.
        flip_shift: by how much of a pixel the original moves mirrored coordinates before it averages them; see `fuse_flip`.
    """

    auxiliary: ClassVar[tuple[str, ...]] = ()
    training_only: ClassVar[tuple[str, ...]] = ()
    flip_shift: ClassVar[float] = 0.0
    likelihood: Form = "authors"
    backbone: nn.Module

    def published(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """A state dict in any published layout, under our names; what is ours already, or unknown, stays as it is."""
        return mmpose_names(state)

    def densities(self, output: PoseOutput) -> list[tuple[Tensor, Tensor, RealNVP]]:
        """What the residual log-likelihood is the loss of: coordinates and sigmas `[N, K, 2]` in shares of the crop, and the
        flow of their residuals; none of a network without flows."""
        return []

    def parameter_groups(self) -> Groups:
        """The backbone and the rest."""
        return parameter_groups(self, [self.backbone], self.encoder_parts())

    def encoder_parts(self) -> Iterable[nn.Module]:
        """The modules whose matrices are between tokens."""
        return ()

    def deploy(self) -> nn.Module:
        """A copy in evaluation mode without batch norm, and without what only training needs."""
        from pose.models.deploy import without_batch_norm

        form = copy.deepcopy(self).eval()
        for name in form.training_only:
            delattr(form, name)
        return without_batch_norm(form)


def mmpose_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state dict of mmpose 0.x or 1.x under the names of 1.x, without the statistics of its preprocessing."""
    return {
        next((new + key.removeprefix(old) for old, new in _MMPOSE.items() if key.startswith(old)), key): value
        for key, value in state.items()
        if not key.startswith(_PREPROCESSOR)
    }


def full_precision(values: Tensor) -> AbstractContextManager[object]:
    """Switches mixed precision off where it is on: a coordinate in bfloat16 has steps of half a pixel.

    Exported graphs have no trace of it.
    """
    kind = values.device.type
    return torch.autocast(kind, enabled=False) if torch.is_autocast_enabled(kind) else nullcontext()


def pool(features: Tensor) -> Tensor:
    """The mean `[N, C]` of a map `[N, C, H, W]`."""
    return features.mean((2, 3))


def small_linear(inputs: int, outputs: int, bias: float = 0.0) -> nn.Linear:
    """A last layer whose outputs start near `bias`."""
    layer = nn.Linear(inputs, outputs)
    nn.init.normal_(layer.weight, std=0.01)
    nn.init.constant_(layer.bias, bias)
    return layer


def fuse_flip(plain: PoseOutput, mirrored: PoseOutput, flip: Sequence[int], shift: float, width: int) -> PoseOutput:
    """The mean of the predictions for a crop and for its mirror image.

    Args:
        mirrored: the network's output for the crop mirrored left to right.
        flip: index of the joint that each one is in a mirror, `Skeleton.flip`.
        shift: pixels by which the mirrored coordinates are moved to the left; `RegressionStudent.flip_shift`.
        width: of the crop, in pixels.
    """
    assert plain.coords is not None
    assert mirrored.coords is not None
    order = list(flip)
    x, y = mirrored.coords[:, order].unbind(-1)
    upright = torch.stack([1 - x - shift / width, y], dim=-1)
    fused = {"coords": (plain.coords + upright) / 2}
    for name in ("scores", "sigmas"):
        ours, theirs = getattr(plain, name), getattr(mirrored, name)
        if ours is not None and theirs is not None:
            fused[name] = (ours + theirs[:, order]) / 2
    return replace(PoseOutput(), **fused)
