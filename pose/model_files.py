"""The files that a model consists of."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from pose.files import sha256

if TYPE_CHECKING:
    from onnx import GraphProto, TensorProto


def model_digest(path: Path) -> str:
    """sha256 of a model: of its file, or of the digests of all its files."""
    digests = [sha256(file) for file in model_files(path)]
    return digests[0] if len(digests) == 1 else hashlib.sha256(" ".join(digests).encode()).hexdigest()


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
