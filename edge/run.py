"""Open any artefact, or a program's own graphs, and find the keypoints of a person with it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edge.golden import open_replayed
from edge.predict.estimator import Estimator
from pose import card as cards
from pose.errors import InputError
from pose.program import CARD, graph_card, graph_name
from targets.base import Runner


def open(path: Path, threads: int = 1) -> Runner:  # noqa: A001 - read as edge.run.open
    """A runner of an artefact, of a program's `.pt2`, or of a program folder (its int8 graph), in a process of its own.

    Raises:
        InputError: there is no such file, it does not match its card, or it answers the golden crop otherwise.
        BackendError: its runtime is not installed, refuses it, or crashes on it.
    """
    path = Path(path)
    if (path / CARD).is_file():
        path = path / graph_name("int8")
    if not path.exists():
        raise InputError(f"no artefact {path}; make one with python -m edge.export")
    card = graph_card(path) if path.suffix == ".pt2" else cards.read(cards.card_path(path))
    return open_replayed(path, card, threads)


def keypoints(runner: Runner, image: np.ndarray, box: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Keypoints float64 [K, 2] in image pixels and scores float32 [K] of the person in `box` (x, y, width, height).

    Args:
        image: uint8 [H, W, 3], RGB.
    """
    poses = Estimator(runner)(image, box)
    return poses.keypoints[0], poses.scores[0]
