"""HRNet (Sun et al., CVPR 2019) as pose network: heatmaps `[N, K, 64, 48]` of its finest branch, for crops of 192x256."""

from __future__ import annotations

from torch import nn

from pose.models.backbones.hrnet import HRNet
from pose.models.heatmap_network import HeatmapNetwork, heatmap_layouts


class HRNetPose(HeatmapNetwork):
    """Images `[N, 3, H, W]` -> heatmaps `[N, K, H/4, W/4]`; H and W are multiples of 32.

    Args:
        width: channels of the finest branch.
    """

    layouts = heatmap_layouts()

    def __init__(self, width: int, keypoints: int) -> None:
        super().__init__(HRNet(width, stages=4), nn.Identity(), width, keypoints)


def hrnet_w32(keypoints: int) -> HRNetPose:
    """28.5 M parameters, 7.65 G multiply-adds."""
    return HRNetPose(32, keypoints)


def hrnet_w48(keypoints: int) -> HRNetPose:
    """63.6 M parameters, 15.69 G multiply-adds."""
    return HRNetPose(48, keypoints)
