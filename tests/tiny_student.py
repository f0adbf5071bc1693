"""A student of every operator that distilpose_edge has, and few of each: what quantization and targets are tried on."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pose.crop import CropSpec
from pose.models.backbones.movenet import SameConv2d
from pose.models.distilpose import DistilPose
from pose.models.encoder import PatchEmbedding, TokenBatchNorm, TokenEncoder

SPEC = CropSpec(width=64, height=64, mean=(127.5,) * 3, std=(127.5,) * 3)


class TinyBackbone(nn.Module):
    """Strided convolution with TensorFlow's padding, depthwise convolution, batch norm, ReLU6, resizing and addition."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(SameConv2d(3, 8, 3, 2), nn.ReLU6())
        self.down = nn.Sequential(SameConv2d(8, 8, 3, 2, groups=8), nn.BatchNorm2d(8), nn.ReLU6())
        self.lateral = nn.Conv2d(8, 8, 1)

    def forward(self, images: Tensor) -> Tensor:
        fine = self.stem(images)
        coarse = F.interpolate(self.down(fine), scale_factor=2.0, mode="bilinear")
        return (coarse + self.lateral(fine)).relu()


def tiny_student() -> DistilPose:
    """Two blocks of 32 dimensions, in evaluation mode, its batch norms as if it had been trained."""
    torch.manual_seed(0)
    encoder = TokenEncoder(32, 2, heads=2, norm=TokenBatchNorm, activation=nn.ReLU)
    model = DistilPose(TinyBackbone(), PatchEmbedding(8, (8, 8), 32), (4, 4), 17, encoder, TokenBatchNorm(32))
    return used(model)


def used(model: nn.Module) -> nn.Module:
    """The model in evaluation mode, its batch norms as if it had been trained."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, 0, 0.1)
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.1)
    return model.eval()


def tiny_crops(count: int = 8) -> np.ndarray:
    """Crops uint8 [count, 64, 64, 3]: the pixels of `tiny_images`, rounded."""
    return ((tiny_images(count).permute(0, 2, 3, 1).numpy() + 1) * 127.5).round().astype(np.uint8)


def tiny_images(count: int = 8) -> Tensor:
    """Network inputs [count, 3, 64, 64] in -1..1: blocks of colour."""
    blocks = torch.rand(count, 3, 8, 8, generator=torch.Generator().manual_seed(1)) * 2 - 1
    return blocks.repeat_interleave(8, 2).repeat_interleave(8, 3)
