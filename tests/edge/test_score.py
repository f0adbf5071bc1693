"""Scoring on runners whose accuracy is known."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from calib_data.sample import Sample
from calib_data.synthetic import SyntheticPeople
from edge import score
from edge.check import COLUMNS, check, gate
from pose.crop import CropSpec, affine, to_normalised
from pose.errors import GateError, InputError
from pose.metrics import as_annotations
from pose.skeleton import COCO_17, LSP_14, Skeleton

SPEC = CropSpec(48, 64)


class Known:
    """Answers the labels, moved by (dx, dy) pixels of the crop."""

    def __init__(
        self, samples: list[Sample], skeleton: Skeleton, student: Skeleton, shift: tuple[float, float] = (0, 0)
    ) -> None:
        self.card = SimpleNamespace(spec=SPEC)
        self._answers = iter(
            to_normalised(skeleton.convert(sample.keypoints, student)[:, :2], affine(sample.box, SPEC), SPEC)
            + np.array(shift) / SPEC.size
            for sample in samples
        )

    def run(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        assert images.shape == (1, 3, 64, 48)
        coords = next(self._answers)[None]
        return coords.astype(np.float32), np.full(coords.shape[:2], 0.9, np.float32)


class Lsp:
    """The drawn people as an LSP annotator would have them: neck and head top are not labelled."""

    skeleton = LSP_14

    def __init__(self, people: SyntheticPeople) -> None:
        self._people = people

    def __len__(self) -> int:
        return len(self._people)

    def __getitem__(self, i: int) -> Sample:
        s = self._people[i]
        return Sample(s.image, s.box, COCO_17.convert(s.keypoints, LSP_14), s.area, s.image_id, s.person_id)


def scored(source: object, skeleton: Skeleton, shift: tuple[float, float], student: Skeleton = COCO_17) -> dict:
    samples = [source[i] for i in range(len(source))]
    runners = {"a": Known(samples, skeleton, student), "b": Known(samples, skeleton, student, shift)}
    people, answers = score.answer(runners, source)
    return {"apart": score.apart(answers["b"], answers["a"], SPEC), **score.column(people, answers["b"], student, SPEC)}


def test_labels_score_100() -> None:
    result = scored(SyntheticPeople(6), COCO_17, (0, 0))
    assert result["ap"] == pytest.approx(100)
    assert result["pck"] == pytest.approx(100)
    assert result["persons"] == 6
    assert result["apart"]["p99"] == 0


def test_pixels_apart_are_those_of_the_crop() -> None:
    result = scored(SyntheticPeople(6), COCO_17, (3, 4))
    assert result["apart"]["median"] == pytest.approx(5, abs=1e-4)
    assert result["apart"]["median_95"] == pytest.approx([5, 5], abs=1e-4)


def test_a_shift_costs_accuracy() -> None:
    little, much = (scored(SyntheticPeople(6), COCO_17, (shift, 0)) for shift in (1, 6))
    assert 100 > little["ap"] > much["ap"]
    assert little["ap_95"][0] <= little["ap"] <= little["ap_95"][1]
    assert little["pck"] > much["pck"]


def test_a_coco_student_is_scored_on_the_joints_of_lsp() -> None:
    result = scored(Lsp(SyntheticPeople(6)), LSP_14, (0, 0))
    assert result["ap"] == pytest.approx(100)
    assert result["pck"] == pytest.approx(100)
    assert len(score.joints(LSP_14, COCO_17)) == 12


def test_skeletons_without_a_common_joint_are_refused() -> None:
    with pytest.raises(InputError, match="share no joint"):
        score.joints(Skeleton("tail", ("tail",)), COCO_17)


def test_whom_limit_leaves_out_is_not_missed() -> None:
    drawn = SyntheticPeople(6)
    people = [drawn[i] for i in range(6)]

    class Annotated:
        skeleton, scores = COCO_17, np.ones(6)
        annotations = as_annotations(  # all of one image
            np.stack([s.keypoints for s in people]), [s.area for s in people], np.stack([s.box for s in people]), [1] * 6
        )

        def __len__(self) -> int:
            return 6

        def __getitem__(self, i: int) -> Sample:
            s = people[i]
            return Sample(s.image, s.box, s.keypoints, s.area, 1, s.person_id)

    source = Annotated()
    for limit, ap in ((2, 100), (None, 100)):
        runner = Known(list(people), COCO_17, COCO_17)
        asked, answers = score.answer({"a": runner}, source, limit)
        assert score.column(asked, answers["a"], COCO_17, SPEC)["ap"] == pytest.approx(ap)
        assert len(asked.truth) == (limit or 6)


def test_check_finds_lowered_equal_to_fake_quant(artefact: Path) -> None:
    result = check(artefact, SyntheticPeople(8))
    assert all(result[name]["persons"] == 8 for name in COLUMNS)
    assert result["fp32"]["keypoint_px"]["p99"] == 0
    assert 0 < result["lowered"]["keypoint_px"]["median"] < 0.5
    assert result["lowered"]["fake_quant_px"]["median"] < result["lowered"]["keypoint_px"]["median"]


@pytest.mark.parametrize("measure", ["ap", "pck"])
@pytest.mark.parametrize("column", ["fake_quant", "lowered", "on ssh://pi"])
def test_the_gate(measure: str, column: str) -> None:
    columns = {name: {"ap": 80.0, "pck": 90.0, "error": None} for name in (*COLUMNS, "on ssh://pi")}
    dead = {"error": "it hung up"}
    result = {**columns, "precision": "int8", "on_device": {"ssh://pi": columns["on ssh://pi"], "adb": dead}}
    gate(result, 0)
    columns[column][measure] -= 1.0
    gate(result, 1.0)
    with pytest.raises(GateError, match=rf"{column} loses 1\.00 points of {measure.upper()}") as caught:
        gate(result, 0.9)
    assert "\n" not in str(caught.value)
    if column == "fake_quant":  # which says nothing of a float artefact
        gate({**result, "precision": "fp16"}, 0.9)
    columns["fp32"]["ap"] = None
    with pytest.raises(InputError, match="cannot be told"):
        gate(result, 1)
