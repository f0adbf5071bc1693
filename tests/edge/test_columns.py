"""Scoring on runners whose accuracy is known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from answered_people import ListedPeople, Person, drawn_people

from calib_data.sample import Labels, PoseSource
from calib_data.synthetic import SyntheticPeople
from edge import dist
from edge.evaluate.answers import Answers, answer, require_finite
from edge.evaluate.check import check
from edge.evaluate.columns import accuracy, chance_pck, pixels_apart
from edge.evaluate.operators import operators
from edge.evaluate.records import Column
from pose.crop import CropSpec, affine, to_normalised
from pose.errors import BackendError, InputError
from pose.metrics import as_annotations
from pose.scoring import shared_joints
from pose.skeleton import COCO_17, LSP_14, Skeleton

SPEC = CropSpec(48, 64)


class Known:
    """Answers the labels, moved by (dx, dy) pixels of the crop."""

    def __init__(
        self, people: list[Labels], skeleton: Skeleton, student: Skeleton, shift: tuple[float, float] = (0, 0)
    ) -> None:
        self._answers = iter(
            to_normalised(skeleton.convert(labels.keypoints, student)[:, :2], affine(labels.box, SPEC), SPEC)
            + np.array(shift) / SPEC.size
            for labels in people
        )

    def predict(self, crops: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        assert (crops.shape, crops.dtype) == ((1, 64, 48, 3), np.uint8)
        coords = next(self._answers)[None]
        return coords.astype(np.float32), np.full(coords.shape[:2], 0.9, np.float32)


def lsp_people(count: int) -> ListedPeople:
    """The drawn people as an LSP annotator would have them: neck and head top are not labelled."""
    people = [(image, replace(one, keypoints=COCO_17.convert(one.keypoints, LSP_14))) for image, one in drawn_people(count)]
    return ListedPeople(people, LSP_14)


def scored(source: PoseSource, skeleton: Skeleton, shift: tuple[float, float], student: Skeleton = COCO_17) -> Column:
    people = [source.labels(index) for index in range(len(source))]
    runners = {"a": Known(people, skeleton, student), "b": Known(people, skeleton, student, shift)}
    scene, answers = answer(runners, SPEC, source)
    column = accuracy(scene, answers["b"], student)
    return column.model_copy(update={"keypoint_px": pixels_apart(answers["b"], answers["a"], SPEC)})


def test_labels_score_100() -> None:
    result = scored(SyntheticPeople(6), COCO_17, (0, 0))
    assert result.ap == pytest.approx(100)
    assert result.pck == pytest.approx(100)
    assert result.persons == 6
    assert result.keypoint_px.p99 == 0


def test_pixels_apart_are_those_of_the_crop() -> None:
    result = scored(SyntheticPeople(6), COCO_17, (3, 4))
    assert result.keypoint_px.median == pytest.approx(5, abs=1e-4)
    assert result.keypoint_px.median_95 == pytest.approx([5, 5], abs=1e-4)


def test_a_shift_costs_accuracy() -> None:
    little, much = (scored(SyntheticPeople(6), COCO_17, (shift, 0)) for shift in (1, 6))
    assert 100 > little.ap > much.ap
    assert little.ap_95[0] <= little.ap <= little.ap_95[1]
    assert little.pck > much.pck


def test_one_person_is_scored_without_intervals() -> None:
    one = scored(SyntheticPeople(1), COCO_17, (0, 0))
    assert one.ap == pytest.approx(100)
    pixels = one.keypoint_px
    assert {one.ap_95, one.pck_95, pixels.median_95, pixels.p99_95} == {(None, None)}


def test_a_coco_student_is_scored_on_the_joints_of_lsp() -> None:
    result = scored(lsp_people(6), LSP_14, (0, 0))
    assert result.ap == pytest.approx(100)
    assert result.pck == pytest.approx(100)
    assert len(shared_joints(LSP_14, COCO_17)) == 12


def test_skeletons_without_a_common_joint_are_refused() -> None:
    with pytest.raises(InputError, match="share no joint"):
        shared_joints(Skeleton("tail", ("tail",)), COCO_17)


def test_people_beyond_the_limit_are_not_missed() -> None:
    people = [(image, replace(labels, image_id=1)) for image, labels in drawn_people(6)]  # all of one image
    labels = [one for _, one in people]

    class Annotated(ListedPeople):
        scores = np.ones(6)
        annotations = as_annotations(
            np.stack([s.keypoints for s in labels]), [s.area for s in labels], np.stack([s.box for s in labels]), [1] * 6
        )

    for limit, ap in ((2, 100), (None, 100)):
        scene, answers = answer({"a": Known(labels, COCO_17, COCO_17)}, SPEC, Annotated(people), limit)
        assert accuracy(scene, answers["a"], COCO_17).ap == pytest.approx(ap)
        assert len(scene.people.truth) == (limit or 6)


def test_check_finds_lowered_equal_to_fake_quant(artefact: Path) -> None:
    result = check(dist.find(artefact), SyntheticPeople(8))
    assert all(column.persons == 8 for column in (result.fp32, result.fake_quant, result.lowered))
    assert result.fp32.keypoint_px.p99 == 0
    assert 0 < result.lowered.keypoint_px.median < 0.5
    assert result.lowered.fake_quant_px.median < result.lowered.keypoint_px.median


def test_chance_is_the_pck_of_the_mean_pose() -> None:
    """Four people of whom three stand in the same way: their mean pose is right for them, with the fourth one in it."""
    ((image, labels),) = drawn_people(1)
    apart = replace(labels, keypoints=labels.keypoints + np.array([500, 0, 0]), image_id=2, person_id=2)
    people: list[Person] = [(image, labels)] * 3 + [(image, apart)]

    def chance(count: int) -> float | None:
        scene, _ = answer({"a": Known([one for _, one in people], COCO_17, COCO_17)}, SPEC, ListedPeople(people), count)
        return chance_pck(scene, COCO_17)

    assert chance(4) == 0  # the fourth one shifts the mean of the others
    assert chance(3) == pytest.approx(100)
    assert chance(1) is None


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_answers_that_are_not_finite_are_refused_with_their_first_place(value: float) -> None:
    class Broken:
        def predict(self, crops: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            coords, scores = np.full((1, 17, 2), 0.5, np.float32), np.ones((1, 17), np.float32)
            scores[0, 3] = value
            return coords, scores

    with pytest.raises(
        BackendError, match=r"^a answered NaN or infinity in 2 of 102 values; the first is score of joint 3 in crop 0"
    ):
        answer({"a": Broken()}, SPEC, SyntheticPeople(2))
    require_finite(Answers(np.zeros((1, 2, 2)), np.zeros((1, 2))), "b")


def test_operators_inside_a_delegate_are_timed(exported: Path) -> None:
    times = operators(dist.find(exported / "tiny-executorch-int8.pte"), threads=1, runs=3)
    assert any(time.kind.startswith("Convolution") for time in times)
    assert sum(time.ms for time in times) > 0
