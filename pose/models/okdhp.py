"""OKDHP (Li et al., ICCV 2021): stacked hourglasses (Newell et al., ECCV 2016), and the networks that distil them online.

Heatmaps are `[N, K, 64, 48]` for crops of 192x256, the authors' in BGR. A network of the paper's training has three branches
behind a common stem; a feature aggregation unit weighs their heatmaps to an ensemble, which teaches each of them while all
are trained: see `distill.online`.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import torch
from torch import Tensor, nn

from pose.crop import BGR
from pose.models.backbones.hourglass import Hourglass, Stem, residual
from pose.models.official import Layout
from pose.models.output import PoseOutput
from pose.models.protocols import Groups, parameter_groups

CHANNELS = 256  # of the features between hourglasses
_BRANCHES = 3  # of a network in training
_KERNELS, _SQUEEZED = (3, 5, 7), 64  # of the aggregation unit


class Stack(nn.Module):
    """Features -> the next stack's features and heatmaps; a last stack has no next one and gives its own features back."""

    def __init__(self, keypoints: int, channels: int, last: bool) -> None:
        super().__init__()
        self.hourglass = Hourglass(channels)
        self.residual = residual(channels, channels // 2)
        self.reduce = nn.Sequential(nn.Conv2d(channels, channels, 1), nn.BatchNorm2d(channels), nn.ReLU(inplace=True))
        self.score = nn.Conv2d(channels, keypoints, 1)
        self.return_features = None if last else nn.Conv2d(channels, channels, 1)
        self.return_score = None if last else nn.Conv2d(keypoints, channels, 1)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        own = self.reduce(self.residual(self.hourglass(features)))
        heatmaps = self.score(own)
        if self.return_features is None or self.return_score is None:
            return own, heatmaps
        return features + self.return_features(own) + self.return_score(heatmaps), heatmaps


def _stacks(keypoints: int, channels: int, count: int, last: bool = True) -> nn.ModuleList:
    return nn.ModuleList(Stack(keypoints, channels, last and place == count - 1) for place in range(count))


def _run(stacks: nn.Module, features: Tensor) -> tuple[Tensor, list[Tensor]]:
    """The features behind the last of the stacks, and the heatmaps of each."""
    heatmaps = []
    for stack in stacks.children():
        features, maps = stack(features)
        heatmaps.append(maps)
    return features, heatmaps


# Part of a stack -> its name in the authors' network of one branch and in those of three, with the place of the stack.
_SINGLE = {
    "hourglass.levels": "hg.{}.hg", "residual": "res.{}", "reduce": "fc.{}",
    "score": "score.{}", "return_features": "fc_.{}", "return_score": "score_.{}",
}  # fmt: skip
_TRAINED = {
    "hourglass.levels": "ind_{}.0.hg", "residual": "ind_{}.1", "reduce": "ind_{}.2",
    "score": "score_{}", "return_features": "_fc_{}", "return_score": "_score_{}",
}  # fmt: skip
_STACK = re.compile(r"(?:(stacks|shared)|branches\.(\d+))\.(\d+)\.(hourglass\.levels|\w+)\.(.+)")


def _layout(mark: str, parts: dict[str, str]) -> Layout:
    def name(ours: str) -> str:
        if not (match := _STACK.fullmatch(ours)):
            return ours.removeprefix("backbone.").removeprefix("aggregation.")
        kind, branch, stack, part, rest = match.groups()
        place = {"stacks": stack, "shared": f"s_{stack}"}.get(kind, f"b_{branch}_s_{stack}")
        return f"{parts[part].format(place)}.{rest}"

    return Layout(mark, name, BGR)


class StackedHourglass(nn.Module):
    """Images `[N, 3, H, W]` -> `PoseOutput` with the last stack's heatmaps `[N, K, H/4, W/4]`; H and W are multiples of 64.

    Args:
        stacks: number of hourglasses.
    """

    layouts = (_layout("hg.0.", _SINGLE),)

    def __init__(self, keypoints: int, stacks: int, channels: int = CHANNELS) -> None:
        super().__init__()
        self.backbone = Stem(channels)
        self.stacks = _stacks(keypoints, channels, stacks)

    def forward(self, images: Tensor) -> PoseOutput:
        return PoseOutput(heatmaps=self.stack_heatmaps(images)[-1])

    def stack_heatmaps(self, images: Tensor) -> list[Tensor]:
        """The heatmaps `[N, K, H/4, W/4]` of each stack."""
        return _run(self.stacks, self.backbone(images))[1]

    def parameter_groups(self) -> Groups:
        """The stem and the rest; see `pose.models.protocols.Student`."""
        return parameter_groups(self, [self.backbone], [])


class Aggregation(nn.Module):
    """Features `[N, channels, H, W]` -> the share of each branch in each joint's ensemble, `[N, branches, K]`, sum 1."""

    def __init__(self, keypoints: int, channels: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            nn.Sequential(nn.Conv2d(channels, channels, size, padding=size // 2), nn.BatchNorm2d(channels), nn.ReLU())
            for size in _KERNELS
        )
        self.fc = nn.Linear(channels, _SQUEEZED)
        self.fcs = nn.ModuleList(nn.Linear(_SQUEEZED, keypoints) for _ in range(_BRANCHES))

    def forward(self, features: Tensor) -> Tensor:
        total = torch.stack([conv(features) for conv in self.convs]).sum(0)
        squeezed = self.fc(total.mean((2, 3)))
        return torch.stack([linear(squeezed) for linear in self.fcs], dim=1).softmax(1)


class OnlineOutput(NamedTuple):
    """Heatmaps of a network of three branches.

    Attributes:
        stacks: of every stack, `[N, K, H, W]`: the shared ones, then branch by branch; all of them are trained.
        branches: the three that the ensemble is made of. ensemble: `[N, K, H, W]`.
    """

    stacks: list[Tensor]
    branches: list[Tensor]
    ensemble: Tensor


class OnlineHourglass(nn.Module):
    """Images `[N, 3, H, W]` -> `PoseOutput` with the ensemble's heatmaps; in training -> `OnlineOutput`.

    Args:
        shared: stacks before the branches part. own: stacks of each branch, two in the published networks.
    """

    layouts = (_layout("ind_b_0_s_0.", _TRAINED),)

    def __init__(self, keypoints: int, shared: int, own: int = 2, channels: int = CHANNELS) -> None:
        super().__init__()
        self.backbone = Stem(channels)
        self.aggregation = Aggregation(keypoints, channels)
        self.shared = _stacks(keypoints, channels, shared, last=False)
        self.branches = nn.ModuleList(_stacks(keypoints, channels, own) for _ in range(_BRANCHES))

    def forward(self, images: Tensor) -> PoseOutput | OnlineOutput:
        output = self.online(images)
        return output if self.training else PoseOutput(heatmaps=output.ensemble)

    def online(self, images: Tensor) -> OnlineOutput:
        """The heatmaps of all stacks and branches, and their ensemble."""
        stem = self.backbone(images)
        features, stacks = _run(self.shared, stem)
        parts = [_run(branch, features)[1] for branch in self.branches.children()]
        stacks += [heatmaps for part in parts for heatmaps in part]
        # With shared stacks the authors' code takes the last three entries of its list, which are of two branches only.
        branches = stacks[-_BRANCHES:] if len(self.shared) else [part[-1] for part in parts]
        shares = self.aggregation(stem)[..., None, None]
        return OnlineOutput(stacks, branches, (shares * torch.stack(branches, dim=1)).sum(1))

    def parameter_groups(self) -> Groups:
        """The stem and the rest; see `pose.models.protocols.Student`."""
        return parameter_groups(self, [self.backbone], [])


def okdhp_hg2(keypoints: int) -> StackedHourglass:
    """6.7 M parameters, 6.74 G multiply-adds."""
    return StackedHourglass(keypoints, 2)


def okdhp_hg4(keypoints: int) -> StackedHourglass:
    """13.0 M parameters, 11.52 G multiply-adds."""
    return StackedHourglass(keypoints, 4)


def okdhp_hg8(keypoints: int) -> StackedHourglass:
    """25.6 M parameters, 21.08 G multiply-adds."""
    return StackedHourglass(keypoints, 8)


def okdhp_2stack_train(keypoints: int) -> OnlineHourglass:
    """Three branches of two stacks: 24.6 M parameters, 32.58 G multiply-adds."""
    return OnlineHourglass(keypoints, shared=0)


def okdhp_4stack_train(keypoints: int) -> OnlineHourglass:
    """Two shared stacks, then three branches of two: 30.9 M parameters, 37.36 G multiply-adds."""
    return OnlineHourglass(keypoints, shared=2)
