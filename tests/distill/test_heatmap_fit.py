"""Fitting a heatmap teacher to labels: Gaussians for the heatmaps, and the auxiliary heads of token networks."""

from __future__ import annotations

import pytest
import torch
from drawn_source import Dots
from tiny_models import TinyTeacher
from tiny_student import SPEC
from torch import nn

from calib_data.crops import Crops
from distill.batches import Batches
from distill.heatmap_fit import AuxiliaryOutput, HeatmapFit, WithAuxiliaryHeads, with_auxiliary_heads
from distill.losses import simulate_heatmaps
from distill.recipe import LossWeights
from pose.models.output import PoseOutput
from pose.skeleton import COCO_17


def test_auxiliary_heads_predict_in_training_and_only_heatmaps_remain_otherwise() -> None:
    batch = Batches(Crops(Dots(4), SPEC, COCO_17), 4, (16, 16))[0]
    network = TinyTeacher()
    extended = WithAuxiliaryHeads(network)
    output = extended(batch.images)
    assert output.coords.shape == (4, 17, 2)
    assert output.parts.shape == (4, 17, 32, 32)  # where its backbone's features are
    terms = HeatmapFit(LossWeights())(extended, batch)
    sum(terms.values()).backward()
    assert all(parameter.grad is not None for parameter in extended.parameters() if parameter.requires_grad)
    extended.eval()
    assert torch.equal(extended(batch.images).heatmaps, network.eval()(batch.images).heatmaps)


def test_the_auxiliary_loss_of_the_backbone_is_least_where_each_joint_is() -> None:
    batch = Batches(Crops(Dots(4), SPEC, COCO_17), 4, (16, 16))[0]
    drawn = simulate_heatmaps(batch.target.coords, torch.full_like(batch.target.coords, 1.0), 16, 16)

    def part(logits: torch.Tensor) -> float:
        output = AuxiliaryOutput(drawn, batch.target.coords, logits)
        return float(HeatmapFit(LossWeights())(lambda images: output, batch)["part"])

    assert part(5 * drawn) < part(torch.zeros_like(drawn)) < part(-5 * drawn)


def test_a_teacher_is_fitted_to_gaussians_at_the_labels() -> None:
    batch = Batches(Crops(Dots(4), SPEC, COCO_17), 4, (16, 16))[0]
    batch.target.weight[:, 3] = 0

    class Fixed(nn.Module):
        def forward(self, images: torch.Tensor) -> AuxiliaryOutput:
            sigmas = torch.full_like(batch.target.coords, 2.0)
            drawn = simulate_heatmaps(batch.target.coords, sigmas, 16, 16)
            drawn[:, 3] = 7  # not labelled
            return AuxiliaryOutput(drawn, batch.target.coords + 0.1, drawn)

    terms = HeatmapFit(LossWeights(regression=0.5))(Fixed(), batch)
    assert terms["heatmap"] == 0
    assert terms["regression"] == pytest.approx(0.5 * 0.5 * 0.1**2 * 16 / 17)


def test_a_network_without_tokens_is_fitted_by_its_heatmaps_alone() -> None:
    batch = Batches(Crops(Dots(4), SPEC, COCO_17), 4, (16, 16))[0]

    class Heatmaps(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Conv2d(3, 17, 4, 4)

        def forward(self, images: torch.Tensor) -> PoseOutput:
            return PoseOutput(heatmaps=self.layer(images))

    network = with_auxiliary_heads(Heatmaps())
    assert isinstance(network, Heatmaps)
    assert set(HeatmapFit(LossWeights())(network, batch)) == {"heatmap"}
