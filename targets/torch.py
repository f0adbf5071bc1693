"""The program itself, run by torch: the float column, and the fake-quant column (quantize/dequantize nodes as written)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from pose.card import Card, Precision
from pose.errors import InputError
from pose.program import Program, load_program
from targets.base import Artefact, Finding, one_by_one

if TYPE_CHECKING:
    from torch.export import ExportedProgram


@contextlib.contextmanager
def on_threads(threads: int) -> Iterator[None]:
    """Torch computes on that many threads, then on as many as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class TorchRunner:
    """See `targets.base.Runner`."""

    def __init__(self, program: ExportedProgram, card: Card, threads: int) -> None:
        self.card = card
        self._module = program.module()
        self._threads = threads

    def run(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        with on_threads(self._threads):
            return one_by_one(self._run_one, images, self.card)

    @torch.no_grad()
    def _run_one(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        coords, scores = self._module(torch.from_numpy(np.ascontiguousarray(image)))
        return coords.numpy(), scores.numpy()


def lower(program: Program, out: Path, precision: Precision = "int8") -> Artefact:
    """Nothing to lower: the artefact is the program's own graph, where it lies; `out` is not written to."""
    return Artefact(program.path(precision), program.card.model_copy(update={"precision": precision}))


def open(path: Path, threads: int = 1) -> TorchRunner:  # noqa: A001, named by the Target protocol
    """Open `student_fp32.pt2` or `student_int8.pt2` beside its program's card."""
    path = Path(path)
    program = load_program(path.parent)
    for precision in ("fp32", "int8"):
        if path.name == program.path(precision).name:
            return TorchRunner(program.graph(precision), program.card.model_copy(update={"precision": precision}), threads)
    raise InputError(f"{path}: a program's graphs are called student_fp32.pt2 and student_int8.pt2")


def lint(program: ExportedProgram) -> list[Finding]:
    """Torch runs all that it exports."""
    return []
