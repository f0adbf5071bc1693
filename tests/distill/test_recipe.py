"""Recipes: the packaged ones are valid, and a value that cannot be is refused with its field and the range."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from distill import recipe as recipes
from distill.batches import resized
from pose.crop import CropSpec
from pose.errors import InputError


@pytest.mark.parametrize("name", recipes.packaged())
def test_packaged_recipes_are_within_the_ranges(name: str) -> None:
    assert recipes.read(name).steps(100) >= 1


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("resolution: 0.001", "resolution.0: Input should be greater than or equal to 0.125"),
        ("resolution: 1000", "resolution.0: Input should be less than or equal to 4"),
        ("resolution: -1", "resolution.0: "),
        ("resolution: [1, 5]", "resolution.1: Input should be less than or equal to 4"),
        ("resolution: []", "resolution: "),
        ("batch: 1000000000", "batch: Input should be less than or equal to 65536"),
        ("batch: 0", "batch: Input should be greater than or equal to 1"),
        ("batch: 2.5", "batch: "),
        ("lr: -0.001", "lr: Input should be greater than 0"),
        ("lr: 0", "lr: Input should be greater than 0"),
        ("lr: .inf", "lr: "),
        ("lr: .nan", "lr: Input should be a finite number"),
        ("lr: 1.0e+300", "lr: Input should be less than or equal to 10"),
        ("backbone_lr: -1", "backbone_lr: "),
        ("weight_decay: 1.0e+9", "weight_decay: "),
        ("clip: -.inf", "clip: "),
        ("epochs: 0", "epochs: Input should be greater than 0"),
        ("epochs: 1000000000000", "epochs: Input should be less than or equal to 1000000"),
        ("ema: 1", "ema: Input should be less than 1"),
        ("warmup: 2", "warmup: "),
        ("seed: -1", "seed: "),
        ("optimiser: sgd", "optimiser: Input should be 'adam', 'adamw' or 'muon'"),
        ("learning_rate: 1", "learning_rate: "),
        ("losses: {regresion: 1}", "losses: there is no 'regresion'; choose among regression, "),
        ("losses: {extra: {spread: 1}}", "losses: there is no 'extra'"),
        ("losses: {1: 1}", "losses: there is no '1'"),
        ("losses: {regression: -1}", "losses.regression: Input should be greater than or equal to 0"),
        ("losses: {regression: 1.0e+30}", "losses.regression: Input should be less than or equal to"),
        ("losses: {beta: 0}", "losses.beta: Input should be greater than 0"),
        ("losses: 7", "losses: "),
        ("augmentation: {rotation: 1.0e+300}", "augmentation.rotation: Input should be less than or equal to 180"),
        ("augmentation: {shift: 1.0e+300}", "augmentation.shift: Input should be less than or equal to 10"),
        ("augmentation: {half_body_joints: -1}", "augmentation.half_body_joints: "),
        ("[1, 2]", "recipe.yaml"),
    ],
)
def test_an_impossible_value_is_refused(text: str, complaint: str, tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        recipes.read(str(path))
    assert str(caught.value).startswith(f"{path}: ")
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("resolution", [0.001, 0.1, 0.7])
def test_a_resolution_that_leaves_no_whole_patches_is_refused(resolution: float) -> None:
    with pytest.raises(InputError, match=r"is no multiple of 32; take 0.5 or 1"):
        resized(CropSpec(), resolution)


# of the systems in docs/zoo.md: epochs after which the published rate falls, and what it falls to
PUBLISHED = {
    "paper": ([200, 260], 0.1),
    "simplebaselines": ([90, 120], 0.1),
    "hrnet": ([170, 200], 0.1),
    "okdhp": ([90, 120], 0.1),
    "deeppose": ([170, 200], 0.1),
    "rle": ([170, 200], 0.1),
    "prtr": ([120, 140], 0.5),
    "poseur": ([255, 310], 0.1),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_rate_falls_after_the_published_epochs(name: str) -> None:
    epochs, factor = PUBLISHED[name]
    recipe = recipes.read(name)
    people = 100 * recipe.batch  # a hundred steps an epoch
    steps = recipe.steps(people)
    warm = math.ceil(recipe.warmup * steps)
    rates = [recipe.rate(step, steps) for step in range(warm, steps)]
    falls = [step + warm for step in range(1, len(rates)) if rates[step] < rates[step - 1]]
    assert falls == pytest.approx([100 * epoch for epoch in epochs], abs=1)
    assert sorted(set(rates), reverse=True) == pytest.approx([factor**power for power in range(len(epochs) + 1)])


def test_a_cosine_may_end_above_zero() -> None:
    recipe = recipes.read("transpose")
    assert [recipe.rate(step, 1000) for step in (0, 500, 1000)] == pytest.approx([1, 0.55, 0.1])


def test_settings_are_recorded_as_before_there_were_several_resolutions() -> None:
    """So runs that were begun before resume, and weights that were fitted before are found."""
    settings = recipes.Recipe().settings()
    assert settings["resolution"] == 1.0
    assert "labels" not in settings
    assert recipes.Recipe(resolution=(1, 0.5), labels="udp").settings()["resolution"] == (1, 0.5)
    assert recipes.Recipe(labels="udp").settings()["labels"] == "udp"
