"""The stem of HRNet, alone: a backbone of its own in TokenPose-S and DistilPose-S (HRNet, section 3; TokenPose, table 1)."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn


def conv3x3(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    """3x3 convolution without bias that keeps the size, or halves it with stride 2."""
    return nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)


class Bottleneck(nn.Module):
    """ResNet's bottleneck: 1x1, 3x3, 1x1 to `4 * hidden` channels, plus the input, projected where the shapes differ.

    Args:
        stride: of the 3x3 convolution, or of the first with `caffe`.
        norm: channels -> normalisation.
    """

    def __init__(
        self,
        inputs: int,
        hidden: int,
        stride: int = 1,
        caffe: bool = False,
        norm: Callable[[int], nn.Module] = nn.BatchNorm2d,
    ) -> None:
        super().__init__()
        outputs = 4 * hidden
        first, second = (stride, 1) if caffe else (1, stride)
        self.conv1 = nn.Conv2d(inputs, hidden, 1, first, bias=False)
        self.bn1 = norm(hidden)
        self.conv2 = conv3x3(hidden, hidden, second)
        self.bn2 = norm(hidden)
        self.conv3 = nn.Conv2d(hidden, outputs, 1, bias=False)
        self.bn3 = norm(outputs)
        self.relu = nn.ReLU(inplace=True)
        project = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), norm(outputs))
        self.downsample = nn.Identity() if inputs == outputs and stride == 1 else project

    def forward(self, features: Tensor) -> Tensor:
        out = self.relu(self.bn1(self.conv1(features)))
        out = self.relu(self.bn2(self.conv2(out)))
        return self.relu(self.bn3(self.conv3(out)) + self.downsample(features))


class StemNet(nn.Module):
    """RGB `[N, 3, H, W]` -> features `[N, 256, H/4, W/4]`: two strided convolutions of 64 channels and four bottlenecks.

    The names of its parts are those of HRNet's checkpoints.
    """

    channels = 256

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = conv3x3(3, 64, stride=2)
        self.bn1 = nn.BatchNorm2d(64)
        self.conv2 = conv3x3(64, 64, stride=2)
        self.bn2 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.layer1 = nn.Sequential(Bottleneck(64, 64), *(Bottleneck(256, 64) for _ in range(3)))

    def forward(self, images: Tensor) -> Tensor:
        out = self.relu(self.bn1(self.conv1(images)))
        return self.layer1(self.relu(self.bn2(self.conv2(out))))
