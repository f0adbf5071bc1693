"""The program itself, run by torch: the float column, and the fake-quant column (quantize/dequantize nodes as written)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch._export.serde.serialize  # what `torch.export.load` imports, in seconds: before `targets.isolated_host` forks
import torch.ao.quantization.fx._decomposed

from pose.card import Card, Precision
from pose.program import Program, graph_card
from targets.base import Artefact, LintFinding
from targets.common import OneByOneRunner, network_input

if TYPE_CHECKING:
    from torch.export import ExportedProgram


@contextlib.contextmanager
def on_threads(threads: int) -> Iterator[None]:
    """Let torch compute on that many threads within the block."""
    previous = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(previous)


class TorchRunner(OneByOneRunner):
    """The program's graph, in torch."""

    def __init__(self, program: ExportedProgram, card: Card, threads: int) -> None:
        super().__init__(card)
        self._module = program.module()
        self._threads = threads

    def predict(self, crops: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        with on_threads(self._threads):
            return super().predict(crops)

    @torch.no_grad()
    def predict_one(self, crop: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        coords, scores = self._module(torch.from_numpy(network_input(crop, self.card)))
        return coords.numpy(), scores.numpy()


def lower(program: Program, out: Path, precision: Precision = "int8") -> Artefact:
    """The program's own graph, where it lies: nothing is lowered, and nothing is written to `out`."""
    return Artefact(program.path(precision), program.card.model_copy(update={"precision": precision}))


def open(path: Path, threads: int = 1) -> TorchRunner:  # noqa: A001, named by the Target protocol
    """Open `student_fp32.pt2` or `student_int8.pt2` beside its program's card."""
    path = Path(path)
    card = graph_card(path)
    return TorchRunner(Program(path.parent, card).graph(card.precision or "int8"), card, threads)


def lint(program: ExportedProgram) -> list[LintFinding]:
    """Nothing: torch runs every graph that it exported."""
    return []
