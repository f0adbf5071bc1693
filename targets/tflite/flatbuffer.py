"""The content of a `.tflite`: its operators are read, its input and the type of its weights are changed."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import prod
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from pose.card import Input
from pose.errors import InputError

_IDENTIFIER = b"TFL3"
_ALIGNMENT = 16  # bytes, of constants, which runtimes read in place
_NAMES = {code: name.lower() for name, code in vars(schema.BuiltinOperator).items() if isinstance(code, int)}
_TYPES = {code: name.lower() for name, code in vars(schema.TensorType).items() if isinstance(code, int)}
_CODES = {
    np.dtype("<f4"): schema.TensorType.FLOAT32,
    np.dtype("<i4"): schema.TensorType.INT32,
    np.dtype("i1"): schema.TensorType.INT8,
}
_PIXEL_WEIGHT = 126  # an int8 that is even, so that times 127.5 it is a whole number
_FOREIGN = ("custom", "delegate", "stablehlo_custom_call")
_WEIGHTED = ("conv_2d", "depthwise_conv_2d", "fully_connected", "transpose_conv")


@dataclass(frozen=True)
class Tensor:
    """Name, shape and type ("int8", "float32", ...) of a value; `constant` where the file stores it, in float16 or not."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    constant: bool


@dataclass(frozen=True)
class Operator:
    """One node of the graph.

    Attributes:
        name: as in TensorFlow Lite, in lower case.
        inputs, outputs: indices of tensors; an optional input that is missing is -1.
        macs: multiply-adds of a convolution, fully connected layer or matrix product; 0 for any other operator.
        is_int8: activation and weight (or both factors) are int8.
        is_product: it multiplies two activations.
    """

    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    macs: int
    is_int8: bool
    is_product: bool

    def label(self, tensors: Sequence[Tensor]) -> str:
        """The operator and the type that it computes: `conv_2d int8`."""
        return f"{self.name} {tensors[self.outputs[0]].dtype}"


def require_plain(content: bytes, path: Path) -> None:
    """Raises InputError unless a file is one graph of the operators of TensorFlow Lite.

    Custom operators and delegates come from libraries; with a second graph come loops and branches.
    """
    try:
        if not schema.Model.ModelBufferHasIdentifier(content, 0):
            raise ValueError("no identifier")
        model = schema.Model.GetRootAs(content)
        graphs = model.SubgraphsLength()
        codes = [model.OperatorCodes(number) for number in range(model.OperatorCodesLength())]
        operators = [(max(code.BuiltinCode(), code.DeprecatedBuiltinCode()), code.CustomCode()) for code in codes]
    except Exception as error:  # of struct and of numpy, where an offset points outside the file
        raise InputError(f"{path} is not a whole .tflite file; export it again") from error
    for code, custom in operators:
        if custom is not None or _NAMES.get(code, "") in _FOREIGN:
            name = custom.decode(errors="replace")[:80] if custom else _NAMES[code]
            raise InputError(f"{path} is not opened: {name} is not an operator of TensorFlow Lite itself; export it again")
    if graphs != 1:
        raise InputError(f"{path} is not opened: it has {graphs} graphs, and a network needs one; export it again")


def read(content: bytes) -> tuple[list[Tensor], list[Operator]]:
    """Tensors of the file's one graph, and its operators in the order in which they run."""
    model = _unpacked(content)
    graph = model.subgraphs[0]
    tensors = [
        Tensor(
            tensor.name.decode(),
            tuple(map(int, tensor.shape if tensor.shape is not None else ())),
            _TYPES[tensor.type],
            model.buffers[tensor.buffer].data is not None,
        )
        for tensor in graph.tensors
    ]
    for node in graph.operators:
        if _name(model, node) == "dequantize" and tensors[node.inputs[0]].constant:  # a weight in float16
            tensors[node.outputs[0]] = replace(tensors[node.outputs[0]], constant=True)
    return tensors, [_operator(model, node, tensors) for node in graph.operators]


def with_input(content: bytes, wanted: Input, integer: bool = False) -> bytes:
    """The file with an input of the type that `wanted` describes, in NHWC, and tensors named images, coords and scores.

    litert-torch removes the first quantize node of a quantized program, so that its file takes int8. A float32 input gets
    that node back. A uint8 input is normalised in front of it: the scale of the pre-processing becomes the quantization of
    the input itself, and the rest is computed in float.

    Args:
        content: a file whose input is float32 or int8 [1, H, W, 3], and whose outputs are coords and scores in either order.
        integer: normalise a uint8 input in int8, too, by a depthwise convolution; for a file whose input is int8.
    """
    model = _unpacked(content)
    graph, signature = model.subgraphs[0], model.signatureDefs[0]
    source = graph.inputs[0]
    before: list[Any] = []
    if wanted.dtype == "uint8":
        source = (_normalise_in_int8 if integer else _normalise_in_float)(model, before, wanted)
    elif graph.tensors[source].type == schema.TensorType.INT8:
        source = _tensor(model, schema.TensorType.FLOAT32)
        _append(model, before, "QUANTIZE", [source], graph.inputs[0])
    graph.operators = before + graph.operators
    graph.inputs = np.array([source], np.int32)
    signature.inputs[0].tensorIndex = source
    for entry in (*signature.inputs, *signature.outputs):
        graph.tensors[entry.tensorIndex].name = entry.name
    return packed(model)


def _normalise_in_float(model: Any, operators: list[Any], wanted: Input) -> int:
    """Append what makes the file's input of bytes; returns the index of the tensor that takes them."""
    first = model.subgraphs[0].inputs[0]
    append = partial(_append, model, operators)
    std, mean = (wanted.spec.in_channel_order(values) for values in (wanted.std, wanted.mean))
    source = _tensor(model, schema.TensorType.UINT8, quantization=(1 / std[0], 0))
    value = append("DEQUANTIZE", [source])
    if len(set(wanted.std)) > 1:
        value = append("MUL", [value, _constant(model, (std[0] / std).astype("<f4"))])
    value = append("SUB", [value, _constant(model, (mean / std).astype("<f4"))])
    if model.subgraphs[0].tensors[first].type == schema.TensorType.INT8:
        append("QUANTIZE", [value], first)
    else:
        operators[-1].outputs = np.array([first], np.int32)
    return source


def _normalise_in_int8(model: Any, operators: list[Any], wanted: Input) -> int:
    """As `_normalise_in_float`, in operators that NPUs have: a shift by 128, and a depthwise convolution of one pixel."""
    first = model.subgraphs[0].inputs[0]
    source = _tensor(model, schema.TensorType.UINT8, quantization=(1, 0))
    shifted = _tensor(model, schema.TensorType.INT8, quantization=(1, -128))
    std, mean = (wanted.spec.in_channel_order(values) for values in (wanted.std, wanted.mean))
    scales = 1 / (_PIXEL_WEIGHT * std)
    weight = _constant(model, np.full((1, 1, 1, len(scales)), _PIXEL_WEIGHT, np.int8), scales)
    bias = _constant(model, np.round(-_PIXEL_WEIGHT * mean).astype("<i4"), scales)
    options = schema.DepthwiseConv2DOptionsT()
    options.padding, options.strideW, options.strideH, options.depthMultiplier = schema.Padding.VALID, 1, 1, 1
    _append(model, operators, "QUANTIZE", [source], shifted)
    _append(model, operators, "DEPTHWISE_CONV_2D", [shifted, weight, bias], first, options)
    return source


def with_float16_weights(content: bytes) -> bytes:
    """The file with its weights in float16, each followed by a DEQUANTIZE that makes float32 of it for its operator."""
    model = _unpacked(content)
    graph = model.subgraphs[0]
    before: list[Any] = []
    weights = {node.inputs[1] for node in graph.operators if _name(model, node) in _WEIGHTED}
    for index in sorted(map(int, weights)):
        tensor = graph.tensors[index]
        data = model.buffers[tensor.buffer].data
        if data is None or tensor.type != schema.TensorType.FLOAT32:
            continue
        half = copy.copy(tensor)
        half.type, half.name = schema.TensorType.FLOAT16, f"{tensor.name.decode()}_float16"
        half.buffer = add_buffer(model, data.view("<f4").astype("<f2"))
        graph.tensors.append(half)
        tensor.buffer = 0  # the buffer of every tensor that is computed
        _append(model, before, "DEQUANTIZE", [len(graph.tensors) - 1], index)
    used = {tensor.buffer for tensor in graph.tensors}
    for index, buffer in enumerate(model.buffers):
        if index not in used:
            buffer.data = None
    graph.operators = before + graph.operators
    return packed(model)


def _operator(model: Any, node: Any, tensors: list[Tensor]) -> Operator:
    name = _name(model, node)
    inputs, outputs = tuple(map(int, node.inputs)), tuple(map(int, node.outputs))
    out = prod(tensors[outputs[0]].shape)
    macs, is_product = 0, False
    if name == "depthwise_conv_2d":
        macs = out * prod(tensors[inputs[1]].shape[1:3])
    elif name in _WEIGHTED:
        macs = out * prod(tensors[inputs[1]].shape[1:])
        is_product = not tensors[inputs[1]].constant
    elif name == "batch_matmul":
        macs = out * tensors[inputs[0]].shape[-2 if node.builtinOptions.adjX else -1]
        is_product = True
    is_int8 = all(tensors[index].dtype == "int8" for index in inputs[:2] if index >= 0)
    return Operator(name, inputs, outputs, macs, is_int8, is_product)


def _name(model: Any, node: Any) -> str:
    code = model.operatorCodes[node.opcodeIndex]
    return _NAMES[max(code.builtinCode, code.deprecatedBuiltinCode)]


def _append(
    model: Any, operators: list[Any], name: str, inputs: list[int], output: int | None = None, options: Any = None
) -> int:
    """Append an operator; returns the index of its output.

    Args:
        output: index of the tensor that it writes [default: a new float32 tensor of the shape of the file's input].
        options: of the operator [default: its own defaults].
    """
    node = schema.OperatorT()
    code = getattr(schema.BuiltinOperator, name)
    codes = [max(known.builtinCode, known.deprecatedBuiltinCode) for known in model.operatorCodes]
    if code not in codes:
        entry = schema.OperatorCodeT()
        entry.builtinCode = entry.deprecatedBuiltinCode = code
        entry.version = 1
        model.operatorCodes.append(entry)
        codes.append(code)
    output = _tensor(model, schema.TensorType.FLOAT32) if output is None else output
    options = options or getattr(schema, f"{name.capitalize()}OptionsT")()
    node.opcodeIndex, node.inputs, node.outputs = codes.index(code), np.array(inputs, np.int32), np.array([output], np.int32)
    node.builtinOptionsType = getattr(schema.BuiltinOptions, type(options).__name__.removesuffix("T"))
    node.builtinOptions = options
    operators.append(node)
    return output


def _tensor(model: Any, dtype: int, quantization: tuple[float, int] | None = None) -> int:
    """The index of a new tensor of the shape of the file's input.

    Args:
        dtype: code of `schema.TensorType`. quantization: scale and zero point.
    """
    graph = model.subgraphs[0]
    tensor = schema.TensorT()
    tensor.name, tensor.type, tensor.shape, tensor.hasRank = f"camera_{len(graph.tensors)}", dtype, _input_shape(graph), True
    if quantization:
        tensor.quantization = schema.QuantizationParametersT()
        tensor.quantization.scale = np.array([quantization[0]], np.float32)
        tensor.quantization.zeroPoint = np.array([quantization[1]], np.int64)
    graph.tensors.append(tensor)
    return len(graph.tensors) - 1


def _input_shape(graph: Any) -> np.ndarray:
    return np.array(graph.tensors[graph.inputs[0]].shape, np.int32)


def _constant(model: Any, values: np.ndarray, scales: np.ndarray | None = None) -> int:
    """The index of a new constant of the type of the values, quantized with zero point 0 and a scale for each channel."""
    index = _tensor(model, _CODES[values.dtype])
    tensor = model.subgraphs[0].tensors[index]
    tensor.buffer, tensor.shape = add_buffer(model, values), np.array(values.shape, np.int32)
    if scales is not None:
        tensor.quantization = schema.QuantizationParametersT()
        tensor.quantization.scale, tensor.quantization.zeroPoint = scales.astype(np.float32), np.zeros(len(scales), np.int64)
        tensor.quantization.quantizedDimension = values.ndim - 1
    return index


def add_buffer(model: Any, values: np.ndarray) -> int:
    """The index of a new buffer of a `schema.ModelT` that holds these values."""
    buffer = schema.BufferT()
    buffer.data = np.frombuffer(values.tobytes(), np.uint8)
    model.buffers.append(buffer)
    return len(model.buffers) - 1


class _Builder(flatbuffers.Builder):
    """Aligns constants, as the schema requires and flatbuffers' writer does not, and writes equal vectors once."""

    def __init__(self) -> None:
        super().__init__(1 << 20)
        self._written: dict[tuple[str, bytes], int] = {}

    def StartVector(self, elemSize: int, numElems: int, alignment: int) -> int:  # noqa: N802, N803 - flatbuffers' names
        return super().StartVector(elemSize, numElems, _ALIGNMENT if elemSize == 1 else alignment)

    def CreateNumpyVector(self, x: np.ndarray) -> int:  # noqa: N802
        key = (x.dtype.str, x.tobytes())
        if key not in self._written:
            self._written[key] = super().CreateNumpyVector(x)
        return self._written[key]


def _unpacked(content: bytes) -> Any:
    return schema.ModelT.InitFromPackedBuf(content, 0)


def packed(model: Any) -> bytes:
    """The content of the file of a `schema.ModelT`."""
    builder = _Builder()
    builder.Finish(model.Pack(builder), file_identifier=_IDENTIFIER)
    return bytes(builder.Output())
