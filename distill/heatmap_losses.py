"""Losses between heatmaps `[N, K, H, W]`: of teachers that are fitted to labels, and of branches that teach each other.

`weight [N, K]` is 0 where a joint is not labelled. Both maps are multiplied by it before they are compared; `labels` are so
already, as `losses.label_heatmaps` draws them.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

_HARDEST = 8  # joints of a person, of 17


def keypoint_mse(heatmaps: Tensor, labels: Tensor, weight: Tensor) -> Tensor:
    """MSE, mean over everything: mmpose's, and twice that of SimpleBaselines, HRNet, TransPose and OKDHP."""
    return F.mse_loss(heatmaps * weight[..., None, None], labels)


def hardest_joints_mse(heatmaps: Tensor, labels: Tensor, weight: Tensor, count: int = _HARDEST) -> Tensor:
    """Half the MSE of each person's `count` joints with the largest one (OHKM: Chen et al., CVPR 2018)."""
    errors = (heatmaps * weight[..., None, None] - labels).square().mean((2, 3)) / 2
    return errors.topk(min(count, errors.shape[1]), dim=1).values.mean()


def map_divergence(heatmaps: Tensor, teacher: Tensor, weight: Tensor) -> Tensor:
    """KL divergence of maps from a teacher's, each a softmax over its pixels: mean over people and pixels, sum over joints.

    The gradient goes into both, so that an ensemble is pulled to its branches, too (OKDHP).
    """
    ours, theirs = heatmaps.flatten(2).log_softmax(-1), teacher.flatten(2).softmax(-1)
    return (F.kl_div(ours, theirs, reduction="none") * weight[..., None]).mean((0, 2)).sum()
