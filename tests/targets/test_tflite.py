"""A program as a `.tflite`: its int8 kernels give the program's answers, from floats or bytes, in old runtimes as well."""

from __future__ import annotations

import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from quantized_student import assert_answers_as, quantized_student
from tiny_student import SPEC, tiny_crops, tiny_images
from torch import nn

from pose import card as cards
from pose.crop import CropSpec, normalise
from pose.errors import BackendError, InputError
from pose.program import Program
from targets import base
from targets.graph import arithmetic
from targets.tflite import backend as tflite
from targets.tflite import flatbuffer
from targets.tflite.graph import ForLiteRT
from targets.torch.backend import TorchRunner

OLD_RUNTIME = """
import sys
import numpy as np
from tflite_runtime.interpreter import Interpreter
assert np.__version__.startswith("1.26.")
interpreter = Interpreter(sys.argv[1])
interpreter.allocate_tensors()
interpreter.set_tensor(interpreter.get_input_details()[0]["index"], np.load(sys.argv[2]))
interpreter.invoke()
np.savez(sys.argv[3], **{each["name"]: interpreter.get_tensor(each["index"]) for each in interpreter.get_output_details()})
"""
NO_INDEX = (
    "No matching distribution",
    "NewConnectionError",
    "Temporary failure in name resolution",
    "Network is unreachable",
)


@pytest.fixture(scope="session")
def old_python(request) -> Path:
    """Python with tflite-runtime 2.14 and NumPy 1.26, kept between runs."""
    python = request.config.cache.mkdir("tflite-runtime-2.14.0") / "venv" / "bin" / "python"
    if (
        python.exists()
        and subprocess.run([python, "-c", "import tflite_runtime, numpy"], capture_output=True).returncode == 0
    ):
        return python
    subprocess.run([sys.executable, "-m", "venv", "--clear", "--without-pip", python.parent.parent], check=True)
    packages = ["tflite-runtime==2.14.0", "numpy==1.26.*"]
    install = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", *packages]
    result = subprocess.run(install, capture_output=True, text=True)
    if result.returncode and any(sign in result.stderr for sign in NO_INDEX):
        pytest.skip(f"no package index to install {' and '.join(packages)} from")
    assert result.returncode == 0, result.stderr
    return python


@pytest.fixture(scope="module")
def program(tmp_path_factory) -> Program:
    return quantized_student(tmp_path_factory.mktemp("program"), "affine")


@pytest.fixture(scope="module")
def converted(program: Program):
    """The file that litert-torch makes of the program, by precision; each is made once."""
    convert = tflite._convert  # the function itself: tests replace it by this fixture
    converted_once = cache(lambda precision: convert(program.graph(precision), program.card.input, precision))
    return lambda precision: converted_once("fp32" if precision == "fp16" else precision)


@pytest.fixture(scope="module")
def artefacts(program: Program, converted, tmp_path_factory) -> dict[str, base.Artefact]:
    """By precision, and "float32" for the int8 one that takes normalised values."""
    out = tmp_path_factory.mktemp("dist")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tflite, "_convert", lambda graph, input_spec, precision: converted(precision))
        made = {precision: tflite.lower(program, out, precision) for precision in ("fp32", "fp16", "int8")}
        return made | {"float32": tflite.lower(program, out, "int8", input="float32")}


@pytest.fixture
def copied(artefacts, tmp_path: Path) -> Path:
    """The int8 artefact and its card, alone in a folder."""
    path = artefacts["int8"].path
    shutil.copy(cards.card_path(path), tmp_path)
    return Path(shutil.copy(path, tmp_path))


def crops(spec: CropSpec, count: int = 4) -> list[np.ndarray]:
    """Crops uint8 [H, W, 3]; the first holds every byte in every channel."""
    ramp = np.arange(spec.width * spec.height).reshape(spec.height, spec.width, 1) % 256
    tiles = np.random.default_rng(0).integers(0, 256, (count - 1, spec.height // 16, spec.width // 16, 3), np.uint8)
    return [ramp.repeat(3, axis=2).astype(np.uint8), *tiles.repeat(16, axis=1).repeat(16, axis=2)]


@pytest.mark.parametrize(("precision", "median", "p99"), [("fp32", 0.01, 0.05), ("fp16", 0.1, 0.3), ("int8", 0.5, 2.0)])
def test_an_artefact_answers_as_its_program(artefacts, program: Program, precision, median, p99) -> None:
    assert_answers_as(program, artefacts[precision], median, p99)


def test_threads_do_not_change_the_answer(artefacts) -> None:
    crops = tiny_crops(2)
    one, two = (base.open_artefact(artefacts["int8"].path, threads).predict(crops) for threads in (1, 2))
    np.testing.assert_array_equal(one[0], two[0])
    np.testing.assert_array_equal(one[1], two[1])


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_the_graph_for_the_converter_is_bit_identical_to_the_program(program: Program, precision) -> None:
    graph = program.graph(precision)
    images = tiny_images(2)[1:]
    with torch.no_grad():
        expected = graph.module()(images)
        rewritten = ForLiteRT(graph)(images.permute(0, 2, 3, 1))
    torch.testing.assert_close((rewritten["coords"], rewritten["scores"]), expected, rtol=0, atol=0)


def test_arithmetic_and_stored_weights_are_int8(artefacts, program: Program) -> None:
    tensors, operators = flatbuffer.read(artefacts["int8"].path.read_bytes())
    assert (tensors[operators[0].inputs[0]].name, tensors[operators[0].inputs[0]].shape) == ("images", (1, 64, 64, 3))
    for operator in operators:
        if operator.macs and operator.is_int8:
            assert [tensors[number].dtype for number in (*operator.inputs, *operator.outputs)] == [
                "int8",
                "int8",
                "int32",
                "int8",
            ]
        assert operator.name != "dequantize" or not tensors[operator.inputs[0]].constant
    for precision in ("fp32", "int8"):
        coverage = artefacts[precision].card.coverage
        assert coverage.int8_macs == pytest.approx(arithmetic(program.graph(precision)).int8_macs)
        assert coverage.float_matmul_macs == pytest.approx(arithmetic(program.graph("fp32")).float_matmul_macs)
        computing = {"conv_2d": 3, "depthwise_conv_2d": 1, "fully_connected": 14, "batch_matmul": 4}
        assert {
            name: sum(op.startswith(f"{name} ") * n for op, n in coverage.delegated.items()) for name in computing
        } == computing
    assert artefacts["int8"].card.coverage.int8_ops == pytest.approx(16 / 22)  # not the head, not the products of attention
    assert artefacts["int8"].card.coverage.int8_macs > 0.99
    assert artefacts["int8"].path.stat().st_size < artefacts["fp32"].path.stat().st_size


def test_weights_in_float16_halve_the_file_and_change_nothing_else(artefacts) -> None:
    sizes = {name: artefacts[name].path.stat().st_size for name in ("fp32", "fp16")}
    assert sizes["fp16"] < 0.7 * sizes["fp32"]  # a tiny student's file is operators as much as weights
    half, whole = (artefacts[name].card.coverage.model_dump() for name in ("fp16", "fp32"))
    dequantized = [coverage["delegated"].pop("dequantize float32") for coverage in (half, whole)]
    assert dequantized == [19, 1]  # as many as there are weights, and the image
    assert half == whole
    crops = tiny_crops(2)
    coords = [base.open_artefact(artefacts[name].path).predict(crops)[0] for name in sizes]
    assert np.abs(coords[0] - coords[1]).max() > 0


@pytest.mark.parametrize("name", ["fp32", "fp16", "int8", "float32"])
def test_all_is_delegated_and_the_backbone_is_never_transposed(artefacts, name) -> None:
    coverage = artefacts[name].card.coverage
    _, operators = flatbuffer.read(artefacts[name].path.read_bytes())
    assert (coverage.delegates, coverage.undelegated) == (1, {})
    assert sum(coverage.delegated.values()) == len(operators)
    names = [operator.name for operator in operators]
    assert "transpose" not in names[: names.index("fully_connected")]


@pytest.mark.parametrize("name", ["fp32", "fp16", "int8", "float32"])
def test_the_card_records_the_files_input_and_its_answer_to_the_golden_crop(artefacts, program: Program, name) -> None:
    path, precision = artefacts[name].path, "int8" if name == "float32" else name
    card = cards.read(cards.card_path(path))
    assert path.name == f"distilpose_edge-tflite-{'float32-' if name == 'float32' else ''}{precision}.tflite"
    assert card == artefacts[name].card
    assert (card.target, card.precision) == ("tflite", precision)
    assert (card.input.layout, card.input.dtype) == ("NHWC", "float32" if name == "float32" else "uint8")
    graph = "int8" if precision == "int8" else "fp32"
    assert card.sources["program"] == program.card.files[f"student_{graph}.pt2"]
    entry = Interpreter(str(path)).get_input_details()[0]
    assert (entry["name"], entry["dtype"].__name__, list(entry["shape"])) == ("images", card.input.dtype, [1, 64, 64, 3])
    expected = card.golden.expected
    difference = np.array(expected["lowered"].coords) - np.array(expected[graph].coords)
    assert np.linalg.norm(difference * 64, axis=-1).max() < {"fp32": 0.05, "fp16": 0.3, "int8": 2}[precision]
    coords, _ = base.open_artefact(path).predict(card.golden.pixels(64, 64)[None])
    np.testing.assert_allclose(coords[0], expected["lowered"].coords, atol=1e-6)


def test_a_file_that_takes_bytes_answers_as_one_that_takes_normalised_values(artefacts) -> None:
    pixels = np.stack(crops(SPEC))
    from_bytes, from_floats = (base.open_artefact(artefacts[name].path).predict(pixels) for name in ("int8", "float32"))
    np.testing.assert_array_equal(from_bytes[0], from_floats[0])
    np.testing.assert_array_equal(from_bytes[1], from_floats[1])


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_bytes_may_have_a_std_for_each_channel(converted, program: Program, precision) -> None:
    spec = CropSpec(width=64, height=64)  # ImageNet's mean and std
    input_spec = program.card.input.model_copy(update={"mean": spec.mean, "std": spec.std})

    def answer(dtype: str, image: np.ndarray) -> np.ndarray:
        content = flatbuffer.with_input(converted(precision), input_spec.model_copy(update={"dtype": dtype}))
        interpreter = Interpreter(model_content=content)
        interpreter.allocate_tensors()
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image[None])
        interpreter.invoke()
        return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])

    for crop in crops(spec):
        image = np.ascontiguousarray(normalise(crop, spec).transpose(1, 2, 0))
        np.testing.assert_allclose(answer("uint8", crop), answer("float32", image), atol=1e-6)


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_a_network_of_bgr_crops_gets_them(
    converted, program: Program, precision, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each colour has a mean and std of its own, so that neither pixels nor statistics may be in another order."""
    monkeypatch.setattr(tflite, "_convert", lambda graph, input_spec, precision: converted(precision))
    crops, answers = tiny_crops(), {}
    for colour in ("RGB", "BGR"):
        update = {"colour": colour, "mean": (120.0, 127.5, 135.0), "std": (140.0, 130.0, 150.0)}
        card = program.card.model_copy(update={"input": program.card.input.model_copy(update=update)})
        answers[colour, "torch"], _ = TorchRunner(program.graph(precision), card, threads=1).predict(crops)
        for taken in ("uint8", "float32"):
            artefact = tflite.lower(Program(program.folder, card), tmp_path, precision, input=taken)
            assert artefact.card.spec == card.spec
            answers[colour, taken], _ = base.open_artefact(artefact.path).predict(crops)
    moved = np.abs(answers["BGR", "float32"] - answers["RGB", "float32"]).mean()  # what the order is worth
    reference = "torch" if precision == "fp32" else "float32"  # int8 kernels round otherwise than torch
    for colour, taken in answers:
        if taken != "torch":
            assert np.abs(answers[colour, taken] - answers[colour, reference]).mean() < 0.02 * moved


@pytest.mark.parametrize("name", ["fp32", "fp16", "int8", "float32"])
def test_tflite_runtime_with_numpy_1_runs_the_same_file(artefacts, old_python: Path, tmp_path: Path, name) -> None:
    """Its int8 kernels are nearly those built into ai-edge-litert, not XNNPACK's; newer ones round halves differently."""
    path, crop = artefacts[name].path, crops(SPEC)[1]
    image = crop if name != "float32" else normalise(crop, SPEC).transpose(1, 2, 0)
    np.save(tmp_path / "image.npy", np.ascontiguousarray(image)[None])
    command = [old_python, "-c", OLD_RUNTIME, path, tmp_path / "image.npy", tmp_path / "answer.npz"]
    subprocess.run(command, check=True, capture_output=True)
    answer = np.load(tmp_path / "answer.npz")
    built_in = Interpreter(str(path), experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES)
    built_in.allocate_tensors()
    built_in.set_tensor(built_in.get_input_details()[0]["index"], np.load(tmp_path / "image.npy"))
    built_in.invoke()
    for output in built_in.get_output_details():
        expected, tolerance = built_in.get_tensor(output["index"]), 1e-5 if name.startswith("fp") else 1e-2
        np.testing.assert_allclose(answer[output["name"]], expected, atol=tolerance)
    coords, _ = base.open_artefact(path).predict(crop[None])
    assert np.linalg.norm((answer["coords"] - coords) * 64, axis=-1).max() < 0.5


def test_constants_are_aligned_for_runtimes_that_read_them_in_place(artefacts) -> None:
    model = schema.Model.GetRootAs(artefacts["int8"].path.read_bytes(), 0)
    buffers = [model.Buffers(number) for number in range(model.BuffersLength())]
    starts = [buffer._tab.Vector(buffer._tab.Offset(4)) for buffer in buffers if buffer.DataLength()]
    assert len(starts) > 20
    assert all(start % 16 == 0 for start in starts)


def test_an_artefact_that_does_not_match_its_card_is_refused(copied: Path) -> None:
    content = bytearray(copied.read_bytes())
    content[len(content) // 2] ^= 1
    copied.write_bytes(content)
    with pytest.raises(InputError, match="sha256 differs"):
        base.open_artefact(copied)
    cards.card_path(copied).unlink()
    with pytest.raises(InputError, match="cannot read the card"):
        base.open_artefact(copied)


def test_crops_of_another_shape_or_type_are_refused(artefacts) -> None:
    runner = base.open_artefact(artefacts["int8"].path)
    for pixels in (np.zeros((1, 64, 64, 3), np.float32), np.zeros((1, 3, 64, 64), np.uint8)):
        with pytest.raises(InputError, match=r"takes crops uint8 \[N, 64, 64, 3\]"):
            runner.predict(pixels)
    coords, scores = runner.predict(np.zeros((0, 64, 64, 3), np.uint8))
    assert (coords.shape, scores.shape) == ((0, 17, 2), (0, 17))


def test_a_missing_package_is_named_with_the_command_that_installs_it(program: Program, tmp_path, monkeypatch) -> None:
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "litert_torch", None)
        with pytest.raises(BackendError, match=r"needs litert_torch; pip install 'distilpose-edge\[tflite\]'"):
            tflite.lower(program, tmp_path / "out")
    monkeypatch.delitem(sys.modules, "targets.tflite.backend")
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    with pytest.raises(BackendError, match=r"needs ai_edge_litert.*; pip install 'distilpose-edge\[tflite\]'"):
        base.get("tflite")
    assert not (tmp_path / "out").exists()


def test_a_conversion_that_fails_leaves_nothing(program: Program, converted, tmp_path, monkeypatch) -> None:
    def fails(*args, **kwargs):
        raise RuntimeError("no lowering\nfor aten::abacus")

    with monkeypatch.context() as patch:
        patch.setattr("targets.tflite.graph.convert", fails)
        with pytest.raises(BackendError, match="cannot lower the program: no lowering for aten::abacus"):
            tflite.lower(program, tmp_path)
    monkeypatch.setattr(tflite, "_convert", lambda *args: converted("int8"))
    monkeypatch.setattr(flatbuffer, "with_input", lambda content, *_: content[: len(content) // 2])
    with pytest.raises(BackendError, match="LiteRT refuses"):
        tflite.lower(program, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_lint_finds_operators_that_become_many(program: Program) -> None:
    class Costly(nn.Module):
        def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            x = nn.functional.layer_norm(images.flatten(2), (64,))
            q = torch.ops.quantized_decomposed.quantize_per_tensor(x, 0.1, 0, -128, 127, torch.int8)
            x = nn.functional.gelu(torch.ops.quantized_decomposed.dequantize_per_tensor(q, 0.1, 0, -128, 127, torch.int8))
            return nn.functional.gelu(x)[:, :, :2], torch.matmul(images, images)[:, 0, 0]

    messages = [finding.message for finding in tflite.lint(torch.export.export(Costly(), (torch.zeros(1, 3, 8, 8),)))]
    assert sum("GELU in int8" in message for message in messages) == 1
    messages = " ".join(messages)
    assert "LayerNorm becomes a dozen float operators" in messages
    assert "use bmm of rank 3" in messages
    assert tflite.lint(program.graph("int8")) == []
