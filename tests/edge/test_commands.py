"""What the edge commands make of a small network."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from calib_data.synthetic import SyntheticPeople
from edge import run
from edge.demo import collect, picture, save_png
from edge.results import tables
from pose import weights
from pose.card import card_path, read
from pose.crop import affine, to_normalised
from pose.errors import InputError
from pose.program import load_program


def test_export_writes_the_float_twin_and_the_program(dist: Path) -> None:
    names = {path.name for path in dist.iterdir()}
    pair = {"tiny-executorch-int8.pte", "tiny-executorch-fp32.pte"}
    assert names == pair | {f"{name}.card.yaml" for name in pair} | {"tiny.program"}
    for name in pair:
        read(card_path(dist / name)).verify(dist / name)
    assert run.program_of(dist / "tiny-executorch-int8.pte").card == load_program(dist / "tiny.program").card
    assert run.twin(dist / "tiny-executorch-int8.pte", "fp32").name == "tiny-executorch-fp32.pte"
    assert run.latest(dist).name == "tiny-executorch-int8.pte"


def test_every_kind_of_artefact_answers_the_same_call(dist: Path) -> None:
    paths = [dist / "tiny-executorch-int8.pte", dist / "tiny.program", dist / "tiny.program" / "student_int8.pt2"]
    images = np.random.default_rng(0).normal(size=(2, 3, 64, 48)).astype(np.float32)
    answers = [run.open(path).run(images) for path in paths]
    for coords, scores in answers:
        assert (coords.shape, scores.shape, coords.dtype) == ((2, 17, 2), (2, 17), np.float32)
        assert np.abs(coords - answers[0][0]).max() < 0.02


def test_keypoints_of_an_image_are_those_of_its_crop(artefact: Path) -> None:
    runner = run.open(artefact)
    sample = SyntheticPeople(1)[0]
    points, _ = run.keypoints(runner, sample.image, sample.box)
    coords = to_normalised(points, affine(sample.box, runner.card.spec), runner.card.spec)
    assert ((coords > 0) & (coords < 1)).all()  # a sigmoid's
    turned, _ = run.keypoints(runner, sample.image, sample.box + np.array([50, 0, 0, 0]))
    assert not np.allclose(turned, points)


@pytest.fixture
def measured(tmp_path: Path) -> Path:
    """Measurements as the commands write them."""
    far = {"median": 0.25, "p99": 1.5}
    for kind, ap in (("ptq", 70.0), ("qat", 79.5)):
        (tmp_path / kind).mkdir()
        columns = {name: {"ap": value, "pck": 90.0, "persons": 5, "keypoint_px": far}
                   for name, value in (("fp32", 80.0), ("fake_quant", ap), ("lowered", ap))}  # fmt: skip
        columns["lowered"]["fake_quant_px"] = {"median": 0.1, "p99": 0.5}
        (tmp_path / kind / "check.json").write_text(
            json.dumps({"target": "executorch", "bytes": 1_000_000, "float_twin": {"bytes": 4_000_000}, **columns})
        )
        speed = {name: {"latency_ms": {"p50": p50}} for name, p50 in (("fp32", 20.0), ("int8", 5.0))}
        (tmp_path / kind / "bench.json").write_text(json.dumps({"devices": [speed]}))
    return tmp_path


def test_the_demo_collects_what_was_measured(measured: Path) -> None:
    rows = collect(measured)
    assert [(row["name"], row["ap"], row["latency_ms"]) for row in rows] == [
        ("fp32", 80.0, 20.0),
        ("int8, PTQ", 70.0, None),
        ("int8, QAT + distillation", 79.5, 5.0),
    ]
    assert [row["bytes"] for row in rows] == [4_000_000, 1_000_000, 1_000_000]


def test_the_demo_draws_both_poses(artefact: Path, tmp_path: Path) -> None:
    image = picture(artefact, 0)
    save_png(tmp_path / "poses.png", image)
    assert np.array_equal(cv2.imread(str(tmp_path / "poses.png"))[..., ::-1], image)
    assert image.shape[0] > 2 * 288
    assert image.shape[1] > 8 * 256


def test_the_tables_are_made_of_files(measured: Path) -> None:
    (measured / "table.yaml").write_text(
        "- name: one\n  int8:\n    PTQ: {check: ptq/check.json, bench: ptq/bench.json}\n"
        "    QAT: {check: qat/check.json}\n"
        "  targets: {int8: all.json, fp16: half.json}\n"
        "- {name: its teacher, teacher: teacher.json}\n"
    )
    scored = {
        "ap": 60.0,
        "pck": 9.0,
        "keypoint_px": {"median": 0.25, "p99": 1.5},
        "fake_quant_px": {"median": 0.1, "p99": 2},
    }
    columns = dict.fromkeys(("fp32", "fake_quant", "lowered"), scored)
    check = {**columns, "bytes": 3_000_000, "float_twin": {"bytes": 4_000_000, "torch_px": {"p99": 0.0004}}}
    many = {name: {**check, "target": name[:6], "precision": "int8"} for name in ("onnx", "coreml-float16")}
    (measured / "all.json").write_text(json.dumps({"targets": many}))
    (measured / "half.json").write_text(json.dumps({**check, "target": "coreml", "precision": "fp16"}))
    (measured / "teacher.json").write_text(json.dumps({"ap": 90.0, "pck": 95.5, "persons": 5}))
    made = {name: rows.splitlines() for name, rows in tables(measured).items()}
    assert made["results"][2:] == [
        "| one | 5 | fp32 | 80.0 | 90.0 |  |  | 20.0 | 4.0 |",
        "|  |  | PTQ: fake-quant | 70.0 | 90.0 | 0.25, 1.50 |  |  |  |",
        "|  |  | PTQ: executorch | 70.0 | 90.0 | 0.25, 1.50 | 0.10, 0.50 | 5.0 | 1.0 |",
        "|  |  | QAT: fake-quant | 79.5 | 90.0 | 0.25, 1.50 |  |  |  |",
        "|  |  | QAT: executorch | 79.5 | 90.0 | 0.25, 1.50 | 0.10, 0.50 |  | 1.0 |",
        "| its teacher | 5 | fp32 | 90.0 | 95.5 | | | | |",
    ]
    assert made["targets"][2:] == [
        "| one, int8 | onnx | 60.0, 9.0 | 60.0, 9.0 | 60.0, 9.0 | 0.10, 2.00 | 0.25, 1.50 | 0.0004 | 3.00 (75.0%) |",
        "|  | coreml-float16 |  |  | 60.0, 9.0 | 0.10, 2.00 | 0.25, 1.50 | 0.0004 | 3.00 (75.0%) |",
        "| fp16 | coreml | 60.0, 9.0 |  | 60.0, 9.0 |  | 0.25, 1.50 | 0.0004 | 3.00 (75.0%) |",
    ]
    for lines in made.values():
        assert len({line.count("|") for line in lines}) == 1


def test_bundled_programs_are_whole() -> None:
    for card in weights.FOLDER.glob("*/card.yaml"):
        assert load_program(weights.bundled(card.parent.name)).card.student
    with pytest.raises(InputError, match="no program 'nothing' is bundled"):
        weights.bundled("nothing")
