"""MobileNetV2 (Sandler et al., CVPR 2018) without the classifier; its parts have the names of mmpose's checkpoints."""

from __future__ import annotations

from torch import Tensor, nn

# factor of expansion, channels, blocks, stride of the first block, of each stage (table 2)
_STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
_STEM, _LAST = 32, 1280
_READ = (2, 3, 5)  # stages whose maps are read, before the last convolution's


class ConvNorm(nn.Module):
    """Convolution, batch norm, and ReLU6 unless it is linear."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1, linear: bool = False
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(outputs)
        self.activation = nn.Identity() if linear else nn.ReLU6(inplace=True)

    def forward(self, features: Tensor) -> Tensor:
        return self.activation(self.bn(self.conv(features)))


class InvertedResidual(nn.Module):
    """Expansion, depthwise convolution, linear projection; the input is added where the shapes are equal."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        expand = [ConvNorm(inputs, hidden, 1)] if expansion > 1 else []
        depthwise = ConvNorm(hidden, hidden, 3, stride, groups=hidden)
        self.conv = nn.Sequential(*expand, depthwise, ConvNorm(hidden, outputs, 1, linear=True))
        self.adds = stride == 1 and inputs == outputs

    def forward(self, features: Tensor) -> Tensor:
        out = self.conv(features)
        return features + out if self.adds else out


class MobileNetV2(nn.Module):
    """RGB `[N, 3, H, W]` -> maps of 24, 32, 96 and 1280 channels at strides 4, 8, 16 and 32."""

    channels = (24, 32, 96, _LAST)

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = ConvNorm(3, _STEM, 3, 2)
        inputs = _STEM
        for stage, (expansion, outputs, blocks, stride) in enumerate(_STAGES, 1):
            strides = [stride] + [1] * (blocks - 1)
            widths = [inputs] + [outputs] * (blocks - 1)
            layers = (InvertedResidual(one, outputs, two, expansion) for one, two in zip(widths, strides, strict=True))
            self.add_module(f"layer{stage}", nn.Sequential(*layers))
            inputs = outputs
        self.conv2 = ConvNorm(inputs, _LAST, 1)

    def forward(self, images: Tensor) -> list[Tensor]:
        features, maps = self.conv1(images), []
        for stage in range(1, len(_STAGES) + 1):
            features = self.get_submodule(f"layer{stage}")(features)
            if stage in _READ:
                maps.append(features)
        return [*maps, self.conv2(features)]
