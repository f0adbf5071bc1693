"""Every loss of heatmaps reaches every regression family, from a heatmap teacher of another family."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from parity_vectors import SYSTEMS, needed
from regression_program import OWN, batch
from tiny_models import TinyTeacher
from tiny_regression import FAMILIES
from torch import nn

from calib_data.synthetic import validation
from distill import losses
from distill import recipe as recipes
from distill.losses import Target
from distill.objective import Distillation, LabelTeacher, LiveTeacher
from distill.recipe import LossWeights
from pose.models.output import PoseOutput


@pytest.mark.parametrize("family", FAMILIES)
def test_a_heatmap_teacher_teaches_coordinates_sigmas_and_scores(family: str) -> None:
    model, people = FAMILIES[family]().train(), batch()
    extra = {OWN[family]: 1.0} if family in OWN else {}
    objective = Distillation(LiveTeacher(TinyTeacher()), LossWeights(extra=extra), validation(6))
    terms = objective(model, people)
    assert {"regression", "simulated_heatmap", "confidence", *extra} <= set(terms)
    *_, sigma = (value for name, value in model.named_parameters() if "sigma" in name and name.endswith("bias"))
    terms["simulated_heatmap"].backward(retain_graph=True)
    assert sigma.grad.abs().sum() > 0
    assert all(value.grad is not None for name, value in model.named_parameters() if name == "backbone.conv1.weight")
    for loss in extra:
        model.zero_grad()
        terms[loss].backward()
        assert all(value.grad is not None for name, value in model.named_parameters() if "flow" in name)


class Gaussians(nn.Module):
    """A teacher that sees every joint at one place, with a Gaussian of a tenth of the crop on a grid of its own."""

    def __init__(self, width: int, height: int) -> None:
        super().__init__()
        self.width, self.height = width, height

    def forward(self, images: torch.Tensor) -> PoseOutput:
        coords = torch.tensor([0.4, 0.55]).expand(len(images), 17, 2)
        sigmas = 0.1 * torch.tensor([self.width, self.height]).expand(len(images), 17, 2)
        return PoseOutput(heatmaps=losses.simulate_heatmaps(coords, sigmas, self.height, self.width))


@pytest.mark.parametrize("own", [(32, 24), (64, 48), (48, 48)])
def test_a_live_teacher_answers_on_the_grid_of_its_student(own: tuple[int, int]) -> None:
    people = batch()
    wanted = Gaussians(48, 64)(people.images).heatmaps
    answer = LiveTeacher(Gaussians(*own), (48, 64))(people).heatmaps
    assert answer.shape == wanted.shape
    assert (answer - wanted).abs().max() < 0.05  # interpolated linearly; half a cell off is 0.1
    assert LiveTeacher(Gaussians(*own))(people).heatmaps.shape[2:] == own[::-1]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_student_learns_from_labels_by_its_published_recipe(family: str) -> None:
    model, people = FAMILIES[family]().train(), batch()
    terms = Distillation(LabelTeacher((48, 64)), recipes.read(family).losses, validation(6))(model, people)
    loss = sum(terms.values())
    assert loss.isfinite()
    loss.backward()
    trained = [name for name, value in model.named_parameters() if value.grad is not None and value.grad.abs().sum() > 0]
    assert "backbone.conv1.weight" in trained
    if family in OWN:
        assert terms[OWN[family]].abs() > 0
        assert float(loss) == pytest.approx(float(terms[OWN[family]]))
    else:
        assert [name for name, value in terms.items() if value != 0] == ["regression"]


def test_the_likelihood_is_off_where_the_flow_is_gone() -> None:
    form = FAMILIES["rle"]().deploy()
    weights = LossWeights(extra={"residual_log_likelihood": 1.0})
    terms = Distillation(LiveTeacher(TinyTeacher()), weights, validation(6))(form, batch())
    assert "residual_log_likelihood" not in terms
    assert "simulated_heatmap" in terms


@needed
def test_the_loss_of_deeppose_is_the_published_one() -> None:
    vectors = np.load(SYSTEMS / "heatmap_losses.npz")
    coords = torch.tensor(vectors["smooth_l1_pred"], requires_grad=True)
    weight = torch.tensor(vectors["smooth_l1_weight"])  # of each axis
    target = Target(torch.tensor(vectors["smooth_l1_target"]) * weight, torch.ones(weight.shape[:2]))
    loss = losses.regression(coords * weight, target)
    loss.backward()
    assert loss.item() == pytest.approx(vectors["mmpose_smooth_l1"], rel=1e-3)
    expected = vectors["mmpose_smooth_l1_d_pred"]
    np.testing.assert_allclose(coords.grad, expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max())
