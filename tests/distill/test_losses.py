"""The losses: the values and gradients of the published implementation, and what each of them must do."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from distill import losses
from distill.losses import Target
from distill.recipe import LossWeights
from pose.models.output import PoseOutput

VECTORS = Path(os.environ.get("POSE_DATA", "absent")).parent / "parity" / "losses.npz"
W, H = 12, 16
quick = settings(max_examples=40, deadline=None)
seeds = st.integers(0, 2**31)
near_the_crop = st.floats(-0.25, 1.25, width=32)


@pytest.fixture(scope="module")
def vectors() -> dict[str, Tensor]:
    if not VECTORS.is_file():
        pytest.skip("POSE_DATA is not set, or no parity vectors lie beside it")
    with np.load(VECTORS) as file:
        return {name: torch.from_numpy(file[name]).float() for name in file.files}


def close(value: Tensor, expected: Tensor) -> None:
    """Within 1e-3 of the largest value."""
    torch.testing.assert_close(value, expected, rtol=0, atol=1e-3 * expected.abs().max().item())


def test_the_simulated_heatmap_loss_is_the_published_one(vectors: dict[str, Tensor]) -> None:
    pred, sigma = vectors["pred"].requires_grad_(), vectors["sigma"].requires_grad_()
    loss = losses.simulated_heatmap(pred, sigma, vectors["teacher_heatmaps"], vectors["target_weight"][..., 0])
    gradients = torch.autograd.grad(loss, (pred, sigma))
    close(loss.detach(), vectors["simulated_heatmap_loss"])
    for gradient, name in zip(gradients, ("d_sim_d_pred", "d_sim_d_sigma"), strict=True):
        close(gradient, vectors[name])
        assert torch.equal(gradient == 0, vectors[name] == 0)  # the same keypoints are outside


@quick
@given(seeds)
def test_labels_make_the_heatmaps_of_a_perfect_teacher(seed: int) -> None:
    """At the labels, with its own width, a student has nothing left to learn from them."""
    generator = torch.Generator().manual_seed(seed)
    target = Target(torch.rand(2, 5, 2, generator=generator), (torch.rand(2, 5, generator=generator) > 0.3).float())
    maps = losses.label_heatmaps(target, (W, H), sigma=1.5)
    assert maps.shape == (2, 5, H, W)
    assert (maps.amax((2, 3)) > 0)[target.weight > 0].all()
    assert not maps[target.weight == 0].any()
    sigmas = torch.full_like(target.coords, 1.5)
    everywhere = Target(target.coords, torch.ones(2, 5))
    same = losses.label_heatmaps(everywhere, (W, H), sigma=1.5)
    assert losses.simulated_heatmap(target.coords, sigmas, same, everywhere.weight) == 0


def test_the_confidence_loss_is_the_published_one(vectors: dict[str, Tensor]) -> None:
    score, weight = vectors["score"].requires_grad_(), vectors["target_weight"][..., 0]
    loss = losses.confidence(score[..., 0], vectors["pred"], vectors["teacher_heatmaps"], weight)
    loss = loss * LossWeights().confidence
    close(loss.detach(), vectors["score_loss"])
    close(torch.autograd.grad(loss, score)[0], vectors["d_score_d_score"])


def test_the_token_loss_is_the_published_one(vectors: dict[str, Tensor]) -> None:
    loss = losses.token(vectors["student_tokens"], vectors["teacher_tokens"]) * LossWeights().visual_token
    close(loss, vectors["token_loss"])


def example(seed: int, people: int = 3, keypoints: int = 4) -> tuple[Tensor, Tensor, Tensor]:
    """coords, sigmas, teacher's heatmaps."""
    rng = torch.Generator().manual_seed(seed)
    coords = torch.rand(people, keypoints, 2, generator=rng)
    sigmas = 0.5 + 2 * torch.rand(people, keypoints, 2, generator=rng)
    return coords, sigmas, torch.rand(people, keypoints, H, W, generator=rng)


@given(seeds)
@quick
def test_each_loss_is_zero_where_student_and_teacher_agree(seed: int) -> None:
    coords, sigmas, heatmaps = example(seed)
    weight = torch.ones(coords.shape[:2])
    assert losses.regression(coords, Target(coords, weight)) == 0
    assert losses.token(coords, coords) == 0
    drawn = losses.simulate_heatmaps(coords, sigmas, H, W)
    assert losses.simulated_heatmap(coords, sigmas, drawn, weight) == 0
    read = losses.read_heatmaps(heatmaps, coords)
    assert losses.confidence(read, coords, heatmaps, weight) == 0
    assert losses.confidence(read + 0.5, coords, heatmaps, weight) == pytest.approx(0.5)


@given(seeds)
@quick
def test_a_keypoint_that_nobody_labelled_teaches_nothing(seed: int) -> None:
    coords, sigmas, heatmaps = example(seed)
    weight = torch.ones(coords.shape[:2])
    weight[:, 2] = 0
    points, spread, scores = (value.clone().requires_grad_() for value in (coords, sigmas, torch.zeros_like(weight)))
    total = (
        losses.regression(points, Target(1 - coords, weight))
        + losses.simulated_heatmap(points, spread, heatmaps, weight)
        + losses.confidence(scores, points, heatmaps, weight)
    )
    for gradient in torch.autograd.grad(total, (points, spread, scores)):
        assert not gradient[:, 2].any()
        assert gradient[:, [0, 1, 3]].any()


@given(seeds, st.sampled_from([(-1, 0), (1, 0), (0, -1), (0, 1)]), st.floats(0.01, 3))
@quick
def test_a_keypoint_whose_three_sigmas_are_outside_is_not_drawn(seed: int, side: tuple[int, int], beyond: float) -> None:
    coords, sigmas, heatmaps = example(seed)
    size = torch.tensor([W, H])
    reach = 3 * sigmas[0, 0] / size + beyond
    away = torch.tensor(side)
    coords[0, 0] = torch.where(away > 0, 1 + reach, torch.where(away < 0, -reach, coords[0, 0]))
    points, spread = coords.requires_grad_(), sigmas.requires_grad_()
    drawn = losses.simulate_heatmaps(points, spread, H, W)
    assert not drawn[0, 0].any()
    loss = losses.simulated_heatmap(points, spread, heatmaps, torch.ones(coords.shape[:2]))
    for gradient in torch.autograd.grad(loss, (points, spread)):
        assert not gradient[0, 0].any()
        assert gradient[1].any()


def test_the_drawn_gaussian_has_peak_1_at_the_keypoint_and_its_own_width_on_each_axis() -> None:
    drawn = losses.simulate_heatmaps(torch.tensor([[[4 / W, 10 / H]]]), torch.tensor([[[1.0, 2.0]]]), H, W)[0, 0]
    assert drawn[10, 4] == pytest.approx(1)
    assert drawn[10, 5] == pytest.approx(np.exp(-1 / 2))
    assert drawn[12, 4] == pytest.approx(np.exp(-1 / 2))


@given(near_the_crop, near_the_crop)
@quick
def test_confidence_reads_the_cell_under_the_point(x: float, y: float) -> None:
    heatmaps = torch.arange(H * W).float().view(1, 1, H, W) + 1
    value = losses.read_heatmaps(heatmaps, torch.tensor([[[x, y]]])).item()
    if 0 <= x <= 1 and 0 <= y <= 1:
        row, column = divmod(value - 1, W)
        assert abs(column - x * (W - 1)) <= 0.5 + 1e-4
        assert abs(row - y * (H - 1)) <= 0.5 + 1e-4
    else:
        assert value == 0


def test_confidence_moves_no_coordinates() -> None:
    coords, _, heatmaps = example(0)
    points = coords.requires_grad_()
    gradient = torch.autograd.grad(losses.confidence(points.sum(-1), points, heatmaps, torch.ones(3, 4)), points)[0]
    assert torch.equal(gradient[..., 0], gradient[..., 1])  # of the score alone


def test_a_point_that_is_no_number_reads_0() -> None:
    assert losses.read_heatmaps(torch.ones(1, 1, H, W), torch.tensor([[[float("nan"), 0.5]]])).item() == 0


def outputs(teacher_tokens: tuple[int, int] | None) -> tuple[PoseOutput, PoseOutput]:
    """A student with 5 visual tokens of width 6, and a teacher with tokens of that count and width, or none."""
    coords, sigmas, heatmaps = example(0)
    student = PoseOutput(coords, torch.rand(3, 4), sigmas, None, torch.rand(3, 4, 6), torch.rand(3, 5, 6))
    if teacher_tokens is None:
        return student, PoseOutput(heatmaps=heatmaps)
    visual, width = teacher_tokens
    tokens = torch.rand(3, 4, width), torch.rand(3, visual, width)
    return student, PoseOutput(heatmaps=heatmaps, keypoint_tokens=tokens[0], visual_tokens=tokens[1])


def test_the_terms_are_those_that_the_teacher_can_give_times_their_weights() -> None:
    target = Target(torch.rand(3, 4, 2), torch.ones(3, 4))
    heatmap_terms = {"regression", "simulated_heatmap", "confidence"}
    expected = {
        None: heatmap_terms,
        (5, 6): heatmap_terms | {"keypoint_token", "visual_token"},
        (7, 6): heatmap_terms | {"keypoint_token"},  # cut into other patches
    }
    for tokens, names in expected.items():
        terms = losses.terms(*outputs(tokens), target, LossWeights())
        assert set(terms) == names
        assert all(term > 0 for term in terms.values())
    pair = outputs((5, 6))
    plain, twice = (losses.terms(*pair, target, LossWeights(keypoint_token=weight)) for weight in (5e-4, 1e-3))
    assert twice["keypoint_token"] == pytest.approx(2 * plain["keypoint_token"].item())
    assert losses.terms(*pair, target, LossWeights(confidence=0))["confidence"] == 0


def test_a_float_twin_is_followed_in_every_joint_labelled_or_not() -> None:
    student, teacher = outputs(None)
    assert student.coords is not None
    weights, unlabelled = LossWeights(float_twin=2, beta=0.02), Target(torch.rand(3, 4, 2), torch.zeros(3, 4))
    far = losses.terms(student, teacher, unlabelled, weights, student.coords + 0.1)["float_twin"]
    assert far.item() == pytest.approx(2 * (0.1 - 0.01))  # linear from beta on
    near = losses.terms(student, teacher, unlabelled, weights, student.coords + 0.01)["float_twin"]
    assert near.item() == pytest.approx(2 * 0.01**2 / 0.04, rel=1e-4)
    assert losses.terms(student, teacher, unlabelled, weights, student.coords)["float_twin"] == 0
