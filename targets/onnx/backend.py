"""ONNX with quantize/dequantize nodes, run here by ONNX Runtime: servers, Windows, and boards with Python.

The activations in the file are int8, like those of the program; kernels for ARM take int8. On x86 ONNX Runtime's kernels
take uint8, and it converts int8 to uint8 only where a tensor has one reader. `open` converts all of them, in memory: see
`targets.onnx.zero_points`.

Coverage: ONNX Runtime runs the whole graph, which makes one delegate and nothing outside. `delegated` counts the kernels of
the graph that it optimised on this machine; `QLinearConv`, `QGemm`, `MatMulIntegerToFloat` and the like compute in int8, and
`int8_ops` is their share. The shares of multiply-adds are those of the program.
"""

from __future__ import annotations

import platform
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnxruntime

from pose.card import Card, Coverage, Precision
from pose.errors import BackendError, InputError, one_line
from pose.onnx_graph import require_plain
from pose.program import Program
from targets.base import SPECS, Artefact, LintFinding
from targets.common import (
    OneByOneRunner,
    accepted,
    artefact_card,
    network_input,
    verified_card,
    write_artefact,
)
from targets.onnx import EXACT, INPUT, OUTPUTS
from targets.onnx.zero_points import for_x86

if TYPE_CHECKING:
    from torch.export import ExportedProgram

    from targets.graph import Arithmetic

_INT8_KERNELS = ("QLinearConv", "QGemm", "QLinearMatMul", "MatMulIntegerToFloat", "MatMulInteger", "ConvInteger")
_FLOAT_KERNELS = ("Conv", "FusedConv", "Gemm", "FusedGemm", "MatMul", "FusedMatMul")

_models: dict[tuple[str, bool], onnx.ModelProto] = {}


class OnnxRunner(OneByOneRunner):
    """An opened `.onnx`."""

    def __init__(self, session: onnxruntime.InferenceSession, card: Card) -> None:
        super().__init__(card)
        self._session = session

    def predict_one(self, crop: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        try:
            coords, scores = self._session.run(OUTPUTS, {INPUT: network_input(crop, self.card)})
        except Exception as error:  # onnxruntime's exceptions have no common base class
            raise BackendError(f"ONNX Runtime failed on {self.card.student}: {one_line(error)}") from error
        return coords, scores


def lower(program: Program, out: Path, precision: Precision = "int8") -> Artefact:
    """Write one graph as one file `<student>-onnx-<precision>.onnx`, run its golden crop, and write its card."""
    return write(program, out, precision, "onnx", _coverage, lint)


def open(path: Path, threads: int = 1) -> OnnxRunner:  # noqa: A001, named by the Target protocol
    """Open an `.onnx` beside its card, on that many threads."""
    return open_for("onnx", path, threads)


def lint(program: ExportedProgram) -> list[LintFinding]:
    """Quantization that costs accuracy. (An operator that ONNX lacks stops the lowering.)"""
    from targets.graph import quantization_findings

    return quantization_findings(program)


def write(
    program: Program,
    out: Path,
    precision: Precision,
    target: str,
    coverage: Callable[[onnx.ModelProto, Arithmetic], Coverage],
    lint: Callable[[ExportedProgram], list[LintFinding]],
) -> Artefact:
    """Write `<student>-<target>-<precision>.onnx` and its card, for any target that reads ONNX: the same model for each.

    Args:
        coverage: computes the card's coverage of the model and the arithmetic of its program.
        lint: that of the target.
    """
    from targets.graph import arithmetic

    graph = program.graph(precision)
    share, findings = arithmetic(graph), accepted(lint(graph), program, target)
    model = _model(graph, program.card.files[program.path(precision).name], precision == "fp16", target)
    path = Path(out) / SPECS[target].file_name(program.card.student, precision)
    card = artefact_card(program, target, precision, None, findings)
    return write_artefact(
        path,
        model.SerializeToString(),
        card,
        lambda _, card: OnnxRunner(session(model, path), card),
        coverage=lambda: coverage(model, share),
    )


def _model(graph: ExportedProgram, digest: str, half: bool, target: str) -> onnx.ModelProto:
    """`qdq_model`, or the model that it made of the same file for another target before.

    Raises:
        BackendError: the exporter is not installed, which opening an artefact does not need.
    """
    try:
        from targets.onnx.qdq import qdq_model
    except ModuleNotFoundError as error:
        raise SPECS[target].not_installed(error.name) from error
    key = digest, half
    if key not in _models:
        while len(_models) > 1:  # keep two: a float one and an int8 one
            del _models[next(iter(_models))]
        _models[key] = qdq_model(graph, half)
    return _models[key]


def open_for(target: str, path: Path, threads: int) -> OnnxRunner:
    """Open an artefact that `write` made for that target.

    Raises:
        InputError: the artefact or its card is missing, damaged or belongs to another target.
        BackendError: ONNX Runtime refuses the file.
    """
    path = Path(path)
    card = verified_card(path, target)
    try:
        model = onnx.load(path, load_external_data=False)
    except Exception as error:  # protobuf's DecodeError, of whichever protobuf is installed
        raise BackendError(f"{path} is not an ONNX file: {one_line(error)}") from error
    require_plain(model, path)
    opened = session(model, path, threads)
    inputs, outputs = opened.get_inputs(), opened.get_outputs()
    if [value.name for value in (*inputs, *outputs)] != [INPUT, *OUTPUTS]:
        names = [[value.name for value in values] for values in (inputs, outputs)]
        raise InputError(f"{path} maps {names[0]} to {names[1]}, which is not what its card says; export it again")
    card.require_interface(
        path, *([(_dtype(value), tuple(value.shape)) for value in values] for values in (inputs, outputs))
    )
    return OnnxRunner(opened, card)


def _dtype(value: onnxruntime.NodeArg) -> str:
    """The name in numpy of a type such as `tensor(float)`."""
    name = str(value.type).removeprefix("tensor(").removesuffix(")")
    return {"float": "float32", "double": "float64"}.get(name, name)


def session(
    model: onnx.ModelProto, path: Path, threads: int = 1, *, optimised: Path | None = None, profile: Path | None = None
) -> onnxruntime.InferenceSession:
    """A session of ONNX Runtime.

    Args:
        path: for messages.
        optimised: where the graph is written that it optimised.
        profile: prefix of the file that its profiler writes.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors only: it warns about its own rewrites
    options.add_session_config_entry(*EXACT)
    if optimised is not None:
        options.optimized_model_filepath = str(optimised)
    if profile is not None:
        options.enable_profiling, options.profile_file_prefix = True, str(profile)
    if platform.machine().lower() in ("x86_64", "amd64"):
        model = for_x86(model)
    try:
        return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's exceptions have no common base class
        raise BackendError(f"ONNX Runtime refuses {path}: {one_line(error)}") from error


def _coverage(model: onnx.ModelProto, share: Arithmetic) -> Coverage:
    with tempfile.TemporaryDirectory() as folder:
        optimised = Path(folder) / "optimised.onnx"
        session(model, optimised, optimised=optimised)
        kernels = Counter(node.op_type for node in onnx.load(optimised).graph.node)
    int8 = sum(kernels[name] for name in _INT8_KERNELS)
    weighted = int8 + sum(kernels[name] for name in _FLOAT_KERNELS)
    return Coverage(
        delegates=1,
        delegated=dict(kernels.most_common()),
        undelegated={},
        undelegated_nodes=[],
        int8_ops=int8 / max(weighted, 1),
        int8_macs=share.int8_macs,
        float_matmul_macs=share.float_matmul_macs,
    )
