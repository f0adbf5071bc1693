"""An artefact's answers to the host's crops, from devices: the column 'on device' of `edge.check`."""

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
from edge.dist import Artefact
from edge.evaluate.answers import Answers, require_finite
from pose.card import Card
from pose.errors import BackendError, InputError, UserError
from pose.files import sha256

START, ONE_CROP = 300.0, 30.0  # seconds for a job to begin, and for one crop on an emulated board


def collect(
    devices: Sequence[Device], artefacts: Sequence[Artefact], crops: Sequence[np.ndarray], threads: int = 1
) -> list[list[Answers | str]]:
    """Of each device, of each artefact: the answers to all crops, or one line with the reason why there are none.

    Raises:
        InputError: no device runs an artefact of that target, or it does not match its card.
    """
    cards = [require_answerable(artefact) for artefact in artefacts]
    if not devices:
        return []
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "crops.npy"
        np.save(file, np.stack(crops))

        def answers_of(device: Device, stopped: Callable[[], bool]) -> list[Answers | str]:
            session = Session(device, threads, (), stopped)
            answers: list[Answers | str] = []
            for artefact, card in zip(artefacts, cards, strict=True):
                try:
                    if not session.is_open:
                        session.open()
                    answers.append(_answers(session, artefact.path, card, file, len(crops)))
                except UserError as error:
                    answers.append(str(error))
            return answers

        return together([partial(answers_of, device) for device in devices])


def require_answerable(artefact: Artefact) -> Card:
    """The card of an artefact for which a device's agent can answer crops.

    Raises:
        InputError: no agent runs it.
    """
    card = jobs.require_runnable(artefact)
    if tool := jobs.device_tool(card):
        raise InputError(f"{artefact.path}: no answers are collected from {tool}; it replays the golden crop in edge.bench")
    return card


def is_answerable(artefact: Artefact) -> bool:
    """Whether a device's agent can answer crops with this artefact."""
    try:
        require_answerable(artefact)
    except InputError:
        return False
    return True


def _answers(session: Session, artefact: Path, card: Card, file: Path, count: int) -> Answers:
    described = session.push("int8", artefact, card)
    crops = session.retry(lambda: session.device.push(file, sha256(file)))
    remote = f"{crops.rpartition('/')[0]}/{described['sha256'][:16]}.npz"
    timeout = START + ONE_CROP * count
    session.retry(
        lambda: list(session.run({"job": "infer", "artefacts": [described], "crops": crops, "answers": remote}, timeout))
    )
    local = file.with_name(f"{id(session)}.npz")
    session.retry(lambda: session.device.pull(remote, local))
    with np.load(local, allow_pickle=False) as arrays:
        coords, scores = arrays["coords"].astype(np.float64), arrays["scores"].astype(np.float64)
    keypoints = card.outputs[0].shape[1]
    if coords.shape != (count, keypoints, 2) or scores.shape != (count, keypoints):
        raise BackendError(f"{session.device.name}: {artefact.name} answered {coords.shape} to {count} crops; run it again")
    answers = Answers(coords, scores)
    require_finite(answers, f"{session.device.name}: {artefact.name}")
    return answers
