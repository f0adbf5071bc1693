"""The files that a model consists of."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onnx import GraphProto, TensorProto


def model_files(path: Path) -> list[Path]:
    """The model file, and the files beside it that hold the weights of an ONNX graph with external data, in name's order."""
    if path.suffix != ".onnx":
        return [path]
    import onnx
    from onnx.external_data_helper import ExternalDataInfo, uses_external_data

    graph = onnx.load(path, load_external_data=False).graph
    names = {ExternalDataInfo(tensor).location for tensor in _tensors(graph) if uses_external_data(tensor)}
    return [path, *(path.parent / name for name in sorted(names))]


def _tensors(graph: GraphProto) -> Iterator[TensorProto]:
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            for inner in (attribute.g, *attribute.graphs):
                yield from _tensors(inner)
