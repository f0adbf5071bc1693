"""Students: what they offer, how the optimiser sees their parameters, and those that come from a user's own file."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tiny_models import TinyTeacher
from tiny_student import tiny_student
from torch import nn

from pose import models
from pose.errors import InputError
from pose.models import ModelSpec
from pose.models.deploy import DeployPose, deploy
from pose.models.protocols import Student, group_names, require_student

OURS = ("distilpose_s", "distilpose_edge")

FILE = '''
import copy
import torch
from torch import nn
from pose.crop import CropSpec
from pose.models.output import PoseOutput


class Simple(nn.Module):
    """The smallest student there is: no tokens, no sigmas."""

    crop, heatmap = CropSpec(width=64, height=64), (16, 16)

    def __init__(self, keypoints):
        super().__init__()
        self.keypoints = keypoints
        self.backbone = nn.Conv2d(3, 4, 16, 16)
        self.head = nn.Linear(64, 3 * keypoints)

    def forward(self, images):
        raw = self.head(self.backbone(images).relu().flatten(1)).unflatten(1, (self.keypoints, 3))
        return PoseOutput(coords=raw[..., :2].sigmoid(), scores=raw[..., 2])

    def parameter_groups(self):
        return {"backbone": list(self.backbone.parameters()), "rest": list(self.head.parameters())}

    def deploy(self):
        return copy.deepcopy(self).eval()


def factory(keypoints):
    return Simple(keypoints)
'''


@pytest.fixture(autouse=True)
def registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "MODELS", dict(models.MODELS))


def file(folder: Path, *changes: tuple[str, str]) -> Path:
    text = FILE
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path = folder / "mine.py"
    path.write_text(text)
    return path


@pytest.mark.parametrize("name", OURS)
def test_our_students_are_students(name: str) -> None:
    model = models.build(name, 5)
    assert isinstance(model, Student)
    assert (model.crop, model.heatmap) == (models.MODELS[name].crop, models.MODELS[name].heatmap)
    require_student(model, name, 5)


def rule(name: str, parameter: nn.Parameter) -> str:
    """The group by a substring of the name: how the optimiser chose before models stated their groups."""
    if "backbone" in name:
        return "backbone"
    return "encoder" if parameter.ndim == 2 and "encoder" in name else "rest"


@pytest.mark.parametrize("model", [*OURS, "tokenpose_s", "tokenpose_l_d24", TinyTeacher, tiny_student])
def test_groups_are_those_of_the_names(model: object) -> None:
    network = models.build(model) if isinstance(model, str) else model()
    expected = {name: rule(name, parameter) for name, parameter in network.named_parameters()}
    assert group_names(network) == expected
    assert set(expected.values()) == {"backbone", "rest"} | ({"encoder"} if model != "distilpose_edge" else set())


def test_groups_of_the_deploy_form() -> None:
    form = deploy(tiny_student())
    groups = group_names(form)
    assert {name for name, group in groups.items() if group == "backbone"} == {
        name for name in groups if name.startswith("backbone.")
    }
    assert {name.split(".")[0] for name, group in groups.items() if group == "encoder"} == {"blocks", "readout"}
    assert all(dict(form.named_parameters())[name].ndim == 2 for name, group in groups.items() if group == "encoder")
    assert groups["start"] == groups["patch.weight"] == groups["head.coords.weight"] == "rest"


def test_a_student_makes_its_own_deploy_form() -> None:
    student = tiny_student()
    form = student.deploy()
    assert isinstance(form, DeployPose)
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(form(images).coords, student(images).coords, rtol=1e-4, atol=1e-5)


def test_a_parameter_in_no_group_or_in_two_is_named() -> None:
    student = tiny_student()
    student.parameter_groups = lambda: {"rest": [p for n, p in student.named_parameters() if n != "head.1.bias"]}
    with pytest.raises(InputError, match=r"'head.1.bias' must be in one group; it is in: none"):
        group_names(student)
    student.parameter_groups = lambda: {"rest": list(student.parameters()), "backbone": [student.position]}
    with pytest.raises(InputError, match=r"'position' must be in one group; it is in: rest, backbone"):
        group_names(student)


@pytest.mark.parametrize("name", ["Simple", "factory"])
def test_a_student_from_a_file(tmp_path: Path, name: str) -> None:
    path = file(tmp_path)
    assert models.resolve(f"{path}:{name}") == name
    spec = models.MODELS[name]
    assert (spec.crop.width, spec.heatmap, spec.teacher, spec.source) == (64, (16, 16), False, path)
    student = models.build(name, 21)
    assert student(torch.zeros(2, 3, 64, 64)).coords.shape == (2, 21, 2)
    again = models.build(name, 21, student.state_dict())
    assert torch.equal(again.head.weight, student.head.weight)
    assert models.resolve(f"{path}:{name}") == name  # named twice, registered once
    assert models.resolve("distilpose_s") == "distilpose_s"


WRONG = {
    "file": ([], "other.py:Simple", r"no file .*other.py; a network from outside is given as path/file.py:factory"),
    "factory": ([], "mine.py:Simpel", r"mine.py defines no class or function 'Simpel'; it defines: Simple, factory"),
    "syntax": ([("import copy", "import copy copy")], "mine.py:Simple", r"mine.py cannot be imported \(SyntaxError"),
    "import": ([("import copy", "import nowhere")], "mine.py:Simple", "cannot be imported .ModuleNotFoundError: No module"),
    "crop": ([("CropSpec(width=64, height=64)", "(64, 64)")], "mine.py:Simple", "no attribute `crop` that is a"),
    "pixels in 0..1": (
        [("CropSpec(width=64, height=64)", "CropSpec(64, 64, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))")],
        "mine.py:Simple",
        "its crop's mean and std look like those of pixels in 0..1",
    ),
    "heatmap": ([("(16, 16)\n", "16\n")], "mine.py:Simple", "no attribute `heatmap` that is .width, height."),
    "name": (
        [("class Simple", "class Sïmple"), ("Simple(keypoints)", "Sïmple(keypoints)")],
        "mine.py:distilpose_s",
        "defines no",
    ),
    "taken": ([("def factory", "def distilpose_s")], "mine.py:distilpose_s", "there already is a network 'distilpose_s'"),
    "build": (
        [("        super", "        1 / 0\n        super")],
        "mine.py:factory",
        "cannot be built for 1 keypoints .ZeroDiv",
    ),
    "groups": ([("def parameter_groups", "def groups")], "mine.py:Simple", "student 'Simple' has no `parameter_groups`"),
    "group": ([('"rest": list', '"rest": [], "head": [] and list')], "mine.py:Simple", "'head.weight' must be in one group"),
    "run": (
        [("nn.Linear(64", "nn.Linear(63")],
        "mine.py:Simple",
        "'Simple' does not run .RuntimeError",
    ),
    "answer": (
        [("return PoseOutput(", "return dict(")],
        "mine.py:Simple",
        "returns dict; it must return pose.models.output",
    ),
    "scores": ([("scores=raw[..., 2]", "sigmas=raw")], "mine.py:Simple", r"returns no scores; it must return \[1, 3\]"),
    "shape": (
        [("raw[..., :2]", "raw[..., :1]")],
        "mine.py:Simple",
        r"returns \[1, 3, 1\] coords; it must return \[1, 3, 2\]",
    ),
}


@pytest.mark.parametrize(("changes", "name", "message"), WRONG.values(), ids=WRONG)
def test_a_file_that_holds_no_student_is_one_line(
    tmp_path: Path, changes: list[tuple[str, str]], name: str, message: str
) -> None:
    file(tmp_path, *changes)
    with pytest.raises(InputError, match=message) as caught:
        models.build(models.resolve(f"{tmp_path}/{name}"), 3)
    assert "\n" not in str(caught.value)


def test_names_of_networks_are_file_names() -> None:
    for name in ("../a", "a b", "", "a\n"):
        with pytest.raises(InputError, match="cannot be the name of a network"):
            models.register(name, models.MODELS["distilpose_s"])
    spec = ModelSpec(lambda keypoints: tiny_student(), models.MODELS["distilpose_s"].crop, (4, 4), teacher=False)
    models.register("mine-1", spec)
    assert models.MODELS["mine-1"] is spec
