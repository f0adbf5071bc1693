"""Teachers whose answers are no numbers: named with the first person, learned from by nobody, kept nowhere."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from drawn_source import Dots
from foreign_network import W, description, write_model
from people_file import person, write_people
from test_teacher_cache import GRID, STUDENT, Sees
from tiny_models import TinyTeacher
from torch import nn

from calib_data.coco import open_data
from calib_data.crops import Crops
from calib_data.sample import Labels
from distill.batches import Batches
from distill.objective import Distillation, LiveTeacher, cached_teacher
from distill.recipe import LossWeights
from distill.teacher_cache import TeacherCache, cache_teacher
from edge.evaluate.teacher import score_teacher
from pose import foreign, models
from pose.errors import BackendError, InputError
from pose.models import ModelSpec
from pose.models.output import PoseOutput
from pose.models.teacher import NetworkTeacher
from pose.skeleton import COCO_17, LSP_14

BAD = [float("nan"), float("inf"), float("-inf"), 1e6, -1e30]  # float16, in which heatmaps are cached, ends at 65504


class Upright(Dots):
    """Five people without labelled hips, whom a teacher sees in one view each."""

    def labels(self, index: int) -> Labels:
        labels = super().labels(index)
        labels.keypoints[COCO_17.indices(("left_hip", "right_hip")), 2] = 0
        return labels


class Faulty(Sees):
    """A teacher with a bad value for the third of five people."""

    def __init__(self, output: int, value: float) -> None:
        super().__init__()
        self.output, self.value = output, value

    def observe(self, crops: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        outputs = super().observe(crops)
        if self.asked == 4:  # after one black crop
            outputs[self.output].flat[7] = self.value
        return outputs


@pytest.mark.parametrize("value", BAD)
@pytest.mark.parametrize(("output", "name"), [(0, "heatmaps"), (1, "coords"), (2, "scores")])
def test_nothing_is_cached_and_the_person_is_named(tmp_path: Path, output: int, name: str, value: float) -> None:
    with pytest.raises(BackendError, match=rf"in 1 of \d+ values of its {name}, for person 2 \(image 3\) first") as caught:
        cache_teacher(Faulty(output, value), "weights", Upright(), "data", tmp_path)
    assert "\n" not in str(caught.value)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_heatmaps_of_two_sizes_are_not_cached(tmp_path: Path) -> None:
    class Growing(Sees):
        def observe(self, crops: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
            maps, *rest = super().observe(crops)
            return (maps if self.asked < 3 else maps[..., :-1], *rest)

    with pytest.raises(BackendError, match=r"person 1 \(image 2\) with heatmaps of \(17, 32, 31\), others"):
        cache_teacher(Growing(), "weights", Upright(), "data", tmp_path)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("heatmaps", lambda array: np.where(np.arange(array.size).reshape(array.shape) == array.size - 1, np.nan, array)),
        ("heatmaps", lambda array: array[:-1]),
        ("heatmaps", lambda array: array.astype(np.float32)),
        ("heatmaps", lambda array: array[:, :-1]),
        ("keypoints", lambda array: array * np.inf),
        ("keypoints", lambda array: array[:, :, :2]),
        ("matrices", lambda array: array.astype("U5")),
        ("matrices", lambda array: array.astype(object)),
    ],
)
def test_a_cache_that_cannot_be_is_refused(tmp_path: Path, name: str, damage: Any) -> None:
    cache_teacher(Sees(), "weights", Dots(), "data", tmp_path)
    (path,) = tmp_path.rglob(f"{name}.npy")
    damaged = damage(np.load(path))
    np.save(path, damaged.astype(np.float16) if name == "heatmaps" and damaged.dtype == np.float64 else damaged)
    with pytest.raises(InputError, match=r"is damaged .*; remove that folder") as caught:
        cache_teacher(Sees(), "weights", Dots(), "data", tmp_path)
    assert "\n" not in str(caught.value)


class Broken(nn.Module):
    """A torch teacher with a bad value in one of its outputs, for the last crop of a batch."""

    def __init__(self, output: str, value: float) -> None:
        super().__init__()
        self.teacher, self.output, self.value = TinyTeacher(), output, value

    def forward(self, images: torch.Tensor) -> PoseOutput:
        output = self.teacher(images)
        values = getattr(output, self.output).detach().clone()
        values[-1].view(-1)[0] = self.value
        return replace(output, **{self.output: values})


def student(images: torch.Tensor) -> PoseOutput:
    coords = torch.full((len(images), 17, 2), 0.5, requires_grad=True)
    return PoseOutput(coords, torch.ones(len(images), 17), torch.ones(len(images), 17, 2))


@pytest.mark.parametrize("value", BAD)
@pytest.mark.parametrize("output", ["heatmaps", "keypoint_tokens"])
def test_a_live_teacher_ends_the_run_with_its_own_name(output: str, value: float) -> None:
    source = Dots()
    spec = replace(STUDENT, width=64, height=64)
    batch = Batches(Crops(source, spec, COCO_17), 4, (16, 16))[0]
    objective = Distillation(LiveTeacher(Broken(output, value)), LossWeights(), source)
    last = batch.people[-1]
    what = output.replace("_", " ")
    with pytest.raises(
        BackendError, match=rf"the teacher answered .* of its {what}, for person {last} \(image {last + 1}\)"
    ):
        objective(student, batch)


def test_cached_heatmaps_that_overflow_end_the_run(tmp_path: Path) -> None:
    source = Dots()
    cache = cache_teacher(Sees(), "weights", source, "data", tmp_path)
    bad = np.array(cache.heatmaps)
    bad[:] = np.nan
    cache = TeacherCache(bad, cache.matrices, cache.keypoints, cache.crop, cache.grid)
    batch = Batches(Crops(source, STUDENT, COCO_17), 4, GRID, cache)[0]
    with pytest.raises(BackendError, match=rf"for person {batch.people[0]} "):
        Distillation(cached_teacher, LossWeights(), source)(student, batch)


def test_a_torch_teacher_that_overflows_is_not_cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    teacher = TinyTeacher().eval()
    with torch.no_grad():
        teacher.head[1].weight.fill_(3e38)
    spec = ModelSpec(lambda keypoints: teacher, replace(STUDENT, width=64, height=64), (16, 16), teacher=True)
    monkeypatch.setitem(models.MODELS, "overflowing", spec)
    with pytest.raises(BackendError, match=r"overflowing answered .* for person 0 \(image 1\) first"):
        cache_teacher(NetworkTeacher("overflowing", teacher, COCO_17, "a"), "a", Dots(), "data", tmp_path)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.fixture
def overflowing(tmp_path: Path) -> foreign.HeatmapTeacher:
    """A foreign network whose heatmaps are beyond float16 wherever the picture is white."""
    write_model(tmp_path / "net.onnx")
    return foreign.HeatmapTeacher(
        "mine", foreign.TeacherFile.model_validate(description(heatmaps__scale=1e4)), LSP_14, tmp_path / "net.onnx",
        foreign.open_session(tmp_path / "net.onnx"),
    )  # fmt: skip


def test_a_foreign_teacher_that_overflows_is_neither_cached_nor_scored(
    overflowing: foreign.HeatmapTeacher, tmp_path: Path
) -> None:
    dark, light = (np.full((60, 60, 3), grey, np.uint8) for grey in (0, 255))
    places = [(20, 20 + joint) for joint in range(len(LSP_14))]
    people = [person(image, (0, 0, W, 48), places) for image in (dark, light)]
    write_people(tmp_path / "people.json", tmp_path / "images", people, LSP_14)
    source = open_data(tmp_path / "people.json")
    image = source.labels(1).image_id
    with pytest.raises(InputError, match=rf"heatmaps reach from .* \(seen for person 1 \(image {image}\) first\)"):
        cache_teacher(overflowing, "a", source, "data", tmp_path / "cache")
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    with pytest.raises(InputError, match=rf"heatmaps reach from .* \(seen for person 1 \(image {image}\) first\)"):
        score_teacher(overflowing, source, "people.json")


def test_a_runtime_that_fails_on_a_crop_is_an_error_of_one_line(
    overflowing: foreign.HeatmapTeacher, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("node 7:\n Non-zero status")

    monkeypatch.setattr(overflowing._session, "run", fail)
    with pytest.raises(BackendError, match=r"teacher 'mine' \(.*net.onnx\) does not run \(node 7: Non-zero status\)$"):
        overflowing.observe(np.zeros((1, 48, W, 3), np.uint8))
