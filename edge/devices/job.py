"""What the agent is told of an artefact, made of its card; and which files it can be told of at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from pose import card as cards
from pose.card import Card
from pose.errors import InputError
from pose.files import sha256

TOLERANCE_PX, TOLERANCE_SCORE = 0.5, 0.05  # of a device's answer to the golden crop, where the program is well conditioned
TARGETS = ("executorch", "tflite", "onnx", "tensorrt")


def card_of(artefact: Path) -> Card:
    """The card of an artefact that a device can run.

    Raises:
        InputError: it does not match its card, or nothing but a Mac or a phone's app runs it.
    """
    card = cards.read(cards.card_path(artefact))
    delegate = card.metrics.get("delegate")
    if card.target not in TARGETS:
        raise InputError(
            f"{artefact} is for {card.target}, which is evaluated here operator by operator: no device's agent runs it; "
            f"take one of {', '.join(TARGETS)}"
        )
    if "lowered" not in card.golden.expected:
        raise InputError(f"{artefact} needs the delegate {delegate} and never answered here: there is nothing to replay")
    card.verify(artefact)
    return card


def described(name: str, file: Path, remote: str, card: Card) -> dict[str, Any]:
    """One of the job's `artefacts`.

    Args:
        name: what the events call it.
        file: what was pushed, and `remote` where it lies there.
    """
    return {
        "name": name,
        "path": remote,
        "sha256": sha256(file),
        "target": card.target,
        **card.input.model_dump(mode="json", include={"shape", "layout", "dtype", "mean", "std"}),
        "golden": golden(card),
    }


def golden(card: Card) -> dict[str, Any]:
    """What an artefact has to answer to the golden crop, and how far off it may be; see `edge.agent.off_card`."""
    answer = card.golden.expected["lowered"]
    return {
        "crop": card.golden.crop,
        "coords": answer.coords,
        "scores": answer.scores,
        "tolerance_px": tolerance_px(card),
        "tolerance_score": TOLERANCE_SCORE,
    }


def tolerance_px(card: Card) -> float:
    """Pixels of the crop, median over the joints, by which a device may answer the golden crop otherwise than the host.

    The same kernels answer the same. Others round an activation to the next step here and there, and how far that carries
    the network tells itself: torch ran the same program, with kernels of its own, on the same crop.
    """
    lowered = card.golden.expected["lowered"]
    torch = card.golden.expected.get("int8" if card.precision == "int8" else "fp32", lowered)
    apart = (np.array(lowered.coords) - np.array(torch.coords)) * card.spec.size
    return TOLERANCE_PX + 2 * float(np.median(np.linalg.norm(apart, axis=-1)))


def runnable(artefact: Path, card: Card, architecture: str, folder: Path) -> Path:
    """The file that is run on a device of that architecture: the artefact, or what `targets.onnx` makes of it on x86.

    Args:
        folder: where another file is written to.
    """
    if card.target not in ("onnx", "tensorrt") or architecture not in ("x86_64", "AMD64", "amd64"):
        return artefact
    import onnx

    from targets.onnx.backend import unsigned

    changed = folder / artefact.name
    changed.write_bytes(unsigned(onnx.load(artefact)).SerializeToString())
    return changed
