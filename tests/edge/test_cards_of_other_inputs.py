"""A card that names another input than its artefact has: one line says which, wherever the artefact is opened."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from edge import dist, run
from edge.devices.local import Local
from edge.devices.measure import measure
from edge.devices.session import Plan
from pose import card as cards
from pose.errors import InputError

SUFFIX = {"executorch": "pte", "onnx": "onnx", "tflite": "tflite"}


@pytest.fixture
def folder(lowered: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(lowered, tmp_path / "dist"))


def with_input(path: Path, **fields: object) -> None:
    """Changes fields of the input on the card at a path."""
    value = yaml.safe_load(path.read_text())
    value["input"].update(fields)
    path.write_text(yaml.safe_dump(value))


def refused(call: Callable[[], object], *words: str) -> None:
    with pytest.raises(InputError) as error:
        call()
    assert "\n" not in str(error.value)
    assert not [word for word in words if word not in str(error.value)], str(error.value)


@pytest.mark.parametrize(
    ("target", "fields", "takes", "says"),
    [
        ("onnx", {"dtype": "uint8"}, "float32 (1, 3, 64, 48)", "uint8 (1, 3, 64, 48)"),
        ("onnx", {"layout": "NHWC"}, "float32 (1, 3, 64, 48)", "float32 (1, 64, 48, 3)"),
        ("executorch", {"dtype": "uint8"}, "float32 (1, 3, 64, 48)", "uint8 (1, 3, 64, 48)"),
        ("executorch", {"layout": "NHWC"}, "float32 (1, 3, 64, 48)", "float32 (1, 64, 48, 3)"),
        ("tflite", {"dtype": "float32"}, "uint8 (1, 64, 48, 3)", "float32 (1, 64, 48, 3)"),
        ("tflite", {"layout": "NCHW"}, "uint8 (1, 64, 48, 3)", "uint8 (1, 3, 64, 48)"),
        ("onnx", {"shape": [1, 3, 48, 64]}, "float32 (1, 3, 64, 48)", "float32 (1, 3, 48, 64)"),
    ],
)
def test_type_layout_and_size(folder: Path, target: str, fields: dict, takes: str, says: str) -> None:
    artefact = folder / f"tiny-{target}-int8.{SUFFIX[target]}"
    with_input(cards.card_path(artefact), **fields)
    refused(lambda: run.open(artefact), f"{artefact.name} takes {takes}, its card says {says}; make it again")


@pytest.mark.parametrize(
    ("target", "fields"),
    [
        ("onnx", {"dtype": "uint8"}),
        ("onnx", {"layout": "NHWC"}),
        ("executorch", {"dtype": "uint8"}),
        ("executorch", {"layout": "NHWC"}),
        ("tflite", {"dtype": "float32"}),
        ("tflite", {"layout": "NCHW"}),
    ],
)
def test_a_device_refuses_them_too(folder: Path, target: str, fields: dict) -> None:
    artefact = folder / f"tiny-{target}-int8.{SUFFIX[target]}"
    with_input(cards.card_path(artefact), **fields)
    found = dist.find(artefact)
    measured = measure(Local(), Plan({"int8": found}, "quick", runs=2, seconds=0.1, timeout=60.0))
    assert measured.error is not None
    assert f"{artefact.name} does not run: " in measured.error
    assert "\n" not in measured.error
    assert measured.int8 is not None
    assert measured.int8.latency_ms is None
    assert not measured.int8.times_ms


def test_type_of_a_program(folder: Path) -> None:
    with_input(folder / "tiny.program" / "card.yaml", dtype="uint8", layout="NHWC")
    program = folder / "tiny.program"
    refused(lambda: run.open(program), "student_int8.pt2 takes float32 (1, 3, 64, 48), its card says uint8 (1, 64, 48, 3)")


@pytest.mark.parametrize("fields", [{"mean": [0.0, 0.0, 0.0]}, {"std": [255.0, 255.0, 255.0]}], ids=["mean", "std"])
@pytest.mark.parametrize("name", ["tiny-onnx-int8.onnx", "tiny-executorch-int8.pte"])
def test_mean_and_std_show_in_the_answer(folder: Path, name: str, fields: dict) -> None:
    path = folder / name
    with_input(cards.card_path(path), **fields)
    refused(lambda: run.open(path), name, "answers the golden crop", "off its card", "another model or input")


def test_the_mean_of_a_program_shows_in_its_answer(tiny_program: Path, tmp_path: Path) -> None:
    path = Path(shutil.copytree(tiny_program, tmp_path / "program")) / "student_fp32.pt2"
    runner = run.open(path)
    coords, scores = runner.predict(runner.card.golden.pixels(48, 64)[None])
    value = yaml.safe_load(path.with_name("card.yaml").read_text())
    value["golden"]["expected"]["fp32"] = {"coords": coords[0].tolist(), "scores": scores[0].tolist()}
    path.with_name("card.yaml").write_text(yaml.safe_dump(value))
    assert run.open(path).card.precision == "fp32"
    with_input(path.with_name("card.yaml"), mean=[0.0, 0.0, 0.0])
    refused(lambda: run.open(path), "student_fp32.pt2 answers the golden crop", "off its card")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"mean": [1.0, 2.0, 3.0]}, "mean is (1.0, 2.0, 3.0), and ("),
        ({"padding": 1.0}, "padding is 1.0, and 1.25 in its program's card"),
        ({"colour": "BGR"}, "colour is BGR, and RGB in its program's card"),
    ],
)
def test_the_field_that_its_program_has_otherwise_is_named(folder: Path, fields: dict, words: str) -> None:
    artefact = folder / "tiny-onnx-int8.onnx"
    with_input(cards.card_path(artefact), **fields)
    refused(lambda: dist.find(artefact).program, "tiny-onnx-int8.onnx.card.yaml", words)
