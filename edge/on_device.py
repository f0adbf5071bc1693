"""An artefact's answers to the host's crops, from the devices: the column 'on device' of `edge.check`."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from edge.devices import job as jobs
from edge.devices.base import Device
from edge.devices.parallel import together
from edge.devices.session import Session
from edge.score import Answers
from pose.card import Card
from pose.errors import BackendError, InputError, UserError
from pose.files import sha256

START, EACH = 300.0, 30.0  # seconds for a job to begin, and for one crop: an emulated board takes that long


def answers(
    devices: Sequence[Device], artefacts: Sequence[Path], crops: Sequence[np.ndarray], threads: int = 1
) -> list[list[Answers | str]]:
    """Of each device, of each artefact: the answers to all crops, or the line that says why there are none.

    Raises:
        InputError: no device runs an artefact of that kind, or it does not match its card.
    """
    cards = [card_of(artefact) for artefact in artefacts]
    if not devices:
        return []
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "crops.npy"
        np.save(file, np.stack(crops))

        def ask(device: Device, stopped: Callable[[], bool]) -> list[Answers | str]:
            session = Session(device, threads, (), stopped)
            found: list[Answers | str] = []
            for artefact, card in zip(artefacts, cards, strict=True):
                try:
                    if not session.facts:
                        session.open()
                    found.append(_answer(session, artefact, card, file, len(crops)))
                except UserError as error:
                    found.append(str(error))
            return found

        return together([partial(ask, device) for device in devices])


def card_of(artefact: Path) -> Card:
    """The card of an artefact whose answers a device can be asked for.

    Raises:
        InputError: no agent runs it.
    """
    card = jobs.card_of(artefact)
    if card.target == "tensorrt":
        raise InputError(
            f"{artefact}: no answers are collected from TensorRT; its engine replays the golden crop in edge.bench"
        )
    return card


def takes(artefact: Path) -> bool:
    """Whether a device can be asked for this artefact's answers."""
    try:
        card_of(artefact)
    except InputError:
        return False
    return True


def _answer(session: Session, artefact: Path, card: Card, file: Path, count: int) -> Answers:
    told = session.push("int8", artefact, card)
    crops = session.again(lambda: session.device.push(file, sha256(file)))
    remote = f"{crops.rpartition('/')[0]}/{told['sha256'][:16]}.npz"
    job = {"job": "infer", "artefacts": [told], "crops": crops, "answers": remote}
    session.again(lambda: list(session.run(job, START + EACH * count)))
    local = file.with_name(f"{id(session)}.npz")
    session.again(lambda: session.device.pull(remote, local))
    with np.load(local, allow_pickle=False) as arrays:
        coords, scores = arrays["coords"].astype(np.float64), arrays["scores"].astype(np.float64)
    keypoints = card.outputs[0].shape[1]
    if coords.shape != (count, keypoints, 2) or scores.shape != (count, keypoints):
        raise BackendError(f"{session.device.name}: {artefact.name} answered {coords.shape} to {count} crops; run it again")
    return Answers(coords, scores)
