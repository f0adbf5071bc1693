"""ExecuTorch with the XNNPACK delegate: `.pte` for phones and ARM boards, run here by the same runtime.

The delegates of Core ML and Vulkan are compiled here and run elsewhere: such a card says so, and records no answer.

Threads: XNNPACK has one thread pool for the whole process, and replacing it would break an open artefact: `open` refuses
another number of threads while a runner is alive.

Softmax and the two matrix products of attention run in float: XNNPACK's static int8 has neither.
"""

from __future__ import annotations

import warnings
from collections import Counter
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

import executorch.extension.pybindings.portable_lib as runtime
import numpy as np
import torch

from pose.card import Card, Coverage, Precision, TensorType
from pose.errors import BackendError, InputError, one_line
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
from targets.executorch import SPEC
from targets.executorch.graph import for_xnnpack
from targets.graph import Arithmetic, arithmetic, halved, quantization_findings
from targets.patches import share_node_histories

if TYPE_CHECKING:
    from executorch.exir import EdgeProgramManager
    from torch.export import ExportedProgram

_COSTLY = {
    "aten.layer_norm.default": "LayerNorm becomes eight float operators; use batch norm, which folds away",
    "aten.expand.default": "expand becomes a copy outside the delegate",
    "aten.matmul.default": "matmul of rank 4 becomes expand + bmm and splits the graph; use bmm of rank 3",
}
_DTYPES = {0: "uint8", 1: "int8", 5: "float16", 6: "float32", 7: "float64"}  # of ExecuTorch's ScalarType
_STEM = 2  # the first convolutions of the network
_BOOKKEEPING = ("executorch_call_delegate", "getitem", "alloc")  # nodes that compute nothing


class ExecuTorchRunner(OneByOneRunner):
    """An opened `.pte`."""

    def __init__(self, module: Any, card: Card) -> None:
        super().__init__(card)
        self._module = module

    def predict_one(self, crop: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        try:
            coords, scores = self._module.forward([torch.from_numpy(network_input(crop, self.card))])
        except RuntimeError as error:
            raise BackendError(f"ExecuTorch failed on {self.card.student}: {one_line(error)}") from error
        return coords.numpy().copy(), scores.numpy().copy()  # the runtime reuses its memory


_alive: WeakSet[ExecuTorchRunner] = WeakSet()


def lower(program: Program, out: Path, precision: Precision = "int8", *, delegate: str = "xnnpack") -> Artefact:
    """Lower one graph to `<student>-executorch-<precision>.pte`, run its golden crop, and write its card.

    Args:
        delegate: one other than XNNPACK is part of the file's name, and the file is not run here.

    Raises:
        InputError: no such delegate.
        BackendError: ExecuTorch or what the delegate needs is not installed, or failed.
    """
    SPEC.check_option("delegate", delegate)
    graph = program.graph(precision)
    findings = accepted(lint(graph), program, "executorch")
    if precision == "fp16":
        stays_float = partial(_stays_float, modules=tuple(program.card.float_modules))
        graph = halved(graph, stays_float) if delegate == "xnnpack" else halved(graph)
    share = arithmetic(graph, int8_products=False)  # of the network, before a norm becomes linears
    if precision != "fp16" and delegate == "xnnpack":
        for_xnnpack(graph)
    path = Path(out) / SPEC.file_name(program.card.student, precision, {"delegate": delegate})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of executorch, about pytree
        edge, buffer = lower_graph(graph, delegate)
    card = artefact_card(program, "executorch", precision, _coverage(edge, share), findings)
    if delegate == "xnnpack":
        return write_artefact(path, buffer, card, lambda file, card: ExecuTorchRunner(_load(file), card))
    card = card.model_copy(update={"metrics": {**card.metrics, "delegate": delegate, "lowered": "not run here"}})
    return write_artefact(path, buffer, card, None)


def open(path: Path, threads: int = 1) -> ExecuTorchRunner:  # noqa: A001, named by the Target protocol
    """Open a `.pte` beside its card, on that many threads."""
    path = Path(path)
    card = verified_card(path, "executorch")
    delegate = card.metrics.get("delegate", "xnnpack")
    if delegate != "xnnpack":
        raise BackendError(f"{path} needs a runtime with the delegate {delegate}; it is not run here")
    current = runtime._threadpool_get_thread_count()
    if current != threads:
        if len(_alive) > 0:
            raise InputError(
                f"an artefact is open on {current} threads and ExecuTorch has one pool: close it before opening on {threads}"
            )
        runtime._unsafe_reset_threadpool(threads)
    module = _load(path)
    _require_forward(module, path, card)
    runner = ExecuTorchRunner(module, card)
    _alive.add(runner)
    return runner


def lint(program: ExportedProgram) -> list[LintFinding]:
    """Operators that become several or split the XNNPACK delegate, and quantization that costs accuracy."""
    costly = [
        LintFinding("warning", node.name, _COSTLY[str(node.target)])
        for node in program.graph.nodes
        if str(node.target) in _COSTLY
    ]
    return costly + quantization_findings(program)


def _stays_float(node: Any, modules: tuple[str, ...]) -> bool:
    """Whether an operator of an fp16 artefact stays float32: those of the stem and of `modules`.

    XNNPACK accumulates in float16, and the stem adds up large products that cancel each other.
    """
    stem = node.graph.find_nodes(op="call_function", target=torch.ops.aten.conv2d.default)[:_STEM]
    weight = str(node.all_input_nodes[1].target) if len(node.all_input_nodes) > 1 else ""
    return node in stem or weight.removeprefix("student.").startswith(tuple(f"{module}." for module in modules))


def lower_graph(graph: ExportedProgram, delegate: str) -> tuple[EdgeProgramManager, bytes]:
    """What a delegate took of a graph, and the content of its `.pte`.

    Raises:
        BackendError: ExecuTorch fails, or what the delegate needs is not installed.
    """
    from executorch.exir import to_edge_transform_and_lower

    partitioner = _partitioner(delegate)
    try:
        with share_node_histories():
            edge = to_edge_transform_and_lower(graph, partitioner=[partitioner])
            return edge, edge.to_executorch().buffer
    except Exception as error:  # executorch raises its own types, assertions, and whatever stops a pass
        raise BackendError(f"ExecuTorch cannot lower the program: {one_line(error, 200)}") from error


def _partitioner(delegate: str) -> Any:
    try:
        if delegate == "xnnpack":
            from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner

            return XnnpackPartitioner()
        if delegate == "vulkan":
            from executorch.backends.vulkan.partitioner.vulkan_partitioner import VulkanPartitioner

            return VulkanPartitioner()
        import coremltools as ct
        from executorch.backends.apple.coreml.compiler import CoreMLBackend
        from executorch.backends.apple.coreml.partition import CoreMLPartitioner

        specs = CoreMLBackend.generate_compile_specs(minimum_deployment_target=ct.target.iOS17)
        return CoreMLPartitioner(compile_specs=specs)
    except ModuleNotFoundError as error:
        missing = f"the delegate {delegate} needs {error.name}"
        raise BackendError(f"{missing}; pip install 'distilpose-edge[executorch,coreml]'") from error


def _load(path: Path) -> Any:
    try:
        return runtime._load_for_executorch(str(path))
    except RuntimeError as error:
        raise BackendError(f"ExecuTorch refuses {path}: {one_line(error)}") from error


def _require_forward(module: Any, path: Path, card: Card) -> None:
    """Raises InputError unless a `.pte` has one method, of the card's shapes."""
    if (names := module.method_names()) != ["forward"]:
        raise InputError(f"{path} has the methods {', '.join(map(str, names))}, not forward alone; export it again")
    method = module.method_meta("forward")
    inputs = [_type(method.input_tensor_meta(number)) for number in range(method.num_inputs())]
    outputs = [_type(method.output_tensor_meta(number)) for number in range(method.num_outputs())]
    card.require_interface(path, inputs, outputs)


def _type(meta: Any) -> TensorType:
    return _DTYPES.get(meta.dtype(), f"type {meta.dtype()}"), tuple(meta.sizes())


def _coverage(edge: EdgeProgramManager, share: Arithmetic) -> Coverage:
    from executorch.exir.lowered_backend_module import LoweredBackendModule

    top = edge.exported_program().graph_module
    delegates = [module for module in top.modules() if isinstance(module, LoweredBackendModule)]
    inside = Counter(
        _operator(node) for delegate in delegates for node in delegate.original_module.graph.nodes if _computes(node)
    )
    outside = [node for node in top.graph.nodes if _computes(node)]
    return Coverage(
        delegates=len(delegates),
        delegated=dict(inside.most_common()),
        undelegated=dict(Counter(map(_operator, outside)).most_common()),
        undelegated_nodes=[node.name for node in outside],
        int8_ops=share.int8_ops,
        int8_macs=share.int8_macs,
        float_matmul_macs=share.float_matmul_macs,
    )


def _computes(node: Any) -> bool:
    return node.op == "call_function" and _operator(node) not in _BOOKKEEPING


def _operator(node: Any) -> str:
    """`aten.convolution.default` as `convolution`."""
    name = getattr(node.target, "__name__", str(node.target))
    return name.removeprefix("aten.").removeprefix("dim_order_ops.").split(".")[0]
