"""What the edge commands make of a small network."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from calib_data.synthetic import SyntheticPeople
from edge import dist, run
from edge.demo import picture
from edge.evaluate.demo import collect
from edge.predict.outputs import save_image
from pose import weights
from pose.card import card_path, read
from pose.crop import affine, to_normalised
from pose.errors import InputError
from pose.program import load_program


def test_export_writes_the_float_twin_and_the_program(dist_folder: Path) -> None:
    names = {path.name for path in dist_folder.iterdir()}
    pair = {"tiny-executorch-int8.pte", "tiny-executorch-fp32.pte"}
    assert names == pair | {f"{name}.card.yaml" for name in pair} | {"tiny.program"}
    for name in pair:
        read(card_path(dist_folder / name)).verify(dist_folder / name)
    artefact = dist.find(dist_folder / "tiny-executorch-int8.pte")
    assert artefact.program.card == load_program(dist_folder / "tiny.program").card
    assert artefact.twin("fp32").path.name == "tiny-executorch-fp32.pte"
    assert dist.Dist(dist_folder).latest().path.name == "tiny-executorch-int8.pte"


def test_every_kind_of_artefact_answers_the_same_call(dist_folder: Path) -> None:
    program = dist_folder / "tiny.program"
    paths = [dist_folder / "tiny-executorch-int8.pte", program, program / "student_int8.pt2"]
    crops = np.random.default_rng(0).integers(0, 256, (2, 64, 48, 3), np.uint8)
    answers = [run.open(path).predict(crops) for path in paths]
    for coords, scores in answers:
        assert (coords.shape, scores.shape, coords.dtype) == ((2, 17, 2), (2, 17), np.float32)
        assert np.abs(coords - answers[0][0]).max() < 0.02


def test_keypoints_of_an_image_are_those_of_its_crop(artefact: Path) -> None:
    runner = run.open(artefact)
    people = SyntheticPeople(1)
    image, box = people.image(0), people.labels(0).box
    points, _ = run.keypoints(runner, image, box)
    coords = to_normalised(points, affine(box, runner.card.spec), runner.card.spec)
    assert ((coords > 0) & (coords < 1)).all()  # a sigmoid's
    turned, _ = run.keypoints(runner, image, box + np.array([50, 0, 0, 0]))
    assert not np.allclose(turned, points)


def test_the_demo_collects_what_was_measured(measured: Path) -> None:
    rows = collect(measured)
    assert [(row.name, row.ap, row.latency_ms) for row in rows] == [
        ("fp32", 80.0, 20.0),
        ("int8, PTQ", 70.0, None),
        ("int8, QAT + distillation", 79.5, 5.0),
    ]
    assert [row.bytes for row in rows] == [4_000_000, 1_000_000, 1_000_000]


def test_the_demo_draws_both_poses(artefact: Path, tmp_path: Path) -> None:
    image = picture(artefact, 0)
    save_image(tmp_path / "poses.png", image)
    assert np.array_equal(cv2.imread(str(tmp_path / "poses.png"))[..., ::-1], image)
    assert image.shape[0] > 2 * 288
    assert image.shape[1] > 8 * 256


def test_bundled_programs_are_whole() -> None:
    for card in weights.FOLDER.glob("*/card.yaml"):
        assert load_program(weights.bundled(card.parent.name)).card.student
    with pytest.raises(InputError, match="no program 'nothing' is bundled"):
        weights.bundled("nothing")
