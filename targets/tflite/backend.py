"""LiteRT (TensorFlow Lite): `.tflite` through litert-torch for phones and boards, run here by ai-edge-litert with XNNPACK.

The file takes NHWC: uint8, the bytes of a camera image, or float32, normalised by the card's mean and std
(`lower(..., input="float32")`). tflite-runtime 2.14 runs it, too.

Softmax, LayerNorm and the matrix products of attention run in float, as in the program; LayerNorm becomes a dozen operators.
fp16: the weights are float16 in the file, and the runtime chooses in which type it computes with them; here it is float32.

A program of the scheme `integer` is read by NPUs, which compute nothing in float: its bytes are normalised in int8, too.

GELU between int8 tensors becomes one int8 operator, which XNNPACK leaves to the built-in kernels: each one splits the
delegate.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from pose.card import Card, Coverage, Input, Precision, TensorType
from pose.errors import BackendError, InputError, one_line
from pose.files import LARGEST, read_bytes
from pose.program import Program
from targets.base import Artefact, LintFinding
from targets.common import (
    OneByOneRunner,
    accepted,
    artefact_card,
    network_input,
    verified_card,
    write_artefact,
)
from targets.tflite import SPEC, flatbuffer

if TYPE_CHECKING:
    from torch.export import ExportedProgram

_GELU = "aten.gelu.default"
_COSTLY = {
    "aten.layer_norm.default": "LayerNorm becomes a dozen float operators; use batch norm, which folds away",
    _GELU: "GELU in int8 is not delegated: it splits the graph; use ReLU",
    "aten.matmul.default": "matmul of rank 4 is broadcast first; use bmm of rank 3",
    "aten.expand.default": "expand becomes a copy",
}


class TFLiteRunner(OneByOneRunner):
    """An opened `.tflite`."""

    def __init__(self, path: Path, card: Card, threads: int) -> None:
        super().__init__(card)
        self._interpreter = _open(path, threads)
        self._input = self._interpreter.get_input_details()[0]["index"]
        outputs = {output["name"]: output["index"] for output in self._interpreter.get_output_details()}
        if missing := {"coords", "scores"} - set(outputs):
            raise InputError(f"{path} has no output {' and no '.join(sorted(missing))}; export it again")
        self._outputs = [outputs[name] for name in ("coords", "scores")]

    def interface(self) -> tuple[list[TensorType], list[TensorType]]:
        """Types of every input, and of coords and scores."""
        details = {output["index"]: output for output in self._interpreter.get_output_details()}
        inputs, outputs = self._interpreter.get_input_details(), [details[index] for index in self._outputs]
        return [_type(one) for one in inputs], [_type(one) for one in outputs]

    def predict_one(self, crop: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if self.card.input.dtype == "uint8":
            nhwc = self.card.spec.in_channel_order(crop)[None]
        else:
            nhwc = network_input(crop, self.card).transpose(0, 2, 3, 1)
        try:
            self._interpreter.set_tensor(self._input, np.ascontiguousarray(nhwc))
            self._interpreter.invoke()
        except (RuntimeError, ValueError) as error:
            raise BackendError(f"LiteRT failed on {self.card.student}: {one_line(error)}") from error
        coords, scores = (self._interpreter.get_tensor(index) for index in self._outputs)
        return coords, scores


def lower(
    program: Program,
    out: Path,
    precision: Precision = "int8",
    *,
    input: str = "uint8",  # noqa: A002 - `--input` of the command
) -> Artefact:
    """Lower one graph to `<student>-tflite-<precision>.tflite`, run its golden crop, and write its card.

    Args:
        input: type of the file's input; see the module. A file that takes float32 says so in its name.

    Raises:
        InputError: no such type of input.
        BackendError: litert-torch is not installed, or failed.
    """
    SPEC.check_option("input", input)
    input_spec = program.card.input.model_copy(update={"layout": "NHWC", "dtype": input})
    graph = program.graph(precision)
    findings = accepted(lint(graph), program, "tflite")
    integer = precision == "int8" and program.card.scheme == "integer"
    content = flatbuffer.with_input(_convert(graph, input_spec, precision), input_spec, integer)
    if precision == "fp16":
        content = flatbuffer.with_float16_weights(content)
    path = Path(out) / SPEC.file_name(program.card.student, precision, {"input": input})
    card = artefact_card(program, "tflite", precision, _coverage(path, content), findings)
    card = card.model_copy(update={"input": input_spec})
    return write_artefact(path, content, card, lambda file, card: TFLiteRunner(file, card, threads=1))


def open(path: Path, threads: int = 1) -> TFLiteRunner:  # noqa: A001, named by the Target protocol
    """Open a `.tflite` beside its card, on that many threads."""
    path = Path(path)
    card = verified_card(path, "tflite")
    flatbuffer.require_plain(read_bytes(path, LARGEST), path)
    runner = TFLiteRunner(path, card, threads)
    card.require_interface(path, *runner.interface())
    return runner


def lint(program: ExportedProgram) -> list[LintFinding]:
    """Operators that become several or copy their input, and quantization that costs accuracy."""
    from targets.graph import quantization_findings

    costly = [
        LintFinding("warning", node.name, _COSTLY[str(node.target)])
        for node in program.graph.nodes
        if str(node.target) in _COSTLY and (str(node.target) != _GELU or "dequantize" in str(node.args[0].target))
    ]
    return costly + quantization_findings(program)


def _convert(graph: ExportedProgram, input_spec: Input, precision: Precision) -> bytes:
    _, _, height, width = input_spec.shape
    try:
        from targets.tflite.graph import convert

        return convert(graph, height, width, quantized=precision == "int8")
    except ModuleNotFoundError as error:
        raise SPEC.not_installed(error.name) from error
    except Exception as error:  # of torch, MLIR, and whatever stops a pass
        raise BackendError(f"litert-torch cannot lower the program: {one_line(error, 200)}") from error


def _type(details: dict[str, Any]) -> TensorType:
    return np.dtype(details["dtype"]).name, tuple(map(int, details["shape"]))


def _open(path: Path, threads: int, content: bytes | None = None) -> Any:
    try:
        interpreter = Interpreter(None if content else str(path), model_content=content, num_threads=threads)
        interpreter.allocate_tensors()
    except (RuntimeError, ValueError) as error:
        raise BackendError(f"LiteRT refuses {path}: {one_line(error)}") from error
    return interpreter


def _coverage(path: Path, content: bytes) -> Coverage:
    """The file's operators, and which of them XNNPACK runs in the ai-edge-litert of this machine.

    The interpreter lists the file's operators, and after them one node a delegate, of which it says inputs and outputs only:
    the operators between those are the delegated ones.
    """
    nodes = _open(path, 1, content)._get_ops_details()
    tensors, operators = flatbuffer.read(content)
    delegates = nodes[len(operators) :]
    makers = {output: operator for operator in operators for output in operator.outputs}
    inside: set[int] = set()  # operators, by their first output
    for delegate in delegates:
        inputs, tensors_to_visit = set(map(int, delegate["inputs"])), list(map(int, delegate["outputs"]))
        while tensors_to_visit:
            maker = makers.get(tensors_to_visit.pop())
            if maker is not None and maker.outputs[0] not in inside | inputs:
                inside.add(maker.outputs[0])
                tensors_to_visit += maker.inputs
    outside = [operator for operator in operators if operator.outputs[0] not in inside]
    computing = [operator for operator in operators if operator.macs]
    weighted = sum(operator.macs for operator in computing if not operator.is_product)
    int8 = sum(operator.macs for operator in computing if not operator.is_product and operator.is_int8)
    products = sum(operator.macs for operator in computing if operator.is_product and not operator.is_int8)
    return Coverage(
        delegates=len(delegates),
        delegated=_count(tensors, [operator for operator in operators if operator.outputs[0] in inside]),
        undelegated=_count(tensors, outside),
        undelegated_nodes=[tensors[operator.outputs[0]].name for operator in outside],
        int8_ops=sum(operator.is_int8 for operator in computing) / max(len(computing), 1),
        int8_macs=int8 / max(weighted, 1),
        float_matmul_macs=products / max(sum(operator.macs for operator in computing), 1),
    )


def _count(tensors: list[flatbuffer.Tensor], operators: list[flatbuffer.Operator]) -> dict[str, int]:
    return dict(Counter(operator.label(tensors) for operator in operators).most_common())
