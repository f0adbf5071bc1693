"""ONNX files of others: a graph is code, as a program's is (`pose.operators`), and names files besides."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from pose.errors import InputError

if TYPE_CHECKING:
    import onnx

_DOMAINS = ("", "ai.onnx", "ai.onnx.ml", "com.microsoft")  # their operators are part of ONNX Runtime


def require_plain(model: onnx.ModelProto, path: Path) -> None:
    """Raises InputError unless a file is one graph of the runtime's own operators, with all its data inside.

    Operators of other domains come from libraries. A loop or a branch, and a function that calls others ten times, make a
    small file run for ever or fill the memory. External data is read from whichever file is named.
    """
    for node in model.graph.node:
        if node.domain not in _DOMAINS:
            raise InputError(f"{path} is not opened: {node.domain}.{node.op_type} is an operator of another library")
        if any(attribute.HasField("g") or attribute.graphs for attribute in node.attribute):
            raise InputError(f"{path} is not opened: {node.op_type} holds a graph of its own, which a network does not need")
    if model.functions:
        raise InputError(f"{path} is not opened: it defines the function {model.functions[0].name}; export it inlined")
    for tensor in _tensors(model):
        if tensor.data_location == tensor.EXTERNAL or tensor.external_data:
            raise InputError(f"{path} is not opened: the data of {tensor.name} lies in another file; export it as one file")


def _tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    yield from model.graph.initializer
    for sparse in model.graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    for node in model.graph.node:
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors, attribute.sparse_tensor.values, attribute.sparse_tensor.indices)
