"""Online distillation of stacked hourglasses (OKDHP: Li et al., ICCV 2021): branches learn from labels and an ensemble."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from distill.batches import Batch
from distill.heatmap_losses import keypoint_mse, map_divergence
from distill.label_maps import LabelDrawing, draw_labels
from pose.models.okdhp import OnlineOutput

_RAMP_EPOCHS = 60


@dataclass(frozen=True)
class OnlineFit:
    """The terms of a batch's loss; the weights are the defaults of the authors' code.

    Attributes:
        ensemble: weight of the ensemble's error to the labels. divergence: of the maps from the ensemble's, at the end of a
            ramp exp(-5 (1 - t)^2) over 60 epochs.
        drawing: of the labels.
    """

    ensemble: float = 6.0
    divergence: float = 5.0
    drawing: LabelDrawing | None = None

    def __call__(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        output: OnlineOutput = model(batch.images)
        with torch.autocast(batch.images.device.type, enabled=False):
            height, width = output.ensemble.shape[-2:]
            labels, weight = draw_labels(batch.target, (width, height), self.drawing)
            stacks = [maps.float() for maps in output.stacks]
            return self.terms(stacks, output.ensemble.float(), labels, weight, ramp(batch.epoch))

    def terms(
        self, stacks: Sequence[Tensor], ensemble: Tensor, labels: Tensor, weight: Tensor, share: float
    ) -> dict[str, Tensor]:
        """Of the heatmaps of all stacks and of the ensemble, each `[N, K, H, W]`; `share` of the divergence's weight."""
        errors = [keypoint_mse(maps, labels, weight) / 2 for maps in stacks]
        divergences = [map_divergence(maps, ensemble, weight) for maps in stacks]
        return {
            "heatmap": torch.stack(errors).sum(),
            "ensemble": self.ensemble * keypoint_mse(ensemble, labels, weight) / 2,
            "divergence": self.divergence * share * torch.stack(divergences).sum(),
        }


def ramp(epoch: float) -> float:
    """Share of the divergence's weight after so many passes over the data."""
    return math.exp(-5 * (1 - min(1.0, epoch / _RAMP_EPOCHS)) ** 2)
