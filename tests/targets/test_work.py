"""Multiply-adds of files, and the matrix product that runtimes are measured by."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from pose.errors import InputError
from targets import gemm
from targets.onnx import peak as onnx_peak
from targets.onnx.work import layers
from targets.tflite import flatbuffer
from targets.tflite import peak as tflite_peak
from targets.work import Work, work_of


def network(*, quantized: bool) -> onnx.ModelProto:
    """A depthwise convolution 3 x 3 of 8 channels with stride 2 on 16 x 16 cells, and a product of its 512 numbers by 5."""
    weights = {"kernel": np.ones((8, 1, 3, 3), np.float32), "matrix": np.ones((512, 5), np.float32)}
    nodes = [
        helper.make_node(
            "Conv", ["image", "kernel_" if quantized else "kernel"], ["maps"], group=8, strides=[2, 2], pads=[1] * 4
        ),
        helper.make_node("Flatten", ["maps"], ["flat"]),
        helper.make_node("MatMul", ["flat", "matrix"], ["answer"]),
    ]
    if quantized:
        weights["kernel"] = np.ones((8, 1, 3, 3), np.int8)
        weights |= {"scale": np.float32(0.1), "zero": np.int8(0)}
        nodes[0].input[0] = "image_"
        nodes = [
            helper.make_node("QuantizeLinear", ["image", "scale", "zero"], ["integers"]),
            helper.make_node("DequantizeLinear", ["integers", "scale", "zero"], ["image_"]),
            helper.make_node("DequantizeLinear", ["kernel", "scale", "zero"], ["kernel_"]),
            *nodes,
        ]
    inputs = [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 8, 16, 16])]
    outputs = [helper.make_tensor_value_info("answer", TensorProto.FLOAT, [1, 5])]
    constants = [numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()]
    graph = helper.make_graph(nodes, "two layers", inputs, outputs, constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


@pytest.mark.parametrize("quantized", [False, True])
def test_the_layers_of_an_onnx_file(quantized: bool, tmp_path: Path) -> None:
    model = network(quantized=quantized)
    convolution, product = 8 * 8 * 8 * 9, 512 * 5
    assert layers(model) == [(convolution, quantized), (product, False)]
    onnx.save(model, tmp_path / "net.onnx")
    work = work_of(tmp_path / "net.onnx")
    assert work == Work(convolution + product, convolution if quantized else 0)
    assert work.is_int8 is quantized
    assert work_of(tmp_path / "net.pte") is None
    (tmp_path / "net.onnx").write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"net\.onnx is not a whole \.onnx file"):
        work_of(tmp_path / "net.onnx")


def test_the_peak_is_as_many_int8_products_in_every_runtime() -> None:
    operators = flatbuffer.read(tflite_peak.model())[1]
    assert sum(one.macs for one in operators) == gemm.MULTIPLY_ADDS
    assert all(one.is_int8 for one in operators)
    assert layers(onnx_peak.model()) == [(gemm.MULTIPLY_ADDS // gemm.LAYERS, True)] * gemm.LAYERS
    for target in ("tflite", "onnx"):
        call = gemm.open_peak(target, 1)
        assert call is not None
        call()
    assert gemm.open_peak("coreml", 1) is None


def test_movenet_in_float_and_in_int8_computes_the_same(pose_data: Path) -> None:
    float_work, int8_work = (work_of(pose_data / "movenet" / f"movenet-lightning{end}") for end in (".onnx", "-int8.tflite"))
    assert float_work is not None
    assert int8_work == Work(float_work.multiply_adds, float_work.multiply_adds)
    assert not float_work.is_int8
