"""A loss and a method of quantization-aware training that are registered from outside reach training through the recipe."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from distill import losses
from distill.losses import LOSSES, LossInputs, Target
from distill.recipe import read
from pose.errors import InputError
from pose.models.output import PoseOutput
from quantize.methods import METHODS


def spread(inputs: LossInputs) -> Tensor:
    """The mean of the sigmas."""
    assert inputs.student.sigmas is not None
    return inputs.student.sigmas.mean()


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(LOSSES, "spread", spread)


@pytest.mark.usefixtures("registered")
def test_a_registered_loss_is_weighted_by_the_recipe(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text("losses: {spread: 0.5, regression: 0.3}\n")
    weights = read(str(tmp_path / "recipe.yaml")).losses
    student = PoseOutput(torch.rand(2, 3, 2), torch.rand(2, 3), torch.full((2, 3, 2), 4.0))
    target = Target(torch.rand(2, 3, 2), torch.ones(2, 3))
    terms = losses.terms(student, PoseOutput(), target, weights)
    assert terms["spread"] == 2.0
    assert set(terms) == {"regression", "spread"}
    (tmp_path / "recipe.yaml").write_text("losses: {regression: 0.3}\n")
    weights = read(str(tmp_path / "recipe.yaml")).losses
    assert "spread" not in losses.terms(student, PoseOutput(), target, weights)


def test_a_loss_that_is_not_registered_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text("losses: {spread: 0.5}\n")
    with pytest.raises(InputError, match=r"losses: there is no 'spread'; choose among regression, .*float_twin"):
        read(str(tmp_path / "recipe.yaml"))


@pytest.mark.usefixtures("registered")
def test_names_are_given_once() -> None:
    with pytest.raises(ValueError, match="a loss called 'spread' is registered already"):
        LOSSES.register("spread")(spread)


def test_an_unknown_method_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(InputError, match="recipe: method 'magic' is not known; choose one of frozen_ranges, growing_ranges"):
        METHODS.find("magic")
