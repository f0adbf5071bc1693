"""ResNet (He et al., CVPR 2016) of bottlenecks, without the pooling and the classifier: the maps of its stages are read.

The names of its parts are torchvision's, and those of every checkpoint that was trained from its weights.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor, nn

from pose.models.backbones.stemnet import Bottleneck

BLOCKS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}  # bottlenecks of each stage, by depth (table 1)


class FrozenBatchNorm2d(nn.BatchNorm2d):
    """Batch norm whose statistics, weight and bias are constants: four buffers in the state dict, and no parameter."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, track_running_stats=True)
        for name in ("weight", "bias"):
            value = getattr(self, name).detach()
            delattr(self, name)
            self.register_buffer(name, value)
        del self.num_batches_tracked
        self.track_running_stats = False  # otherwise torch adds `num_batches_tracked` to each state dict that it loads
        self.eval()

    def train(self, mode: bool = True) -> FrozenBatchNorm2d:
        """It stays in evaluation mode."""
        return super().train(False)


class ResNet(nn.Module):
    """RGB `[N, 3, H, W]` -> the maps of its stages `[N, 4 * width * 2**i, H / (4 * 2**i), W / (4 * 2**i)]`, finest first.

    Args:
        blocks: bottlenecks of each stage: `BLOCKS[depth]`, or its first entries for a network that stops earlier.
        width: channels inside the first stage's bottlenecks; 64 in the published ones.
        caffe: halve the resolution in the 1x1 convolution of a stage's first bottleneck, not in the 3x3, as the original
            does. Checkpoints of both have the same names and shapes.
        norm: channels -> normalisation, `FrozenBatchNorm2d` for networks that keep ImageNet's statistics.
    """

    def __init__(
        self,
        blocks: Sequence[int] = BLOCKS[50],
        width: int = 64,
        caffe: bool = False,
        norm: Callable[[int], nn.Module] = nn.BatchNorm2d,
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 7, 2, padding=3, bias=False)
        self.bn1 = norm(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, padding=1)
        self.channels = tuple(4 * width * 2**stage for stage in range(len(blocks)))  # of each map
        self.stages = [f"layer{stage}" for stage in range(1, len(blocks) + 1)]
        for stage, (name, count, outputs) in enumerate(zip(self.stages, blocks, self.channels, strict=True)):
            inputs, stride = (width, 1) if stage == 0 else (outputs // 2, 2)
            first = Bottleneck(inputs, outputs // 4, stride, caffe, norm)
            others = (Bottleneck(outputs, outputs // 4, norm=norm) for _ in range(count - 1))
            self.add_module(name, nn.Sequential(first, *others))

    def forward(self, images: Tensor) -> list[Tensor]:
        features = self.maxpool(self.relu(self.bn1(self.conv1(images))))
        maps = []
        for name in self.stages:
            features = self.get_submodule(name)(features)
            maps.append(features)
        return maps


class LastMap(ResNet):
    """A ResNet of which only the map of the last stage is read: `[N, C, H / S, W / S]`."""

    def forward(self, images: Tensor) -> Tensor:  # type: ignore[override]
        return super().forward(images)[-1]
