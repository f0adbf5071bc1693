"""Fits a heatmap teacher to labels, for a user who has none (TokenPose: section 4.1)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from quantize.batches import Batch
from quantize.losses import simulate_heatmaps

SIGMA = 2.0  # heatmap pixels, of the Gaussians that TokenPose and HRNet are trained on at 256x192


class HeatmapFit:
    """MSE between the network's heatmaps and Gaussians at the labels; joints that are not labelled count for nothing."""

    def __call__(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        heatmaps = model(batch.images).heatmaps.float()
        with torch.autocast(batch.images.device.type, enabled=False):
            coords = batch.target.coords
            drawn = simulate_heatmaps(coords, torch.full_like(coords, SIGMA), *heatmaps.shape[-2:])
            weight = batch.target.weight[..., None, None]
            return {"heatmap": F.mse_loss(heatmaps * weight, drawn * weight)}
