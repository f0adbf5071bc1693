"""Residual log-likelihood, against published values and against densities computed otherwise."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from parity_vectors import SYSTEMS, needed, official_state, reference
from torch.distributions import Laplace, Normal

from distill.likelihood import Form, residual_log_likelihood
from pose.models.flow import RealNVP

FORMS: dict[str, Form] = {name: name for name in ("mmpose", "mmpose_gaussian", "poseur")} | {"official": "authors"}


def published_flow(mean: float = 0.0) -> RealNVP:
    flow = RealNVP(mean)
    flow.load_state_dict({key.removeprefix("flow."): value for key, value in official_state("rle_loss").items()})
    return flow


@needed
def test_the_flow_gives_the_published_densities() -> None:
    vectors, flow = np.load(SYSTEMS / "rle_loss.npz"), published_flow()
    points = torch.tensor(vectors["flow_input"])
    latent, log_det = flow.latent(points)
    for name, actual in {"latent": latent, "log_det": log_det, "log_prob": flow(points)}.items():
        np.testing.assert_allclose(actual.detach(), vectors[f"flow_{name}"], atol=1e-5)


@needed
@pytest.mark.parametrize("name", FORMS)
def test_the_loss_and_its_gradients_are_the_published_ones(name: str) -> None:
    vectors, flow = np.load(SYSTEMS / "rle_loss.npz"), published_flow(0.5 if name == "poseur" else 0.0)
    coords, logits = (torch.tensor(vectors[key], requires_grad=True) for key in ("coords", "sigma_logits"))
    target, weight = (torch.tensor(vectors[key]) for key in ("target", "weight"))
    loss = residual_log_likelihood(coords, logits.sigmoid(), target, weight, flow, FORMS[name])
    loss.backward()
    gradients = {f"flow.{key}": value.grad for key, value in flow.named_parameters()}
    actual = {"loss": loss, "d_coords": coords.grad, "d_sigma_logits": logits.grad}
    actual |= {f"d_{key}": value for key, value in gradients.items()}
    for key in [key for key in actual if f"{name}_{key}" in vectors]:
        expected = vectors[f"{name}_{key}"]
        np.testing.assert_allclose(actual[key].detach(), expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max())
    if name == "official":
        norms = [gradients[key].norm().item() for key in reference("rle_loss")["grad_norm_order"]]
        np.testing.assert_allclose(norms, vectors["official_flow_grad_norms"], rtol=1e-3)


def test_the_flow_is_a_density() -> None:
    torch.manual_seed(0)
    flow, step = RealNVP(), 0.1
    axis = torch.arange(-12, 12, step)
    density = flow(torch.cartesian_prod(axis, axis)).exp()
    assert density.sum().item() * step**2 == pytest.approx(1, rel=1e-2)


@pytest.mark.parametrize(("form", "distribution"), [("mmpose", Laplace), ("mmpose_gaussian", Normal)])
def test_the_loss_is_the_sum_of_two_negative_log_densities(form: Form, distribution: type) -> None:
    torch.manual_seed(0)
    flow, weight = RealNVP(), torch.ones(2, 3, 2)
    coords, target, sigmas = torch.rand(2, 3, 2), torch.rand(2, 3, 2), torch.rand(2, 3, 2) + 0.1
    plain = distribution(coords, sigmas).log_prob(target).sum()
    residual = 2 * flow(((coords - target) / sigmas).flatten(0, 1)).sum() - sigmas.log().sum()
    assert residual_log_likelihood(coords, sigmas, target, weight, flow, form).item() == pytest.approx(
        -(plain + residual).item() / 2, rel=1e-5
    )


def test_an_unlabelled_joint_counts_nothing() -> None:
    flow, weight = RealNVP(), torch.ones(2, 3, 2)
    weight[0, 1] = 0
    coords, target, sigmas = torch.rand(2, 3, 2), torch.rand(2, 3, 2), torch.rand(2, 3, 2) + 0.1
    moved = coords.clone()
    moved[0, 1] += 5
    for form in FORMS.values():
        losses = [residual_log_likelihood(one, sigmas, target, weight, flow, form) for one in (coords, moved)]
        assert torch.equal(*losses)
