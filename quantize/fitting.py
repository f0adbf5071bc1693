"""Fits a heatmap teacher to labels, for a user who has none (TokenPose: section 4.1)."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pose.models.output import PoseOutput
from quantize import losses
from quantize.batches import Batch
from quantize.recipe import LossWeights

SIGMA = 2.0  # heatmap pixels, of the Gaussians that TokenPose and HRNet are trained on at 256x192


class Guided(nn.Module):
    """A heatmap network in training whose keypoint tokens say coordinates as well, by a linear map that is dropped afterwards.

    Heatmaps alone teach a transformer that starts from nothing very slowly: for a long time the best answer is an empty map.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.guide = nn.Linear(cast(Tensor, network.keypoint_token).shape[-1], 2)

    def forward(self, images: Tensor) -> PoseOutput:
        out = self.network(images)
        if not self.training:
            return out
        tokens = F.layer_norm(out.keypoint_tokens.float(), out.keypoint_tokens.shape[-1:])
        return PoseOutput(coords=self.guide(tokens).sigmoid(), heatmaps=out.heatmaps)


class HeatmapFit:
    """MSE between the network's heatmaps and Gaussians at the labels, and the regression loss of its guide.

    Joints that are not labelled count for nothing.
    """

    def __init__(self, weights: LossWeights) -> None:
        self.weights = weights

    def __call__(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        out = model(batch.images)
        with torch.autocast(batch.images.device.type, enabled=False):
            target, heatmaps = batch.target, out.heatmaps.float()
            drawn = losses.simulate_heatmaps(target.coords, torch.full_like(target.coords, SIGMA), *heatmaps.shape[-2:])
            weight = target.weight[..., None, None]
            guide = losses.regression(out.coords.float(), target, self.weights.beta)
            return {"heatmap": F.mse_loss(heatmaps * weight, drawn * weight), "regression": self.weights.regression * guide}
