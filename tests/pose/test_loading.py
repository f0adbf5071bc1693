"""`pose.load`: four lines of Python, without torch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tiny_onnx import write_tiny_onnx

import pose
from pose.errors import InputError
from pose.skeleton import COCO_17

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def estimator(tmp_path_factory: pytest.TempPathFactory) -> pose.loading.Estimator:
    return pose.load(write_tiny_onnx(tmp_path_factory.mktemp("onnx")))


def test_the_answer_has_names_pixels_and_scores(estimator: pose.loading.Estimator) -> None:
    image = np.full((200, 300, 3), 90, np.uint8)
    poses = estimator(image, [(100, 50, 40, 60), (140, 50, 40, 60)])
    assert len(poses) == 2
    assert poses.joints == COCO_17.joints
    assert poses.keypoints.shape == (2, 17, 2)
    assert np.allclose(poses.keypoints[1] - poses.keypoints[0], (40, 0))
    assert [entry["bbox"] for entry in poses.to_coco(image_id=7)] == [[100, 50, 40, 60], [140, 50, 40, 60]]
    assert {entry["image_id"] for entry in poses.to_coco(image_id=7)} == {7}
    drawn = poses.draw(image)
    assert drawn.shape == image.shape
    assert (drawn != image).any()
    assert (image == 90).all()


def test_without_boxes_the_person_fills_the_image(estimator: pose.loading.Estimator) -> None:
    image = np.random.default_rng(0).integers(0, 256, (60, 90, 3), np.uint8)
    assert np.array_equal(estimator(image).keypoints, estimator(image, (0, 0, 90, 60)).keypoints)
    assert len(estimator(image, np.zeros((0, 4)))) == 0
    assert estimator(image, []).to_coco() == []


WRONG_BOXES = [[(1, 2, 3)], [(0, 0, 0, 5)], [(0, 0, -4, 5)], [(0, 0, np.nan, 5)], [(0, 0, np.inf, 5)], [[[1, 2, 3, 4]]],
               [(0, 0, 1e-9, 1e-9)], [(1e9, 0, 5, 5)], [(1, 2, 3, 4), (1, 2)], "box"]  # fmt: skip


@pytest.mark.parametrize("boxes", WRONG_BOXES)
def test_wrong_boxes_are_refused(boxes: object, estimator: pose.loading.Estimator) -> None:
    with pytest.raises(InputError, match="box"):
        estimator(np.zeros((50, 50, 3), np.uint8), boxes)  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", [(50, 50), (50, 50, 4), (50, 50, 1), (0, 50, 3), (2, 50, 50, 3)])
def test_what_is_no_rgb_image_is_refused(shape: tuple[int, ...], estimator: pose.loading.Estimator) -> None:
    with pytest.raises(InputError, match="uint8"):
        estimator(np.zeros(shape, np.uint8))
    with pytest.raises(InputError, match="float32"):
        estimator(np.zeros((50, 50, 3), np.float32))
    with pytest.raises(InputError, match="NoneType"):
        estimator(None)  # type: ignore[arg-type]


def test_unknown_students_and_runtimes_are_named() -> None:
    with pytest.raises(InputError, match=r"bundled student \(distilpose_edge\)"):
        pose.load("distilpose_edgy")
    with pytest.raises(InputError, match="no target 'abacus'"):
        pose.load("distilpose_edge", runtime="abacus")


def test_the_bundled_student_runs_without_torch() -> None:
    program = """
import sys, numpy, pose
poses = pose.load("distilpose_edge", runtime="tflite")(numpy.zeros((64, 64, 3), numpy.uint8), [(0, 0, 64, 64)])
print(poses.keypoints.shape, float(poses.person_scores[0]) < 0.15, "torch" in sys.modules)
"""
    answer = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert answer.stdout == "(1, 17, 2) True False\n", answer.stderr


def test_the_bundled_artefact_is_of_the_bundled_program() -> None:
    from pose import card as cards
    from pose.weights import bundled

    program = bundled()
    card = cards.read(program / "distilpose_edge-tflite-int8.tflite.card.yaml")
    card.verify(program / "distilpose_edge-tflite-int8.tflite")
    assert card.sources["program"] == cards.read(program / "card.yaml").files["student_int8.pt2"]


def test_importing_pose_takes_no_time() -> None:
    answer = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", "import pose"], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    microseconds = [
        int(line.split("|")[1]) for line in answer.stderr.splitlines() if line.rpartition("|")[2].strip() == "pose"
    ]
    assert microseconds[0] < 200_000
    assert "numpy" not in answer.stderr


@pytest.mark.parametrize("threads", ["2", 1.5, 0, -1, True, 257, None])
def test_threads_are_a_whole_number(threads: object) -> None:
    with pytest.raises(InputError, match="threads is a whole number from 1 to 256"):
        pose.load("distilpose_edge", threads=threads)  # type: ignore[arg-type]


@pytest.mark.parametrize(("name", "message"), [("", "name is empty"), ("x" * 5000, "no artefact"), ("a\0b", "no artefact")])
def test_a_name_that_no_file_can_have_is_refused(name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        pose.load(name)
