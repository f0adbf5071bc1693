"""The int8 matrix product of `targets.gemm` in ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper

from targets.gemm import CHANNELS, LAYERS, SCALE, SIDE, WEIGHT_SCALE
from targets.onnx.backend import session

_SHAPE = (1, CHANNELS, SIDE, SIDE)


def open_peak(threads: int) -> Callable[[], object]:
    """See `targets.gemm`."""
    opened = session(model(), Path("peak.onnx"), threads)
    image = np.random.default_rng(0).integers(0, 256, _SHAPE, np.uint8)
    return lambda: opened.run(None, {"layer_0": image})


def model() -> ModelProto:
    """Of QLinearConv, with the types that the runtime's kernels take on every processor: activations uint8, weights int8."""
    rng = np.random.default_rng(0)
    constants: dict[str, Any] = {
        "scale": np.float32(SCALE),
        "zero": np.uint8(128),
        "weight_scale": np.float32(WEIGHT_SCALE),
    }
    for layer in range(LAYERS):
        constants[f"weight_{layer}"] = rng.integers(-127, 128, (CHANNELS, CHANNELS, 1, 1), np.int8)
        constants[f"weight_zero_{layer}"] = np.int8(0)  # its own: see `targets.onnx.zero_points.separate`
    nodes = [
        helper.make_node(
            "QLinearConv",
            [f"layer_{layer}", "scale", "zero", f"weight_{layer}", "weight_scale", f"weight_zero_{layer}", "scale", "zero"],
            [f"layer_{layer + 1}"],
        )
        for layer in range(LAYERS)
    ]
    first, last = (helper.make_tensor_value_info(f"layer_{n}", TensorProto.UINT8, _SHAPE) for n in (0, LAYERS))
    values = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "peak", [first], [last], values)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
