"""Queries to joints: the published matches and losses, and every permutation tried."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from parity_vectors import SYSTEMS, needed
from torch import Tensor

from distill.matching import hungarian, match, matched, network_hungarian
from pose.decode import assign_queries
from pose.models.output import PoseOutput


@needed
def test_matches_losses_and_gradients_are_the_published_ones() -> None:
    vectors = np.load(SYSTEMS / "prtr_loss.npz")
    logits, coords = (torch.tensor(vectors[name], requires_grad=True) for name in ("logits", "coords"))
    target, weight = torch.tensor(vectors["target"]), torch.tensor(vectors["weight"])[..., 0]
    for layer, suffix in ((1, ""), (0, "_0")):
        queries = match(logits[layer], coords[layer], target)
        assert (queries.numpy() == vectors["matched_queries" if layer else "matched_queries_aux0"]).all()
        classes, points = hungarian(logits[layer], coords[layer], target, weight, queries)
        assert classes.item() == pytest.approx(vectors[f"loss_ce{suffix}"], rel=1e-4)
        assert points.item() == pytest.approx(5 * vectors[f"loss_kpts{suffix}"], rel=1e-4)
    output = PoseOutput(layer_logits=logits.transpose(0, 1), layer_coords=coords.transpose(0, 1))
    total = network_hungarian(output, target, weight)
    assert total is not None
    assert total.item() == pytest.approx(vectors["total"], rel=1e-4)
    total.backward()
    for value, name in ((logits, "d_logits"), (coords, "d_coords")):
        np.testing.assert_allclose(value.grad, vectors[name], atol=1e-3 * np.abs(vectors[name]).max())


def cost(logits: Tensor, coords: Tensor, target: Tensor, queries: tuple[int, ...]) -> float:
    picked = torch.tensor(queries)
    distance = (coords[picked] - target).abs().sum()
    return (5 * distance - logits.softmax(-1)[picked, torch.arange(len(queries))].sum()).item()


def test_a_match_is_the_cheapest_of_all() -> None:
    torch.manual_seed(0)
    logits, coords, target = torch.randn(3, 5, 4), torch.rand(3, 5, 2), torch.rand(3, 3, 2)
    for person, queries in enumerate(match(logits, coords, target)):
        every = itertools.permutations(range(5), 3)
        best = min(every, key=lambda one: cost(logits[person], coords[person], target[person], one))
        assert tuple(queries.tolist()) == best


def test_an_assignment_gives_each_joint_a_query_of_its_own() -> None:
    scores = np.array([[[0.6, 0.5], [0.1, 0.4], [0.1, 0.1]]], np.float32)  # query 0 is the most probable of both joints
    coords = np.array([[[0, 0], [1, 1], [2, 2]]], np.float32)
    points, certainties = assign_queries(coords, scores)
    assert points.tolist() == [[[0, 0], [1, 1]]]
    np.testing.assert_allclose(certainties, [[0.6, 0.4]])
    assert assign_queries(points, certainties) == (points, certainties)


def test_the_matched_query_stands_for_its_joint() -> None:
    torch.manual_seed(0)
    coords, target, logits = torch.rand(2, 6, 2), torch.rand(2, 3, 2), torch.zeros(2, 2, 6, 4)
    coords[:, 3:] = target.flip(1) + 0.001
    output = PoseOutput(coords, logits[:, -1, :, :3].softmax(-1), torch.rand(2, 6, 2), layer_logits=logits)
    result = matched(output, target)
    torch.testing.assert_close(result.coords, target + 0.001)
    assert result.scores.shape == (2, 3)
    assert torch.equal(result.sigmas, output.sigmas[:, 3:].flip(1))
    assert matched(result, target) is result
    assert network_hungarian(PoseOutput(coords=target), target, torch.ones(2, 3)) is None
