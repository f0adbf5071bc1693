"""A student that replaces a larger one: what it takes over, what learns, and what its new part learns."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import tiny_models
import torch
from safetensors.torch import load_file
from tiny_student import SPEC
from torch import nn
from torch.nn import functional as F

from calib_data import sources
from calib_data.synthetic import SyntheticPeople
from distill import losses
from distill.objective import Distillation, LabelTeacher
from distill.recipe import LossWeights, Recipe
from distill.request import LABELS, Request
from distill.smaller import Features, take_over
from distill.student import distill
from pose import models
from pose.errors import InputError
from pose.models import ModelSpec, checkpoint
from pose.models.output import PoseOutput

ROOT = Path(__file__).resolve().parents[2]
RECIPE = Recipe(
    epochs=12,
    batch=8,
    lr=0.01,
    backbone_lr=0.01,
    learns="new",
    losses=LossWeights(regression=0, simulated_heatmap=0, confidence=0, float_twin=1.0, extra={"features": 1.0}),
)
NEW = ("backbone.4.weight", "backbone.4.bias")  # in Smaller


class Larger(nn.Module):
    """Coordinates from eight features in 4x4 cells, which two convolutions make from those of a stem."""

    def __init__(self, *between: nn.Module, features: int = 8) -> None:
        super().__init__()
        torch.manual_seed(5)
        middle = between or (nn.Conv2d(16, 32, 1), nn.ReLU())
        inputs = 16 if between else 32
        self.backbone = nn.Sequential(nn.Conv2d(3, 16, 16, 16), nn.ReLU(), *middle, nn.Conv2d(inputs, features, 1))
        self.head = nn.Linear(features * 16, 17 * 3)

    def forward(self, images: torch.Tensor) -> PoseOutput:
        raw = self.head(self.backbone(images).flatten(1)).unflatten(-1, (17, 3))
        return PoseOutput(coords=raw[..., :2].sigmoid(), scores=raw[..., 2])

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        return {"backbone": list(self.backbone.parameters()), "encoder": []}


def smaller(keypoints: int = 17) -> Larger:
    """One convolution in place of two: its bias has the shape of the one that it replaces."""
    return Larger(nn.Identity(), nn.Identity())


@pytest.fixture
def registered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with weights of the larger one."""
    tiny_models.register(tmp_path / "cache", monkeypatch)
    for name, build in (("larger", lambda keypoints: Larger()), ("smaller", smaller)):
        monkeypatch.setitem(models.MODELS, name, ModelSpec(build, SPEC, (4, 4), teacher=False))
    checkpoint.save(models.build("larger"), tmp_path / "larger.safetensors")
    return tmp_path


def request(folder: Path, recipe: Recipe = RECIPE, replaces: str | None = "larger", student: str = "smaller") -> Request:
    people = sources.drawn(32, 1)
    return Request(
        *(folder / "run", student, LABELS, None, people, sources.drawn_validation(), recipe),
        weights=folder / "larger.safetensors",
        replaces=replaces,
    )


def test_the_new_part_learns_the_features_and_the_rest_stays(registered: Path, capsys: pytest.CaptureFixture) -> None:
    distill(request(registered))
    assert "4 tensors are those of larger, 2 are new: backbone.4.weight, backbone.4.bias" in capsys.readouterr().err
    before, after = load_file(registered / "larger.safetensors"), load_file(registered / "run" / "student.safetensors")
    assert all(torch.equal(after[key], before[key]) for key in after if key not in NEW)
    rows = list(csv.DictReader((registered / "run" / "log.csv").open()))
    first, last = (float(rows[index]["features"]) for index in (0, -1))
    assert first > 0.9
    assert last < 0.3 * first
    assert float(rows[-1]["float_twin"]) < 0.5 * float(rows[0]["float_twin"])


def test_all_of_it_learns_by_another_recipe(registered: Path) -> None:
    distill(request(registered, Recipe(epochs=1, batch=8, losses=RECIPE.losses)))
    before, after = load_file(registered / "larger.safetensors"), load_file(registered / "run" / "student.safetensors")
    assert not any(torch.equal(after[key], before[key]) for key in after if key not in NEW)


def test_the_error_of_features_is_a_share_of_each_channels_variance() -> None:
    theirs = torch.randn(6, 3, 5, 4) * torch.tensor([0.5, 1.0, 2.0])[None, :, None, None] + 7
    assert losses.features(theirs, theirs) == 0
    mean = theirs.mean((0, 2, 3), keepdim=True).expand_as(theirs)
    assert torch.allclose(losses.features(mean, theirs), torch.tensor(1.0), rtol=1e-3)
    one = theirs.clone()
    one[:, 0] = mean[:, 0]
    assert torch.allclose(losses.features(one, theirs), torch.tensor(1 / 3), rtol=1e-3)
    dead = theirs.clone()
    dead[:, 0] = 0.0  # a channel that a ReLU has switched off
    assert losses.features(dead + 0.1, dead) < 1


def test_both_trunks_see_the_same_crops() -> None:
    student, larger = smaller().train(), Larger().eval()
    objective = Distillation(
        LabelTeacher((4, 4)), RECIPE.losses, SyntheticPeople(2), larger, Features(student, larger)
    )  # fmt: skip
    images = torch.randn(2, 3, 64, 64)
    student(images)
    larger(images)
    assert objective.features is not None
    ours, theirs = objective.features.pair()
    assert torch.equal(ours, student.backbone(images))
    assert torch.equal(theirs, larger.backbone(images))
    assert F.mse_loss(ours, theirs) > 0


@pytest.mark.parametrize(
    ("student", "larger", "message"),
    [
        (Larger(), Larger(), "every weight of the student is one of larger"),
        (Larger(features=6), Larger(), None),
        (nn.Sequential(nn.Linear(2, 3)), Larger(), "shares no weights with larger"),
    ],
)
def test_what_cannot_be_replaced_is_refused(student: nn.Module, larger: nn.Module, message: str | None) -> None:
    for network in (student, larger):
        network.crop = SPEC
    if message is None:
        take_over(student, larger, "larger", only_new=False)
        features = Features(student, larger)
        for network in (student, larger):
            network(torch.zeros(1, 3, 64, 64))
        with pytest.raises(InputError, match=r"gives \[1, 6, 4, 4\], the one that it replaces \[1, 8, 4, 4\]"):
            features.pair()
        return
    with pytest.raises(InputError, match=message):
        take_over(student, larger, "larger", only_new=False)


def test_a_network_without_a_trunk_is_refused() -> None:
    with pytest.raises(InputError, match="Linear has no module 'backbone'"):
        Features(nn.Linear(2, 3), Larger())


def test_new_weights_alone_learn_only_where_something_is_replaced(registered: Path) -> None:
    with pytest.raises(InputError, match="'learns: new' is for a student that replaces a larger one"):
        request(registered, replaces=None)
    with pytest.raises(InputError, match="student 'tiny_teacher' is not known"):
        distill(request(registered, replaces="tiny_teacher"))


def test_losses_that_are_all_zero_train_nothing(registered: Path) -> None:
    nothing = LossWeights(regression=0, simulated_heatmap=0, confidence=0)  # labels have no tokens
    with pytest.raises(InputError, match=r"nothing would be learnt: .* \(regression, confidence\) the weight 0"):
        distill(request(registered, Recipe(epochs=1, batch=8, losses=nothing)))


@pytest.mark.parametrize(
    ("factory", "replaced", "new"),
    [
        ("without_1280", "distilpose_edge_s", "backbone.top"),
        ("fused_stem", "without_1280", "backbone.stem.0, backbone.stem.2, backbone.stem.4"),
    ],
)
def test_smaller_forms_of_the_edge_student(factory: str, replaced: str, new: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "MODELS", dict(models.MODELS))
    for name in ("without_1280", factory):
        models.resolve(f"{ROOT}/results/smaller.py:{name}")
    student, larger = models.build(factory), models.build(replaced)
    take_over(student, larger, replaced, only_new=True)
    learning = {name.rpartition(".")[0] for name, parameter in student.named_parameters() if parameter.requires_grad}
    assert sorted(learning) == new.split(", ")
    assert student.eval()(torch.zeros(1, 3, 192, 192)).coords.shape == (1, 17, 2)
