"""Networks whose three heatmaps are the colours of their picture, with integers for numbers: TFLite and ONNX."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

flatbuffers = pytest.importorskip("flatbuffers", reason="TFLite teachers need the extra 'train'")
schema = pytest.importorskip("ai_edge_litert.schema_py_generated", reason="TFLite teachers need the extra 'train'")

SIDE = 16
CODES = {"uint8": schema.TensorType.UINT8, "int8": schema.TensorType.INT8}


def description(**heatmaps: Any) -> dict[str, Any]:
    """The YAML of such a network, with these fields of its heatmaps; `dtype` is that of the input."""
    dtype = heatmaps.pop("dtype", "uint8")
    return {
        "skeleton": "three.yaml",
        "file": "net.tflite",
        "input": {"width": SIDE, "height": SIDE, "dtype": dtype},
        "heatmaps": {"output": "maps", "joints": ["a", "b", "c"], **heatmaps},
        "decode": {"method": "argmax"},
    }


def write_tflite(
    path: Path,
    dtype: str,
    scales: Sequence[float] = (),
    zero_points: Sequence[int] = (),
    input_step: tuple[float, int] = (1, 0),
) -> None:
    """The picture, reshaped; `scales` and `zero_points` of the output are one number, one a channel, or none."""
    code, model = schema.OperatorCodeT(), schema.ModelT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.RESHAPE
    shape_buffer, nothing = schema.BufferT(), schema.BufferT()
    shape = np.array([1, SIDE, SIDE, 3], np.int32)
    nothing.data, shape_buffer.data = None, shape.view(np.uint8)
    operator = schema.OperatorT()
    operator.inputs, operator.outputs = [0, 1], [2]
    graph = schema.SubGraphT()
    graph.tensors = [
        _tensor("image", shape, CODES[dtype], [input_step[0]], [input_step[1]]),
        _tensor("shape", np.array([4]), schema.TensorType.INT32, buffer=1),
        _tensor("maps", shape, CODES[dtype], scales, zero_points),
    ]
    graph.inputs, graph.outputs, graph.operators = [0], [2], [operator]
    model.version, model.operatorCodes, model.subgraphs, model.buffers = 3, [code], [graph], [nothing, shape_buffer]
    builder = flatbuffers.Builder(4096)
    builder.Finish(model.Pack(builder), b"TFL3")
    path.write_bytes(bytes(builder.Output()))


def _tensor(
    name: str, shape: np.ndarray, code: int, scales: Sequence[float] = (), zero_points: Sequence[int] = (), buffer: int = 0
) -> Any:
    tensor = schema.TensorT()
    tensor.name, tensor.shape, tensor.type, tensor.buffer = name, shape.tolist(), code, buffer
    if scales:
        tensor.quantization = schema.QuantizationParametersT()
        tensor.quantization.scale, tensor.quantization.zeroPoint = list(scales), list(zero_points)
        tensor.quantization.quantizedDimension = 3 if len(scales) > 1 else 0
    return tensor


def write_onnx(path: Path, dtype: str) -> None:
    """The picture as it is: its output has the type of its input."""
    onnx = pytest.importorskip("onnx", reason="foreign teachers need the extra 'train'")
    helper, kind = onnx.helper, onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    image, maps = (helper.make_tensor_value_info(name, kind, [1, SIDE, SIDE, 3]) for name in ("image", "maps"))
    graph = helper.make_graph([helper.make_node("Identity", ["image"], ["maps"])], "teacher", [image], [maps])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
