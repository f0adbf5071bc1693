"""Artefacts that are not what their card says, or that name code or files from outside: refused by name, in one line."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
import yaml
from ai_edge_litert import schema_py_generated as schema
from onnx import TensorProto, helper

from edge import dist, run
from pose import card as cards
from pose.errors import InputError
from pose.onnx_graph import require_plain
from pose.program import load_program
from targets.coreml.reference import require_inside
from targets.onnx import backend as onnx_backend
from targets.tflite import backend as tflite_backend
from targets.tflite import flatbuffer

SUFFIX = {"executorch": "pte", "onnx": "onnx", "tflite": "tflite"}


@pytest.fixture
def folder(lowered: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(lowered, tmp_path / "dist"))


def edit(path: Path, change: Callable[[dict], object]) -> None:
    value = yaml.safe_load(path.read_text())
    change(value)
    path.write_text(yaml.safe_dump(value))


def replaced(path: Path, content: bytes) -> Path:
    """The artefact with another content that its card describes."""
    path.write_bytes(content)
    edit(cards.card_path(path), lambda card: card["files"].update({path.name: cards.digest(path)}))
    return path


def refused(call: Callable[[], object], *words: str) -> None:
    with pytest.raises(InputError) as error:
        call()
    assert "\n" not in str(error.value)
    assert not [word for word in words if word not in str(error.value)], str(error.value)


@pytest.mark.parametrize("name", ["extra.bin", "student_fp32.pt2"])
def test_a_card_with_another_file_does_not_verify(folder: Path, name: str) -> None:
    artefact = folder / "tiny-onnx-int8.onnx"
    edit(cards.card_path(artefact), lambda card: card["files"].update({name: "a" * 64}))
    refused(lambda: run.open(artefact), "tiny-onnx-int8.onnx.card.yaml", f"has the sha256 of {name}")


@pytest.mark.parametrize("missing", ["student_fp32.pt2", "student_int8.pt2"])
def test_a_program_with_a_file_that_its_card_leaves_out(folder: Path, missing: str) -> None:
    edit(folder / "tiny.program" / "card.yaml", lambda card: card["files"].pop(missing))
    refused(lambda: load_program(folder / "tiny.program"), "card.yaml has no sha256 of", missing)


def test_a_program_with_a_file_too_many(folder: Path) -> None:
    edit(folder / "tiny.program" / "card.yaml", lambda card: card["files"].update({"evil.so": "a" * 64}))
    refused(lambda: load_program(folder / "tiny.program"), "has the sha256 of evil.so")


def with_more_joints(card: dict) -> None:
    card["skeleton"] = {"name": "more", "joints": [f"joint {number}" for number in range(18)]}
    card["outputs"][0]["shape"], card["outputs"][1]["shape"] = [1, 18, 2], [1, 18]
    for answer in card["golden"]["expected"].values():
        answer["coords"].append([0.5, 0.5])
        answer["scores"].append(0.5)


def with_other_order(card: dict) -> None:
    card["outputs"].reverse()


@pytest.mark.parametrize("target", SUFFIX)
def test_an_artefact_with_other_outputs_than_its_card(folder: Path, target: str) -> None:
    artefact = folder / f"tiny-{target}-int8.{SUFFIX[target]}"
    edit(cards.card_path(artefact), with_more_joints)
    refused(lambda: run.open(artefact), artefact.name, "answers float32 (1, 17, 2), ", "its card says", "(1, 18, 2)")


@pytest.mark.parametrize(
    ("change", "words"),
    [(with_more_joints, ("student_fp32.pt2 answers", "its card says")), (with_other_order, ("are not coords and scores",))],
)
def test_a_program_with_other_outputs_than_its_card(
    folder: Path, change: Callable[[dict], None], words: tuple[str, ...]
) -> None:
    edit(folder / "tiny.program" / "card.yaml", change)
    refused(lambda: load_program(folder / "tiny.program").graph("fp32"), *words)


def test_outputs_in_another_order(folder: Path) -> None:
    artefact = folder / "tiny-executorch-int8.pte"
    edit(cards.card_path(artefact), with_other_order)
    refused(lambda: run.open(artefact), "card")


def with_node(**fields: object) -> Callable[[onnx.ModelProto], None]:
    def change(model: onnx.ModelProto) -> None:
        node = model.graph.node.add()
        node.CopyFrom(helper.make_node(fields.pop("op_type"), ["images"], ["unused"], **fields))

    return change


def _body() -> onnx.GraphProto:
    return helper.make_graph([], "body", [], [])


def external(model: onnx.ModelProto) -> None:
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../etc/passwd")


def external_in_a_constant(model: onnx.ModelProto) -> None:
    held = helper.make_tensor("hidden", TensorProto.FLOAT, [1], [0.0])
    held.external_data.add(key="location", value="/etc/passwd")
    with_node(op_type="Constant", value=held)(model)


def function(model: onnx.ModelProto) -> None:
    model.functions.append(helper.make_function("own", "bomb", ["x"], ["y"], [], []))


ONNX = {
    "custom operator": (with_node(op_type="Run", domain="evil.ops"), "evil.ops.Run"),
    "loop": (with_node(op_type="Loop", body=_body()), "Loop holds a graph"),
    "branch": (with_node(op_type="If", then_branch=_body(), else_branch=_body()), "If holds a graph"),
    "external data": (external, "lies in another file"),
    "external data of a constant": (external_in_a_constant, "hidden lies in another file"),
    "function": (function, "the function bomb"),
}


@pytest.mark.parametrize("name", ONNX)
def test_onnx_that_names_code_or_files(folder: Path, name: str) -> None:
    change, words = ONNX[name]
    path = folder / "tiny-onnx-int8.onnx"
    model = onnx.load(path)
    change(model)
    replaced(path, model.SerializeToString())
    refused(lambda: onnx_backend.open(path), "tiny-onnx-int8.onnx is not opened", words)


def test_onnx_of_a_teacher(folder: Path) -> None:
    model = onnx.load(folder / "tiny-onnx-int8.onnx")
    require_plain(model, Path("teacher.onnx"))
    external(model)
    refused(lambda: require_plain(model, Path("teacher.onnx")), "teacher.onnx", "lies in another file")


def with_custom(model: schema.ModelT) -> None:
    model.operatorCodes[0].builtinCode = model.operatorCodes[0].deprecatedBuiltinCode = 32
    model.operatorCodes[0].customCode = b"FlexRun"


def with_delegate(model: schema.ModelT) -> None:
    model.operatorCodes[0].builtinCode = model.operatorCodes[0].deprecatedBuiltinCode = schema.BuiltinOperator.DELEGATE


def with_second_graph(model: schema.ModelT) -> None:
    model.subgraphs.append(model.subgraphs[0])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (with_custom, "FlexRun is not an operator"),
        (with_delegate, "delegate is not"),
        (with_second_graph, "it has 2 graphs"),
    ],
)
def test_tflite_that_names_code(folder: Path, change: Callable[[schema.ModelT], None], words: str) -> None:
    path = folder / "tiny-tflite-int8.tflite"
    model = flatbuffer._unpacked(path.read_bytes())
    change(model)
    replaced(path, flatbuffer.packed(model))
    refused(lambda: tflite_backend.open(path), "tiny-tflite-int8.tflite", words)


@pytest.mark.parametrize("content", [b"", b"TFL3" * 9, b"\xff" * 4 + b"TFL3" + b"\xff" * 40])
def test_tflite_that_is_none(tmp_path: Path, content: bytes) -> None:
    refused(lambda: flatbuffer.require_plain(content, tmp_path / "a.tflite"), "a.tflite is not a whole .tflite file")


@pytest.mark.parametrize("path", ["../../etc/passwd", "/etc/passwd", None, 3])
def test_a_package_that_names_a_file_outside(tmp_path: Path, path: object) -> None:
    entries = {"1": {"path": "com.apple.CoreML/model.mlmodel"}, "2": {"path": path}}
    (tmp_path / "Manifest.json").write_text(json.dumps({"itemInfoEntries": entries}))
    refused(lambda: require_inside(tmp_path), "Manifest.json names", "not a file of the package")


def test_a_package_with_a_link(tmp_path: Path) -> None:
    (tmp_path / "a.mlpackage").mkdir()
    (tmp_path / "a.mlpackage" / "weight.bin").symlink_to("/etc/passwd")
    refused(lambda: cards.digest(tmp_path / "a.mlpackage"), "weight.bin is a link")


def test_whole_artefacts_are_opened(folder: Path) -> None:
    for target, suffix in SUFFIX.items():
        assert dist.find(folder / f"tiny-{target}-int8.{suffix}").open().card.target == target
