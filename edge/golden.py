"""The golden crop of a card, replayed: what answers it otherwise is of another model, or takes another input."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edge import agent
from pose.card import Card, Role
from pose.errors import InputError
from targets.base import Runner
from targets.isolated import open_isolated

TOLERANCE_PX, TOLERANCE_SCORE = 0.5, 0.05  # of the answer to the golden crop, for a program that is well conditioned


def open_replayed(path: Path, card: Card, threads: int = 1) -> Runner:
    """A runner, in a process of its own, of an artefact or a program's graph that answers the golden crop as its card does.

    A mean, std or order of colours that is not that of the export shows in the answer alone, where the host normalises.

    Raises:
        InputError: it does not match its card, or answers otherwise.
        BackendError: its runtime is not installed, refuses it, or crashes on it.
    """
    runner = open_isolated(path, card, threads)
    role: Role = "lowered" if path.suffix != ".pt2" else "fp32" if card.precision == "fp32" else "int8"
    if role in card.golden.expected:
        coords, scores = runner.predict(card.golden.pixels(card.spec.width, card.spec.height)[None])
        try:
            agent.golden_error(str(path), coords, scores, golden(card, role), np.array(card.spec.size, np.float32))
        except agent.JobError as error:
            raise InputError(f"{error}; export it again") from error
    return runner


def golden(card: Card, role: Role = "lowered") -> agent.Golden:
    """The golden crop, the answer in that role of the card and by how much another machine may differ from it.

    See `edge.agent.golden_error`.
    """
    answer = card.golden.expected[role]
    return {
        "crop": card.golden.crop,
        "coords": answer.coords,
        "scores": answer.scores,
        "tolerance_px": tolerance_px(card, role),
        "tolerance_score": TOLERANCE_SCORE,
    }


def tolerance_px(card: Card, role: Role = "lowered") -> float:
    """Pixels of the crop, median over the joints, by which an answer to the golden crop may differ from the card's.

    The same kernels give the same answer. Other kernels round some activations to the next step, and the network decides how
    far that shifts its keypoints. The card shows it: of an artefact, torch ran the same program, with kernels of its own, on
    the same crop; of the int8 program in torch, the float one did.
    """
    answer = card.golden.expected[role]
    torch = card.golden.expected.get("int8" if role == "lowered" and card.precision == "int8" else "fp32", answer)
    apart = (np.array(answer.coords) - np.array(torch.coords)) * card.spec.size
    return TOLERANCE_PX + 2 * float(np.median(np.linalg.norm(apart, axis=-1)))
