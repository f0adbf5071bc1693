"""A network of one pooling and two linears as an ONNX artefact with its card, made without torch and without a toolchain."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from pose.card import Card, Golden, Input, Output, Precision, Prediction, card_path, pack
from pose.files import sha256, write_text
from pose.program import CARD, graph_name
from pose.skeleton import COCO_17

SHAPE = (1, 3, 32, 32)


def write_tiny_onnx(folder: Path, precision: Precision = "int8", shift: float = 0.0) -> Path:
    """`tiny-onnx-<precision>.onnx`: coordinates that move with the colours of the crop, scores of 0.5.

    Args:
        shift: added to every coordinate, in 0..1 of the crop.
    """
    program = _program(folder)
    path = folder / f"tiny-onnx-{precision}.onnx"
    onnx.save(_model(shift), path)
    card = program.model_copy(
        update={
            "target": "onnx",
            "precision": precision,
            "files": {path.name: sha256(path)},
            "sources": {"program": program.files[graph_name(precision)]},
            "golden": program.golden.model_copy(update={"expected": {"lowered": _answer_to_black(shift)}}),
        }
    )
    card.write(card_path(path))
    return path


def _program(folder: Path) -> Card:
    """The card of the program beside it, whose graphs nobody opens."""
    home = folder / "tiny.program"
    for precision in ("fp32", "int8"):
        write_text(home / graph_name(precision), precision)
    card = Card(
        student="tiny",
        skeleton=COCO_17,
        input=Input(shape=SHAPE, mean=(0.0,) * 3, std=(255.0,) * 3, padding=1.25),
        outputs=(Output(name="coords", shape=(1, 17, 2)), Output(name="scores", shape=(1, 17))),
        scheme="affine",
        float_modules=[],
        files={graph_name(precision): sha256(home / graph_name(precision)) for precision in ("fp32", "int8")},
        sources={},
        versions={},
        golden=Golden(crop=pack(np.zeros((*SHAPE[2:], 3), np.uint8)), expected={}),
    )
    card.write(home / CARD)
    return card


def _answer_to_black(shift: float) -> Prediction:
    coords = (np.linspace(0.3, 0.7, 34, dtype=np.float32) + np.float32(shift)).reshape(17, 2)
    return Prediction(coords=coords.tolist(), scores=[0.5] * 17)


def _model(shift: float) -> onnx.ModelProto:
    rng = np.random.default_rng(0)
    weights = {
        "spread": rng.uniform(-0.3, 0.3, (3, 34)).astype(np.float32),
        "middle": np.linspace(0.3, 0.7, 34, dtype=np.float32) + np.float32(shift),
        "sure": np.zeros((3, 17), np.float32),
        "half": np.full(17, 0.5, np.float32),
        "shape": np.array([1, 17, 2]),
    }
    nodes = [
        helper.make_node("GlobalAveragePool", ["images"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["colours"]),
        helper.make_node("Gemm", ["colours", "spread", "middle"], ["flat"]),
        helper.make_node("Reshape", ["flat", "shape"], ["coords"]),
        helper.make_node("Gemm", ["colours", "sure", "half"], ["scores"]),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, SHAPE)],
        [
            helper.make_tensor_value_info("coords", TensorProto.FLOAT, (1, 17, 2)),
            helper.make_tensor_value_info("scores", TensorProto.FLOAT, (1, 17)),
        ],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
