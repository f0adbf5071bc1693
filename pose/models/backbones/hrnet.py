"""HRNet (Sun et al., CVPR 2019): branches of stride 4, 8, 16, 32 in parallel, fused repeatedly.

The names of its parts are those of HRNet's checkpoints.
"""

from __future__ import annotations

from torch import Tensor, nn

from pose.models.backbones.stemnet import StemNet, conv3x3

_MODULES = {2: 1, 3: 4, 4: 3}  # exchange modules of each stage (section 3.2)
_BLOCKS = 4  # residual blocks of each branch of a module


class BasicBlock(nn.Module):
    """Two 3x3 convolutions, and the input added."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = conv3x3(channels, channels)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = conv3x3(channels, channels)
        self.bn2 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, features: Tensor) -> Tensor:
        out = self.relu(self.bn1(self.conv1(features)))
        return self.relu(self.bn2(self.conv2(out)) + features)


def _down(inputs: int, outputs: int, relu: bool = True) -> nn.Sequential:
    """Halve the resolution."""
    layers: list[nn.Module] = [conv3x3(inputs, outputs, stride=2), nn.BatchNorm2d(outputs)]
    return nn.Sequential(*layers, *([nn.ReLU(inplace=True)] if relu else []))


def _resample(source: int, target: int, channels: list[int]) -> nn.Module:
    """What brings branch `source` to the resolution and the channels of branch `target`."""
    if source == target:
        return nn.Identity()
    inputs, outputs = channels[source], channels[target]
    if source > target:
        return nn.Sequential(
            nn.Conv2d(inputs, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.Upsample(scale_factor=2 ** (source - target), mode="nearest"),
        )
    halvings = target - source - 1
    return nn.Sequential(*(_down(inputs, inputs) for _ in range(halvings)), _down(inputs, outputs, relu=False))


class ExchangeModule(nn.Module):
    """Residual blocks on every branch, then each of the first `outputs` branches becomes the sum of all."""

    def __init__(self, channels: list[int], outputs: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(nn.Sequential(*(BasicBlock(c) for _ in range(_BLOCKS))) for c in channels)
        self.fuse_layers = nn.ModuleList(
            nn.ModuleList(_resample(source, target, channels) for source in range(len(channels)))
            for target in range(outputs)
        )
        self.relu = nn.ReLU(inplace=True)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        features = [branch(x) for branch, x in zip(self.branches, features, strict=True)]
        outputs = []
        for row in self.fuse_layers:
            first, *others = [resample(x) for resample, x in zip(row.children(), features, strict=True)]
            for other in others:
                first = first + other
            outputs.append(self.relu(first))
        return outputs


class HRNet(StemNet):
    """RGB `[N, 3, H, W]` -> features `[N, width, H/4, W/4]`; H and W are multiples of `2 ** (stages + 1)`.

    Args:
        width: channels of the stride-4 branch; each further branch has twice as many. 32 and 48 are the published ones.
        stages: 4 for the whole network, 3 for the shorter one of TokenPose-B, TokenPose-L and DistilPose-L.
        branches: how many branches, the finest first, the last module computes: all of them for a classification head.
    """

    def __init__(self, width: int, stages: int, branches: int = 1) -> None:
        super().__init__()
        self.channels, self.stages = width, stages
        for stage in range(2, stages + 1):
            channels = [width * 2**branch for branch in range(stage)]
            if stage == 2:  # both branches start from the stem
                first = nn.Sequential(conv3x3(256, width), nn.BatchNorm2d(width), nn.ReLU(inplace=True))
                transition: list[nn.Module] = [first, nn.Sequential(_down(256, 2 * width))]
            else:
                transition = [*(nn.Identity() for _ in channels[1:]), nn.Sequential(_down(channels[-2], channels[-1]))]
            self.add_module(f"transition{stage - 1}", nn.ModuleList(transition))
            count = _MODULES[stage]
            outputs = [stage] * (count - 1) + [branches if stage == stages else stage]
            self.add_module(f"stage{stage}", nn.Sequential(*(ExchangeModule(channels, n) for n in outputs)))

    def maps(self, images: Tensor) -> list[Tensor]:
        """The maps `[N, width * 2**i, H / (4 * 2**i), W / (4 * 2**i)]` of the branches that the last module computes."""
        features = [super().forward(images)]
        for stage in range(2, self.stages + 1):
            transition = self.get_submodule(f"transition{stage - 1}")
            features = [*features, features[-1]]  # the new branch starts from the coarsest
            features = [move(x) for move, x in zip(transition.children(), features, strict=True)]
            features = self.get_submodule(f"stage{stage}")(features)
        return features

    def forward(self, images: Tensor) -> Tensor:
        return self.maps(images)[0]
