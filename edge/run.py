"""Open any artefact, or a program's own graphs, and find the keypoints of a person with it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pose import cli, crop
from pose.errors import InputError
from pose.program import CARD, graph_name
from targets.base import Runner, open_artefact


def open(path: Path, threads: int = 1) -> Runner:  # noqa: A001 - read as edge.run.open
    """A runner of an artefact, of a program's `.pt2`, or of a program folder (its int8 graph).

    Raises:
        InputError: there is no such file, or it does not match its card.
        BackendError: its runtime is not installed, or refuses it.
    """
    path = Path(path)
    if (path / CARD).is_file():
        path = path / graph_name("int8")
    if not path.exists():
        raise InputError(f"no artefact {path}; make one with python -m edge.export")
    with cli.quiet():  # ExecuTorch reports on the processor
        return open_artefact(path, threads)


def keypoints(runner: Runner, image: np.ndarray, box: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Keypoints float64 [K, 2] in image pixels and scores float32 [K] of the person in `box` (x, y, width, height).

    Args:
        image: uint8 [H, W, 3], RGB.
    """
    spec = runner.card.spec
    matrix = crop.affine(box, spec)
    coords, scores = runner.predict(crop.warp(image, matrix, spec)[None])
    return crop.to_image(coords[0].astype(np.float64), matrix, spec), scores[0]
