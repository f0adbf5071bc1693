"""The agent's jobs, made from the cards of artefacts, and which artefacts an agent can run."""

from __future__ import annotations

from pathlib import Path

from edge import agent
from edge.dist import Artefact
from edge.golden import golden
from pose.card import Card
from pose.errors import InputError
from pose.files import sha256
from targets.base import SPECS, get_spec

X86 = ("x86_64", "AMD64", "amd64")


def device_targets() -> tuple[str, ...]:
    """The targets whose artefacts run on devices, through the agent."""
    return tuple(name for name, spec in SPECS.items() if spec.runtime in agent.OPENERS)


def runtime_of(card: Card) -> str | None:
    """Key of the agent's opener for an artefact; None where no agent runs it."""
    return SPECS[card.target].runtime if card.target in device_targets() else None


def device_tool(card: Card) -> str | None:
    """The program that builds and times an artefact in the agent's place, on a device that has it; see `TargetSpec`."""
    spec = SPECS.get(card.target)
    return spec.device_tool if spec else None


def require_runnable(artefact: Artefact) -> Card:
    """The card of an artefact that a device can run.

    Raises:
        InputError: it does not match its card, or no device's agent runs it.
    """
    card = artefact.card
    if runtime_of(card) is None:
        raise InputError(
            f"{artefact.path} is for {card.target}, whose TargetSpec names no runtime of edge/agent.py: no device's agent "
            f"runs it; take one of {', '.join(device_targets())}"
        )
    if not artefact.answered_here:
        delegate = card.metrics.get("delegate")
        raise InputError(
            f"{artefact.path} needs the delegate {delegate} and never answered here: there is nothing to replay"
        )
    if card.queries:
        raise InputError(
            f"{artefact.path}: devices run networks that predict joints, and {card.student} predicts queries: check it on "
            "this host"
        )
    card.verify_artefact(artefact.path)
    return card


def artefact_job(name: str, file: Path, remote: str, card: Card) -> agent.ArtefactJob:
    """One of the artefacts of a job.

    Args:
        name: the artefact's name in the events.
        file: what was pushed, and `remote` its path on the device.
    """
    _, channels, height, width = card.input.shape
    return {
        "name": name,
        "path": remote,
        "sha256": sha256(file),
        "runtime": runtime_of(card) or "",
        "shape": [card.input.shape[0], channels, height, width],
        "layout": card.input.layout,
        "dtype": card.input.dtype,
        "colour": card.input.colour,
        "mean": list(card.input.mean),
        "std": list(card.input.std),
        "golden": golden(card),
    }


def runnable_file(artefact: Path, card: Card, architecture: str, folder: Path) -> Path:
    """The file to run on a device of that architecture: the artefact, or what the ONNX backend makes of it for x86.

    Args:
        folder: where another file is written to.

    Raises:
        BackendError: the ONNX backend is not installed.
    """
    if artefact.suffix != ".onnx" or architecture not in X86:
        return artefact
    try:
        import onnx

        from targets.onnx.zero_points import for_x86
    except ModuleNotFoundError as error:
        raise get_spec(card.target).not_installed(error.name) from error
    changed = folder / artefact.name
    changed.write_bytes(for_x86(onnx.load(artefact)).SerializeToString())
    return changed
