"""Losses between heatmaps: against the vectors of their public implementations, and against formulas written out here."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from parity_vectors import SYSTEMS, needed
from torch import Tensor

from distill import losses
from distill.batches import Batch
from distill.heatmap_fit import HeatmapFit, objective_of
from distill.heatmap_losses import hardest_joints_mse, keypoint_mse, map_divergence
from distill.online import OnlineFit, ramp
from distill.recipe import LossWeights
from pose.models.okdhp import OnlineHourglass, OnlineOutput, StackedHourglass


def close(actual: Tensor, expected: Tensor) -> None:
    assert (actual - expected).abs().max() <= 1e-3 * expected.abs().max()


@needed
def test_vectors() -> None:
    arrays = {name: torch.tensor(value) for name, value in np.load(SYSTEMS / "heatmap_losses.npz").items()}
    outputs, ensemble = (arrays[name].requires_grad_() for name in ("outputs", "ensemble"))
    weight, labels = arrays["weight"][..., 0], arrays["target"] * arrays["weight"][..., None]
    terms = OnlineFit(ensemble=1.0, divergence=2.0).terms(list(outputs), ensemble, labels, weight, share=0.5)
    for name, key in (("heatmap", "loss_hard"), ("divergence", "loss_soft"), ("ensemble", "loss_ensemble")):
        close(terms[name], arrays[key])
    total = torch.stack(list(terms.values())).sum()
    close(total, arrays["total"])
    for gradient, key in zip(torch.autograd.grad(total, [outputs, ensemble]), ("d_outputs", "d_ensemble"), strict=True):
        close(gradient, arrays[key])
    close(keypoint_mse(outputs[0], labels, weight), arrays["mmpose_keypoint_mse"])
    close(keypoint_mse(outputs[0], labels, weight) / 2, arrays["joints_mse"])
    close(hardest_joints_mse(outputs[0], labels, weight), arrays["joints_ohkm_mse_top8"])


def test_hardest_joints_of_each_person() -> None:
    labels = torch.zeros(2, 3, 1, 2)
    heatmaps = torch.tensor([[1.0, 2.0, 3.0], [4.0, 0.0, 5.0]])[..., None, None].expand(2, 3, 1, 2)
    weight = torch.tensor([[1.0, 1.0, 1.0], [1.0, 1.0, 0.0]])
    assert hardest_joints_mse(heatmaps, labels, weight, count=1).item() == pytest.approx((9 / 2 + 16 / 2) / 2)
    assert hardest_joints_mse(heatmaps, labels, weight, count=8).item() == pytest.approx((1 + 4 + 9 + 16) / 2 / 6)


def test_divergence_of_two_pixels() -> None:
    """Softmax of (0, ln 3) is (1/4, 3/4)."""
    ours = torch.zeros(1, 2, 1, 2)
    theirs = torch.tensor([0.0, float(np.log(3))]).view(1, 1, 1, 2).expand(1, 2, 1, 2)
    expected = (0.25 * np.log(0.25 / 0.5) + 0.75 * np.log(0.75 / 0.5)) / 2  # the mean over two pixels
    assert map_divergence(ours, theirs, torch.tensor([[1.0, 0.0]])).item() == pytest.approx(expected)
    assert map_divergence(theirs, theirs, torch.ones(1, 2)).item() == pytest.approx(0, abs=1e-7)


def test_the_divergence_grows_over_sixty_epochs() -> None:
    assert ramp(0) == pytest.approx(np.exp(-5))
    assert ramp(30) == pytest.approx(np.exp(-5 / 4))
    assert ramp(60) == ramp(1000) == 1


def batch(epoch: float = 0.0) -> Batch:
    target = losses.Target(torch.full((2, 3, 2), 0.5), torch.tensor([[1.0, 1.0, 0.0], [1.0, 0.0, 1.0]]))
    return Batch(torch.randn(2, 3, 64, 64), target, None, (0, 1), epoch)


def test_a_network_of_several_branches_learns_from_its_ensemble() -> None:
    torch.manual_seed(0)
    network = OnlineHourglass(3, shared=1, own=1, channels=16)
    objective = objective_of(network, LossWeights())
    first, last = (objective(network, batch(epoch)) for epoch in (0.0, 60.0))
    assert set(first) == {"heatmap", "ensemble", "divergence"}
    assert last["divergence"] > 50 * first["divergence"]
    torch.stack(list(last.values())).sum().backward()
    still = [name for name, value in network.named_parameters() if value.grad is None or not value.grad.any()]
    assert not [name for name in still if not name.endswith("bias")]  # one before a batch norm changes nothing
    assert isinstance(network(batch().images), OnlineOutput)
    assert network.eval()(batch().images).heatmaps.shape == (2, 3, 16, 16)


def test_a_recipe_may_add_a_registered_loss() -> None:
    torch.manual_seed(0)
    network, people = StackedHourglass(3, 1, channels=16), batch()
    objective = objective_of(network, LossWeights(extra={"hardest_joints": 2.0}))
    assert isinstance(objective, HeatmapFit)
    terms = objective(network, people)
    labels = losses.label_heatmaps(people.target, (16, 16))
    heatmaps = network(people.images).heatmaps
    assert terms["heatmap"].item() == pytest.approx(keypoint_mse(heatmaps, labels, people.target.weight).item(), rel=1e-4)
    expected = 2 * hardest_joints_mse(heatmaps, labels, people.target.weight)
    assert terms["hardest_joints"].item() == pytest.approx(expected.item(), rel=1e-4)
    assert set(HeatmapFit(LossWeights())(network, people)) == {"heatmap"}
