"""The ONNX file gives the program's answers, in int8 kernels, and is one file; damaged and foreign files are refused."""

from __future__ import annotations

import errno
import shutil
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import numpy_helper
from quantized_student import assert_answers_as, quantized_student
from tiny_student import tiny_crops, tiny_images
from torch import nn

from pose import card as cards
from pose.errors import BackendError, InputError
from pose.program import Program
from targets import base
from targets.graph import arithmetic
from targets.onnx import backend as target
from targets.onnx import qdq, zero_points


@pytest.fixture(scope="module")
def program(tmp_path_factory) -> Program:
    return quantized_student(tmp_path_factory.mktemp("program"), "affine")


@pytest.fixture(scope="module")
def artefacts(program: Program, tmp_path_factory) -> dict[str, base.Artefact]:
    out = tmp_path_factory.mktemp("dist")
    return {precision: target.lower(program, out, precision) for precision in ("fp32", "fp16", "int8")}


@pytest.fixture
def copied(artefacts, tmp_path: Path) -> Path:
    """The int8 artefact and its card, alone in a folder."""
    path = artefacts["int8"].path
    shutil.copy(cards.card_path(path), tmp_path)
    return Path(shutil.copy(path, tmp_path))


@pytest.mark.parametrize(("precision", "median", "p99"), [("fp32", 0.01, 0.05), ("fp16", 0.1, 0.3), ("int8", 0.5, 2.0)])
def test_an_artefact_answers_as_its_program(artefacts, program: Program, precision, median, p99) -> None:
    assert_answers_as(program, artefacts[precision], median, p99)


def test_threads_do_not_change_the_answer(artefacts) -> None:
    crops = tiny_crops(2)
    one, two = (base.open_artefact(artefacts["int8"].path, threads).predict(crops) for threads in (1, 2))
    np.testing.assert_array_equal(one[0], two[0])


def test_all_is_in_one_checked_file(artefacts) -> None:
    folder = artefacts["int8"].path.parent
    names = {f"distilpose_edge-onnx-{precision}.onnx" for precision in artefacts}
    assert {path.name for path in folder.iterdir()} == names | {f"{name}.card.yaml" for name in names}
    sizes = {precision: artefact.path.stat().st_size for precision, artefact in artefacts.items()}
    assert sizes["int8"] < 0.5 * sizes["fp32"]
    assert sizes["fp16"] < 0.6 * sizes["fp32"]
    for artefact in artefacts.values():
        onnx.checker.check_model(str(artefact.path), full_check=True)
        model = onnx.load(artefact.path, load_external_data=False)
        assert not any(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in model.graph.initializer)


def test_weights_and_zero_points_stay_int8(artefacts) -> None:
    graph = onnx.load(artefacts["int8"].path).graph
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    pairs = [node for node in graph.node if node.op_type in ("QuantizeLinear", "DequantizeLinear")]
    weights = [node for node in pairs if node.input[0] in constants]
    assert len(weights) == 16
    assert all(constants[node.input[0]].dtype == np.int8 for node in weights)
    assert all(constants[node.input[2]].dtype == np.int8 for node in pairs)


def test_int8_operators_of_the_program_run_in_int8_kernels(artefacts, program: Program) -> None:
    coverage = artefacts["int8"].card.coverage
    assert (coverage.delegates, coverage.undelegated) == (1, {})
    assert (coverage.delegated["QLinearConv"], coverage.delegated["QGemm"]) == (4, 12)
    assert coverage.int8_ops == pytest.approx(arithmetic(program.graph("int8")).int8_ops)
    assert coverage.int8_macs > 0.99
    for precision in ("fp32", "fp16"):
        assert artefacts[precision].card.coverage.int8_ops == artefacts[precision].card.coverage.int8_macs == 0


def test_flattening_linears_changes_no_bit(program: Program) -> None:
    graph, images = program.graph("int8"), tiny_images(1)
    linears = [node for node in graph.graph.nodes if node.target == torch.ops.aten.linear.default]
    assert {node.meta["val"].ndim for node in linears} == {3}
    with torch.no_grad():
        before = graph.module()(images)
        qdq._flatten_linears(graph.graph_module)
        after = graph.module()(images)
    assert {node.meta["val"].ndim for node in linears} == {2}
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def _padded_convolution(scale_after: float, amounts: str) -> onnx.ModelProto:
    """Dequantize, Pad, quantize, dequantize, Conv, as the exporter writes them; `scale_after`: of the padded tensor."""
    return onnx.parser.parse_model(f"""
        <ir_version: 8, opset_import: ["": 18]>
        net (int8[1, 2, 5, 5] images) => (float[1, 3, rows, columns] maps)
        <float step = {{0.25}}, float after = {{{scale_after}}}, int8 zero = {{-3}}, int64[8] amounts = {{{amounts}}},
         float[3, 2, 3, 3] weight = {{{", ".join(str(number % 7 - 3) for number in range(54))}}}> {{
            values = DequantizeLinear(images, step, zero)
            wider = Pad<mode = "constant">(values, amounts)
            rounded = QuantizeLinear(wider, {"step" if scale_after == 0.25 else "after"}, zero)
            read = DequantizeLinear(rounded, {"step" if scale_after == 0.25 else "after"}, zero)
            maps = Conv<strides = [2, 2], pads = [1, 0, 0, 0]>(read, weight)
        }}""")


@pytest.mark.parametrize(
    ("scale_after", "amounts", "folds"),
    [
        (0.25, "0, 0, 0, 1, 0, 0, 1, 2", True),  # the left, the bottom and twice the right
        (0.5, "0, 0, 0, 0, 0, 0, 1, 1", False),  # rounds once more
        (0.25, "0, 0, 0, 0, 0, 0, -1, 1", False),  # cuts a row off
    ],
)
def test_padding_folds_into_its_convolution_and_changes_no_bit(scale_after: float, amounts: str, folds: bool) -> None:
    before, after = (_padded_convolution(scale_after, amounts) for _ in range(2))
    qdq._fold_padding(after.graph)
    assert [node.op_type for node in after.graph.node] == (
        ["DequantizeLinear", "Conv"] if folds else [node.op_type for node in before.graph.node]
    )
    images = np.random.default_rng(0).integers(-128, 128, (1, 2, 5, 5)).astype(np.int8)
    (expected,), (answer,) = (
        onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"images": images}) for model in (before, after)
    )
    np.testing.assert_array_equal(answer, expected)


def test_only_the_padding_of_tokens_stays_an_operator(artefacts) -> None:
    graph = onnx.load(artefacts["int8"].path).graph
    assert [node.op_type for node in graph.node].count("Pad") == 1
    pads = [list(value.ints) for node in graph.node for value in node.attribute if value.name == "pads"]
    assert pads.count([0, 0, 1, 1]) == 2


def test_unsigned_activations_are_the_same_numbers(artefacts) -> None:
    model = onnx.load(artefacts["int8"].path)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    answers = [
        onnxruntime.InferenceSession(variant.SerializeToString(), options).run(None, {"images": tiny_images(1).numpy()})
        for variant in (model, zero_points.for_x86(model))
    ]
    for signed, unsigned in zip(*answers, strict=True):
        np.testing.assert_array_equal(signed, unsigned)


def test_sums_do_not_saturate_in_16_bits(tmp_path: Path) -> None:
    """255 * 127 + 255 * 127 is more than 16 bits hold; x86 kernels for processors without VNNI add in 16 bits by default."""
    weight = ", ".join(["127"] * 8 * 4)
    model = onnx.parser.parse_model(f"""
        <ir_version: 8, opset_import: ["": 18]>
        net (float[1, 8, 6, 6] images) => (float[1, 4, 6, 6] maps, float[1, 4, 6, 6] others)
        <float step = {{1.0}}, float fine = {{0.0078125}}, float coarse = {{16.0}}, int8 low = {{-128}}, int8 zero = {{0}},
         int8[4, 8, 1, 1] first = {{{weight}}}, int8[4, 8, 1, 1] second = {{{weight}}}> {{
            bytes = QuantizeLinear(images, step, low)
            values = DequantizeLinear(bytes, step, low)
            weights = DequantizeLinear(first, fine, zero)
            sums = Conv(values, weights)
            rounded = QuantizeLinear(sums, coarse, low)
            maps = DequantizeLinear(rounded, coarse, low)
            more_weights = DequantizeLinear(second, fine, zero)
            more_sums = Conv(values, more_weights)
            more_rounded = QuantizeLinear(more_sums, coarse, low)
            others = DequantizeLinear(more_rounded, coarse, low)
        }}""")
    optimised = tmp_path / "optimised.onnx"
    session = target.session(model, tmp_path, optimised=optimised)
    answers = session.run(None, {"images": np.full((1, 8, 6, 6), 255, np.float32)})
    assert [node.op_type for node in onnx.load(optimised).graph.node].count("QLinearConv") == 2
    for answer in answers:
        np.testing.assert_array_equal(answer, 16 * np.round(255 * 127 / 128 * 8 / 16))


def test_each_weight_in_the_file_has_a_zero_point_of_its_own(artefacts) -> None:
    graph = onnx.load(artefacts["int8"].path).graph
    constants = {tensor.name for tensor in graph.initializer}
    names = [node.input[2] for node in graph.node if node.op_type == "DequantizeLinear" and node.input[0] in constants]
    assert len(names) == len(set(names)) == 16


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_the_card_holds_the_artefacts_own_answer_to_the_golden_crop(artefacts, program: Program, precision) -> None:
    card = cards.read(cards.card_path(artefacts[precision].path))
    assert card == artefacts[precision].card
    assert (card.target, card.precision) == ("onnx", precision)
    assert card.sources["program"] == cards.digest(program.path(precision))
    assert {"onnx", "onnxscript", "onnxruntime"} <= set(card.versions)
    expected = card.golden.expected
    torch_coords = np.array(expected["int8" if precision == "int8" else "fp32"].coords)
    assert np.linalg.norm((np.array(expected["lowered"].coords) - torch_coords) * 64, axis=-1).max() < 2


def test_an_edited_or_cut_file_is_refused(copied: Path) -> None:
    whole = copied.read_bytes()
    edited = bytearray(whole)
    edited[len(whole) // 2] ^= 1
    for damaged in (bytes(edited), whole[: len(whole) // 2]):
        copied.write_bytes(damaged)
        with pytest.raises(InputError, match="sha256 differs"):
            base.open_artefact(copied)


@pytest.mark.parametrize(("content", "expected"), [(b"\xff not protobuf", "not an ONNX file"), (b"", "refuses")])
def test_a_file_that_is_no_onnx_is_refused_even_if_its_digest_matches(copied: Path, content, expected) -> None:
    copied.write_bytes(content)
    _update_digest(copied)
    with pytest.raises(BackendError, match=expected) as error:
        base.open_artefact(copied)
    assert "\n" not in str(error.value)


def test_a_model_of_another_shape_is_refused_even_if_its_digest_matches(copied: Path) -> None:
    model = onnx.load(copied)
    model.graph.output.reverse()
    copied.write_bytes(model.SerializeToString())
    _update_digest(copied)
    with pytest.raises(InputError, match="not what its card says"):
        base.open_artefact(copied)


def test_an_artefact_of_another_target_is_refused(copied: Path) -> None:
    with pytest.raises(InputError, match="made for onnx, not for tensorrt"):
        base.get("tensorrt").open(copied)


def _update_digest(path: Path) -> None:
    card = cards.read(cards.card_path(path))
    card.model_copy(update={"files": {path.name: cards.digest(path)}}).write(cards.card_path(path))


def test_crops_of_another_shape_or_type_are_refused(artefacts) -> None:
    runner = base.open_artefact(artefacts["int8"].path)
    for crops in (np.zeros((1, 64, 63, 3), np.uint8), np.zeros((64, 64, 3), np.uint8), np.zeros((1, 64, 64, 3))):
        with pytest.raises(InputError, match=r"takes crops uint8 \[N, 64, 64, 3\]"):
            runner.predict(crops)


def test_a_full_disk_leaves_nothing(program: Program, tmp_path: Path, monkeypatch) -> None:
    def full(self: Path, data: bytes) -> int:
        with open(self, "wb") as file:
            file.write(data[:1000])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(InputError, match="No space left on device"):
        target.lower(program, tmp_path, "fp32")
    assert list(tmp_path.iterdir()) == []


def test_a_runtime_that_fails_leaves_nothing(program: Program, tmp_path: Path, monkeypatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise RuntimeError("no\nkernel")

    monkeypatch.setattr(onnxruntime, "InferenceSession", fails)
    with pytest.raises(BackendError, match="no kernel"):
        target.lower(program, tmp_path, "fp32")
    assert list(tmp_path.iterdir()) == []


def test_an_operator_that_onnx_lacks_is_named() -> None:
    class Net(nn.Module):
        def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            values = torch.linalg.eigvals(images).real
            return values, values

    with pytest.raises(BackendError, match="linalg_eig") as error:
        qdq.qdq_model(torch.export.export(Net(), (torch.zeros(1, 3, 4, 4),)))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["onnx", "tensorrt"])
@pytest.mark.parametrize("package", ["onnx", "onnxruntime"])
def test_a_missing_package_is_named_with_the_command_that_installs_it(monkeypatch, name: str, package: str) -> None:
    for module in ("targets.onnx.backend", "targets.tensorrt.backend", "targets.onnx.qdq"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(BackendError, match=rf"{name} needs {package}; pip install 'distilpose-edge\[{name}\]'"):
        base.get(name)


def test_a_missing_exporter_is_named_when_a_program_is_lowered(program: Program, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.delitem(sys.modules, "targets.onnx.qdq", raising=False)
    monkeypatch.setitem(sys.modules, "onnxscript.optimizer", None)
    with pytest.raises(BackendError, match=r"onnx needs onnxscript.*; pip install 'distilpose-edge\[onnx\]'"):
        target.lower(program, tmp_path)


def test_a_program_with_suitable_scales_has_no_findings(program: Program) -> None:
    assert target.lint(program.graph("int8")) == []
