"""Fits a heatmap teacher to labels, for a user who has none (TokenPose: section 4.1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from distill import losses
from distill.batches import Batch
from distill.recipe import LossWeights
from pose.models.encoder import TokenNetwork

_PART = 0.01  # weight of the backbone's guide


@dataclass(frozen=True)
class AuxiliaryOutput:
    """What a guided network says in training: heatmaps `[N, K, H, W]`, coords `[N, K, 2]`, parts `[N, K, h, w]` (logits)."""

    heatmaps: Tensor
    coords: Tensor
    parts: Tensor


class WithAuxiliaryHeads(nn.Module):
    """A heatmap network in training, with two linear guides that are dropped in the end.

    Heatmaps alone teach a transformer that starts from nothing very slowly: for a long time an empty map is the best answer.
    So its keypoint tokens say coordinates, too, and the backbone's features where they see each joint.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        tokens = cast(TokenNetwork, network)
        rows, columns = tokens.patch.patch
        self.point = nn.Linear(tokens.keypoint_token.shape[-1], 2)
        self.part = nn.Conv2d(tokens.patch.linear.in_features // (rows * columns), tokens.keypoints, 1)
        tokens.patch.register_forward_pre_hook(self._look)

    def forward(self, images: Tensor) -> AuxiliaryOutput:
        out = self.network(images)
        if not self.training:
            return out
        tokens = F.layer_norm(out.keypoint_tokens.float(), out.keypoint_tokens.shape[-1:])
        return AuxiliaryOutput(out.heatmaps, self.point(tokens).sigmoid(), self.part(self._features))

    def _look(self, patch: nn.Module, features: tuple[Tensor, ...]) -> None:
        (self._features,) = features


class HeatmapFit:
    """MSE between the network's heatmaps and Gaussians at the labels, and what its guides have to say.

    The tokens' guide has the regression loss, the backbone's the cross-entropy of each joint's place on its grid. Joints
    that are not labelled count for nothing.
    """

    def __init__(self, weights: LossWeights) -> None:
        self.weights = weights

    def __call__(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        guess: AuxiliaryOutput = model(batch.images)
        with torch.autocast(batch.images.device.type, enabled=False):
            target, heatmaps, parts = batch.target, guess.heatmaps.float(), guess.parts.float()
            weight = target.weight[..., None, None]
            drawn = losses.label_heatmaps(target, _size(heatmaps))
            places = losses.label_heatmaps(target, _size(parts), sigma=1.0)
            share = places / places.sum((2, 3), keepdim=True).clamp_min(1e-6)
            return {
                "heatmap": F.mse_loss(heatmaps * weight, drawn),
                "regression": self.weights.regression * losses.regression(guess.coords.float(), target, self.weights.beta),
                "part": -_PART * (share * parts.flatten(2).log_softmax(-1).view_as(parts)).sum((2, 3)).mean(),
            }


def _size(maps: Tensor) -> tuple[int, int]:
    return maps.shape[-1], maps.shape[-2]
