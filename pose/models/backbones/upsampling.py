"""Transposed convolutions that raise the resolution of features (Xiao et al., ECCV 2018, section 2)."""

from __future__ import annotations

from torch import nn


def upsampling(inputs: int, outputs: int, doublings: int) -> nn.Sequential:
    """Features `[N, inputs, H, W]` -> `[N, outputs, H * 2**doublings, W * 2**doublings]`."""
    layers: list[nn.Module] = []
    for channels in [inputs] + [outputs] * (doublings - 1):
        layers += [
            nn.ConvTranspose2d(channels, outputs, 4, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
        ]
    return nn.Sequential(*layers)
