"""A program is lowered to an .mlpackage with the same answers; a lowering that fails leaves no files."""

from __future__ import annotations

import shutil
import sys
from dataclasses import replace
from pathlib import Path

import coremltools as ct
import numpy as np
import pytest
import torch
from coremltools.converters.mil.mil.passes.pass_registry import PASS_REGISTRY
from coremltools.proto import MIL_pb2
from quantized_student import quantized_student
from tiny_student import SPEC

from pose import card as cards
from pose.crop import CropSpec, normalise
from pose.errors import BackendError, InputError
from pose.program import Program
from targets import base
from targets.coreml import backend as coreml

PORTRAIT = CropSpec(width=64, height=64)  # a std for each channel


def coloured_crops(count: int) -> np.ndarray:
    """Crops uint8 [count, 64, 64, 3]: blocks of colour."""
    blocks = np.random.default_rng(1).integers(0, 256, (count, 8, 8, 3), dtype=np.uint8)
    return blocks.repeat(8, 1).repeat(8, 2)


def make_program(folder: Path, spec: CropSpec) -> Program:
    images = np.stack([normalise(crop, spec) for crop in coloured_crops(8)])
    return quantized_student(folder, spec=spec, images=torch.from_numpy(images))


@pytest.fixture(scope="module")
def program(tmp_path_factory) -> Program:
    return make_program(tmp_path_factory.mktemp("program"), SPEC)


@pytest.fixture(scope="module")
def artefacts(program: Program, tmp_path_factory) -> dict[str, base.Artefact]:
    out = tmp_path_factory.mktemp("dist")
    return {precision: coreml.lower(program, out, precision) for precision in ("fp32", "fp16", "int8")}


def differences(path: Path, program: Program) -> tuple[np.ndarray, float]:
    """Pixels between an artefact's keypoints and its program's, and the largest difference of a score."""
    crops = coloured_crops(16)
    runner = base.open_artefact(path)
    coords, scores = runner.predict(crops)
    expected, expected_scores = base.open_artefact(program.path(runner.card.precision)).predict(crops)
    assert coords.shape == (16, 17, 2)
    return np.linalg.norm((coords - expected) * 64, axis=-1), float(np.abs(scores - expected_scores).max())


@pytest.mark.parametrize(("precision", "median", "p99"), [("fp32", 0.01, 0.05), ("fp16", 0.1, 0.3), ("int8", 1e-4, 1e-4)])
def test_a_package_answers_as_its_program(artefacts, program: Program, precision, median, p99) -> None:
    pixels, scores = differences(artefacts[precision].path, program)
    assert np.median(pixels) <= median
    assert np.quantile(pixels, 0.99) <= p99
    assert scores < 0.05


def test_for_the_neural_engine_an_int8_package_computes_in_float16(artefacts, program: Program, tmp_path: Path) -> None:
    half = coreml.lower(program, tmp_path, "int8", compute="float16")
    assert half.path.name == "distilpose_edge-coreml-float16-int8.mlpackage"
    assert base.variant_name(cards.read(cards.card_path(half.path))) == "coreml-float16"
    assert half.card.coverage.int8_ops == artefacts["int8"].card.coverage.int8_ops
    pixels, _ = differences(half.path, program)
    rounded_once, _ = differences(artefacts["int8"].path, program)
    assert rounded_once.max() < 1e-4 < np.median(pixels) <= 0.5
    assert np.quantile(pixels, 0.99) <= 2


def test_a_float_package_has_one_arithmetic(artefacts, program: Program, tmp_path: Path) -> None:
    half = coreml.lower(program, tmp_path, "fp32", compute="float16")
    assert half.path.name == artefacts["fp32"].path.name
    assert base.variant_name(half.card) == "coreml"


def test_a_card_that_does_not_record_the_type_is_of_float16(artefacts) -> None:
    card = artefacts["int8"].card
    without_type = {name: value for name, value in card.metrics.items() if name != "compute"}
    assert base.variant_name(card) == "coreml"
    assert base.variant_name(card.model_copy(update={"metrics": without_type})) == "coreml-float16"


def test_a_scale_and_a_zero_point_are_stored_once(artefacts) -> None:
    model = ct.models.MLModel(str(artefacts["int8"].path), skip_model_load=True).get_spec()
    (block,) = model.mlProgram.functions["main"].block_specializations.values()
    values = [op.attributes["val"] for op in block.operations if op.type == "const"]
    scalars = [value.SerializeToString() for value in values if value.HasField("immediateValue")
               and value.type.tensorType.dataType in (MIL_pb2.FLOAT32, MIL_pb2.INT8)]  # fmt: skip
    assert len(scalars) > 10
    assert len(scalars) == len(set(scalars))
    assert PASS_REGISTRY["common::const_deduplication"].const_threshold == 100, "other conversions keep the default"


@pytest.mark.parametrize("colour", ["RGB", "BGR"])
def test_a_std_for_each_channel_is_applied_inside_the_package(colour, tmp_path: Path) -> None:
    portrait = make_program(tmp_path / "program", replace(PORTRAIT, colour=colour))
    package = coreml.lower(portrait, tmp_path, "fp32")
    pixels, _ = differences(package.path, portrait)
    assert pixels.max() <= 0.002  # channels in another order move keypoints by more
    (image,) = ct.models.MLModel(str(package.path), skip_model_load=True).get_spec().description.input
    assert image.type.imageType.ColorSpace.Name(image.type.imageType.colorSpace) == colour


def test_the_interface_is_an_image_and_two_named_arrays(artefacts) -> None:
    path = artefacts["int8"].path
    assert path.name == "distilpose_edge-coreml-int8.mlpackage"
    spec = ct.models.MLModel(str(path), skip_model_load=True).get_spec()
    (image,) = spec.description.input
    assert (image.name, image.type.imageType.width, image.type.imageType.height) == ("images", 64, 64)
    assert spec.specificationVersion == ct.target.iOS17
    shapes = {output.name: tuple(output.type.multiArrayType.shape) for output in spec.description.output}
    assert shapes == {"coords": (1, 17, 2), "scores": (1, 17)}
    assert sorted(file.name for file in path.rglob("*") if file.is_file()) == [
        "Manifest.json",
        "model.mlmodel",
        "weight.bin",
    ]


def test_coverage_distinguishes_int8_from_float(artefacts) -> None:
    int8, fp32 = (artefacts[precision].card.coverage for precision in ("int8", "fp32"))
    assert int8.int8_macs > 0.99
    assert 0 < int8.float_matmul_macs < 0.5
    assert {"conv int8", "linear int8", "linear float", "matmul float", "quantize", "softmax"} <= set(int8.delegated)
    assert (fp32.int8_ops, fp32.int8_macs) == (0, 0)
    assert not {name for name in fp32.delegated if "int8" in name or "quantize" in name}
    assert (int8.undelegated, int8.undelegated_nodes) == ({}, [])


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_the_card_records_sources_and_versions(artefacts, program: Program, precision) -> None:
    card = cards.read(cards.card_path(artefacts[precision].path))
    assert card == artefacts[precision].card
    assert (card.target, card.precision) == ("coreml", precision)
    assert card.sources["program"] == program.card.files[program.path(precision).name]
    assert card.versions["coremltools"] == ct.__version__
    answer, expected = (np.array(card.golden.expected[name].coords) for name in ("lowered", "int8"))
    assert np.abs(answer - expected).max() * 64 < 2


@pytest.mark.parametrize("name", ["Manifest.json", "model.mlmodel", "weight.bin"])
def test_an_edited_byte_is_refused(artefacts, tmp_path: Path, name: str) -> None:
    path = shutil.copytree(artefacts["int8"].path, tmp_path / artefacts["int8"].path.name)
    shutil.copy(cards.card_path(artefacts["int8"].path), cards.card_path(path))
    base.open_artefact(path)
    file = next(path.rglob(name))
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    with pytest.raises(InputError, match="sha256 differs"):
        base.open_artefact(path)


@pytest.mark.parametrize("failing", ["_convert", "_save", "with_answer"])
def test_a_lowering_that_fails_leaves_nothing_new(artefacts, program: Program, tmp_path: Path, monkeypatch, failing) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    before = shutil.copytree(artefacts["fp32"].path, tmp_path / artefacts["fp32"].path.name)
    digest = cards.digest(before)
    monkeypatch.setattr(coreml, failing, full)
    with pytest.raises((InputError, OSError), match="No space left"):
        coreml.lower(program, tmp_path, "fp32")
    assert list(tmp_path.iterdir()) == [before]
    assert cards.digest(before) == digest


def test_a_package_replaces_an_older_one(artefacts, program: Program, tmp_path: Path) -> None:
    path = tmp_path / artefacts["fp32"].path.name
    path.mkdir()
    (path / "older").touch()
    coreml.lower(program, tmp_path, "fp32")
    assert not (path / "older").exists()
    assert {file.name for file in tmp_path.iterdir()} == {path.name, cards.card_path(path).name}
    base.open_artefact(path)


def test_an_error_of_coremltools_is_one_line(program: Program, tmp_path: Path, monkeypatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise ValueError("Unsupported op\ncumprod")

    monkeypatch.setattr(ct, "convert", refuse)
    with pytest.raises(BackendError, match="cannot lower the program: Unsupported op cumprod"):
        coreml.lower(program, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_macos_runs_core_ml_itself(artefacts, program: Program, monkeypatch) -> None:
    """With a stand-in for the runtime, which only macOS has: its input, and the types of the answer."""
    inputs_seen = []

    class Model:
        def __init__(self, path: str) -> None:
            assert path == str(artefacts["int8"].path)

        def predict(self, inputs: dict) -> dict:
            inputs_seen.append(np.asarray(inputs["images"]))
            return {"coords": np.full((1, 17, 2), 0.5), "scores": np.ones((1, 17))}

    pytest.importorskip("PIL", reason="Core ML takes Pillow images")
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(ct.models, "MLModel", Model)
    crops = coloured_crops(2)
    coords, scores = base.open_artefact(artefacts["int8"].path).predict(crops)
    assert (coords.dtype, coords.shape, scores.shape) == (np.float32, (2, 17, 2), (2, 17))
    assert (inputs_seen[1] == crops[1]).all()


class _Narrow(torch.nn.Module):
    """Six dimensions, a range that is narrower than its type, and a scale below fp16."""

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        ops = torch.ops.quantized_decomposed
        x = images.reshape(1, 3, 2, 4, 2, 4).permute(0, 1, 3, 2, 5, 4).flatten(1)[:, :51]
        for scale, lowest in ((0.1, -127), (1e-8, -128)):
            q = ops.quantize_per_tensor(x, scale, 0, lowest, 127, torch.int8)
            x = ops.dequantize_per_tensor(q, scale, 0, lowest, 127, torch.int8) + 1
        return x[:, :34].reshape(1, 17, 2), x[:, 34:51]


def test_the_lint_finds_what_core_ml_cannot_express(program: Program) -> None:
    narrow = torch.export.export(_Narrow(), (torch.zeros(1, 3, 8, 8),))
    half = " ".join(finding.message for finding in coreml.lint(narrow, "float16"))
    full = " ".join(finding.message for finding in coreml.lint(narrow))
    for words in ("6 dimensions", "clamps to -127..127"):
        assert words in half
        assert words in full
    assert "scale 1e-08 vanishes" in half
    assert "vanishes" not in full
    assert coreml.lint(program.graph("int8")) == []
    assert coreml.lint(program.graph("fp32")) == []
