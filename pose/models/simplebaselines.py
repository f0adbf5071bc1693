"""SimpleBaselines (Xiao et al., ECCV 2018): ResNet and three transposed convolutions; heatmaps `[N, K, 64, 48]` for crops of
192x256.

The authors' networks take crops in BGR, mmpose's in RGB; their files show whose they are. Nothing in a file shows whether it
is of a `_caffe` network, in which a stage's first 1x1 convolution has the stride.
"""

from __future__ import annotations

from collections.abc import Sequence

from pose.crop import BGR
from pose.models.backbones.resnet import BLOCKS, LastMap
from pose.models.backbones.upsampling import upsampling
from pose.models.heatmap_network import HeatmapNetwork, heatmap_layouts


class SimpleBaseline(HeatmapNetwork):
    """Images `[N, 3, H, W]` -> heatmaps `[N, K, H/4, W/4]`; H and W are multiples of 32.

    Args:
        blocks, width, caffe: see `ResNet`.
        channels: of the transposed convolutions.
    """

    layouts = heatmap_layouts("deconv_layers", BGR)

    def __init__(
        self, keypoints: int, blocks: Sequence[int], caffe: bool = False, width: int = 64, channels: int = 256
    ) -> None:
        backbone = LastMap(blocks, width, caffe)
        super().__init__(backbone, upsampling(backbone.channels[-1], channels, doublings=3), channels, keypoints)


def simplebaselines_r50(keypoints: int) -> SimpleBaseline:
    """34.0 M parameters, 5.43 G multiply-adds."""
    return SimpleBaseline(keypoints, BLOCKS[50])


def simplebaselines_r101(keypoints: int) -> SimpleBaseline:
    """53.0 M parameters, 9.06 G multiply-adds."""
    return SimpleBaseline(keypoints, BLOCKS[101])


def simplebaselines_r152(keypoints: int) -> SimpleBaseline:
    """68.6 M parameters, 12.70 G multiply-adds."""
    return SimpleBaseline(keypoints, BLOCKS[152])


def simplebaselines_r50_caffe(keypoints: int) -> SimpleBaseline:
    """34.0 M parameters, 5.20 G multiply-adds."""
    return SimpleBaseline(keypoints, BLOCKS[50], caffe=True)


def simplebaselines_r101_caffe(keypoints: int) -> SimpleBaseline:
    """53.0 M parameters, 8.84 G multiply-adds."""
    return SimpleBaseline(keypoints, BLOCKS[101], caffe=True)


def simplebaselines_r152_caffe(keypoints: int) -> SimpleBaseline:
    """68.6 M parameters, 12.47 G multiply-adds."""
    return SimpleBaseline(keypoints, BLOCKS[152], caffe=True)
