"""The int8 matrix product of `targets.gemm` in LiteRT."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from targets.gemm import CHANNELS, LAYERS, SCALE, SIDE, WEIGHT_SCALE
from targets.tflite.flatbuffer import add_buffer, packed

_VERSION = 3  # of conv_2d, the first that takes int8


def open_peak(threads: int) -> Callable[[], object]:
    """See `targets.gemm`."""
    interpreter = Interpreter(model_content=model(), num_threads=threads)
    interpreter.allocate_tensors()
    source, sink = interpreter.get_input_details()[0], interpreter.get_output_details()[0]["index"]
    image = np.random.default_rng(0).integers(-128, 128, source["shape"], np.int8)

    def call() -> object:
        interpreter.set_tensor(source["index"], image)
        interpreter.invoke()
        return interpreter.get_tensor(sink)

    return call


def model() -> bytes:
    """The `.tflite`, written without a converter."""
    rng = np.random.default_rng(0)
    made = schema.ModelT()
    made.version, made.buffers, made.description = 3, [schema.BufferT()], "peak"
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CONV_2D
    code.version = _VERSION
    made.operatorCodes = [code]
    graph = schema.SubGraphT()
    image = (1, SIDE, SIDE, CHANNELS)
    graph.tensors, graph.operators = [_tensor("layer_0", image, schema.TensorType.INT8, SCALE)], []
    for layer in range(LAYERS):
        weights = rng.integers(-127, 128, (CHANNELS, 1, 1, CHANNELS), np.int8)
        constants = (
            (f"weight_{layer}", weights, schema.TensorType.INT8, WEIGHT_SCALE),
            (f"bias_{layer}", np.zeros(CHANNELS, np.int32), schema.TensorType.INT32, SCALE * WEIGHT_SCALE),
        )
        source = len(graph.tensors) - 1
        for name, values, dtype, scale in constants:
            tensor = _tensor(name, values.shape, dtype, scale)
            tensor.buffer = add_buffer(made, values)
            graph.tensors.append(tensor)
        graph.tensors.append(_tensor(f"layer_{layer + 1}", image, schema.TensorType.INT8, SCALE))
        graph.operators.append(_convolution([source, source + 1, source + 2], source + 3))
    graph.inputs, graph.outputs = np.array([0], np.int32), np.array([len(graph.tensors) - 1], np.int32)
    made.subgraphs = [graph]
    return packed(made)


def _tensor(name: str, shape: tuple[int, ...], dtype: int, scale: float) -> Any:
    tensor = schema.TensorT()
    tensor.name, tensor.type, tensor.shape, tensor.buffer = name, dtype, np.array(shape, np.int32), 0
    tensor.quantization = schema.QuantizationParametersT()
    tensor.quantization.scale, tensor.quantization.zeroPoint = np.array([scale], np.float32), np.array([0], np.int64)
    return tensor


def _convolution(inputs: list[int], output: int) -> Any:
    node = schema.OperatorT()
    node.opcodeIndex, node.inputs, node.outputs = 0, np.array(inputs, np.int32), np.array([output], np.int32)
    node.builtinOptionsType, node.builtinOptions = schema.BuiltinOptions.Conv2DOptions, schema.Conv2DOptionsT()
    node.builtinOptions.strideW = node.builtinOptions.strideH = 1
    node.builtinOptions.padding = schema.Padding.VALID
    return node
