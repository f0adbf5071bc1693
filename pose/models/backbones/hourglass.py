"""The hourglass (Newell et al., ECCV 2016) of pre-activation bottlenecks, and the stem before a stack of them."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

_DEPTH = 4  # poolings of an hourglass


class PreActivation(nn.Module):
    """Residual bottleneck with batch norm before each convolution: `[N, inputs, H, W]` -> `[N, 2 * hidden, H, W]`."""

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        self.bn1, self.conv1 = nn.BatchNorm2d(inputs), nn.Conv2d(inputs, hidden, 1)
        self.bn2, self.conv2 = nn.BatchNorm2d(hidden), nn.Conv2d(hidden, hidden, 3, padding=1)
        self.bn3, self.conv3 = nn.BatchNorm2d(hidden), nn.Conv2d(hidden, 2 * hidden, 1)
        self.downsample = nn.Identity() if inputs == 2 * hidden else nn.Sequential(nn.Conv2d(inputs, 2 * hidden, 1))

    def forward(self, features: Tensor) -> Tensor:
        out = self.conv1(self.bn1(features).relu())
        out = self.conv2(self.bn2(out).relu())
        return self.conv3(self.bn3(out).relu()) + self.downsample(features)


def residual(inputs: int, hidden: int) -> nn.Sequential:
    """One bottleneck, in the sequence that checkpoints have it in."""
    return nn.Sequential(PreActivation(inputs, hidden))


class Stem(nn.Module):
    """Images `[N, 3, H, W]` -> features `[N, channels, H/4, W/4]`."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        quarter = channels // 4
        self.conv1, self.bn1 = nn.Conv2d(3, quarter, 7, 2, padding=3), nn.BatchNorm2d(quarter)
        self.layer1 = residual(quarter, quarter)
        self.layer2 = residual(2 * quarter, channels // 2)
        self.layer3 = residual(channels, channels // 2)

    def forward(self, images: Tensor) -> Tensor:
        features = self.layer1(self.bn1(self.conv1(images)).relu())
        return self.layer3(self.layer2(F.max_pool2d(features, 2)))


class Hourglass(nn.Module):
    """Features `[N, channels, H, W]` -> the same shape, pooled four times and raised again; H and W are multiples of 16.

    Level 0 is the innermost. Each has a residual module beside it, one after pooling, one before raising; level 0 has a
    fourth, the bottom.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        counts = [4] + [3] * (_DEPTH - 1)
        self.levels = nn.ModuleList(
            nn.ModuleList(residual(channels, channels // 2) for _ in range(count)) for count in counts
        )

    def forward(self, features: Tensor) -> Tensor:
        return self._level(_DEPTH - 1, features)

    def _level(self, level: int, features: Tensor) -> Tensor:
        beside, pooled, raised, *bottom = self.levels.get_submodule(str(level)).children()
        inner = pooled(F.max_pool2d(features, 2))
        inner = bottom[0](inner) if bottom else self._level(level - 1, inner)
        return beside(features) + F.interpolate(raised(inner), scale_factor=2.0, mode="nearest")
