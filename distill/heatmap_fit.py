"""The objective of a heatmap teacher that is fitted to labels (TokenPose: section 4.1)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from distill import losses
from distill.batches import Batch
from distill.heatmap_losses import keypoint_mse
from distill.label_maps import LabelDrawing, draw_labels, on_grid
from distill.online import OnlineFit
from distill.optimisers import declared_groups
from distill.recipe import LossWeights
from pose.heatmaps import HeatmapGrid
from pose.models.encoder import TokenNetwork
from pose.models.okdhp import OnlineHourglass
from pose.models.output import PoseOutput

_PART = 0.01  # weight of the auxiliary loss on the backbone


@dataclass(frozen=True)
class AuxiliaryOutput:
    """Heatmaps `[N, K, H, W]`, and the auxiliary heads' coords `[N, K, 2]` and parts `[N, K, h, w]` (logits)."""

    heatmaps: Tensor
    coords: Tensor
    parts: Tensor


class WithAuxiliaryHeads(nn.Module):
    """A token network in training, with two linear heads that are dropped in the end.

    Heatmaps alone teach a transformer that starts from random weights very slowly: for a long time an empty map has the
    least error. So its keypoint tokens also predict coordinates, and the backbone's features where each joint is.
    """

    def __init__(self, network: TokenNetwork) -> None:
        super().__init__()
        self.network = network
        rows, columns = network.patch.patch
        self.point = nn.Linear(network.keypoint_token.shape[-1], 2)
        self.part = nn.Conv2d(network.patch.linear.in_features // (rows * columns), network.keypoints, 1)
        network.patch.register_forward_pre_hook(self._keep_features)

    def forward(self, images: Tensor) -> PoseOutput | AuxiliaryOutput:
        output = self.network(images)
        if not self.training:
            return output
        tokens = F.layer_norm(output.keypoint_tokens.float(), output.keypoint_tokens.shape[-1:])
        return AuxiliaryOutput(output.heatmaps, self.point(tokens).sigmoid(), self.part(self._features))

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        """Those of the network; the auxiliary heads are in none."""
        return declared_groups(self.network)

    def _keep_features(self, patch: nn.Module, features: tuple[Tensor, ...]) -> None:
        (self._features,) = features


def with_auxiliary_heads(network: nn.Module) -> nn.Module:
    """A token network with its auxiliary heads; any other heatmap network as it is."""
    return WithAuxiliaryHeads(network) if isinstance(network, TokenNetwork) else network


class HeatmapFit:
    """MSE between the network's heatmaps and Gaussians at the labels, and the losses of its auxiliary heads, if it has them.

    The head on the tokens has the regression loss, the one on the backbone the cross-entropy of each joint's cell on its
    grid. Joints that are not labelled do not count. Of the other registered losses, those that a recipe names are added.

    Args:
        drawing: of the labels. corners: the network's heatmaps lie on a grid of corners, see `HeatmapGrid`.
    """

    def __init__(self, weights: LossWeights, drawing: LabelDrawing | None = None, corners: bool = False) -> None:
        self.weights, self.drawing, self.corners = weights, drawing, corners

    def __call__(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        output: AuxiliaryOutput | PoseOutput = model(batch.images)
        assert output.heatmaps is not None
        with torch.autocast(batch.images.device.type, enabled=False):
            heatmaps = output.heatmaps.float()
            grid = HeatmapGrid(corners=_size(batch.images) if self.corners else None)
            target = on_grid(batch.target, grid, _size(heatmaps))
            terms = {"heatmap": keypoint_mse(heatmaps, *draw_labels(target, _size(heatmaps), self.drawing))}
            if isinstance(output, AuxiliaryOutput):
                parts = output.parts.float()
                cells = losses.label_heatmaps(target, _size(parts), sigma=1.0)
                share = cells / cells.sum((2, 3), keepdim=True).clamp_min(1e-6)
                terms["regression"] = self.weights.regression * losses.regression(
                    output.coords.float(), target, self.weights.beta
                )
                terms["part"] = -_PART * (share * parts.flatten(2).log_softmax(-1).view_as(parts)).sum((2, 3)).mean()
            inputs = losses.LossInputs(PoseOutput(heatmaps=heatmaps), PoseOutput(), target, None, self.weights.beta)
            extra = {name: losses.LOSSES[name](inputs) for name in self.weights.extra}
            return terms | {name: self.weights.extra[name] * value for name, value in extra.items() if value is not None}


def objective_of(network: nn.Module, weights: LossWeights, drawing: LabelDrawing | None = None) -> HeatmapFit | OnlineFit:
    """What a heatmap network is fitted with: the losses of OKDHP where it has several branches, else `HeatmapFit`."""
    if isinstance(network, OnlineHourglass):
        return OnlineFit(drawing=drawing)
    return HeatmapFit(weights, drawing, getattr(network, "corners", False))


def _size(maps: Tensor) -> tuple[int, int]:
    return maps.shape[-1], maps.shape[-2]
