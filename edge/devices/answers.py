"""An artefact's answers to the host's crops, from devices: the column 'on device' of `edge.check`."""

from __future__ import annotations

import math
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from edge.devices import job as jobs
from edge.devices.base import Device, failure_line
from edge.devices.parallel import together
from edge.devices.session import Session
from edge.dist import Artefact
from edge.evaluate.answers import Answers, require_finite
from pose.card import Card
from pose.errors import BackendError, InputError, one_line
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
                except Exception as error:
                    answers.append(failure_line(device, error))
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
    where, keypoints = f"{session.device.name}: {artefact.name}", card.outputs[0].shape[1]
    try:
        answers = _read_answers(local, count, keypoints)
    except Exception as error:  # zipfile and numpy raise many types for a damaged file
        raise BackendError(f"{where} did not answer {count} crops ({one_line(error, 200)}); run it again") from error
    require_finite(answers, where)
    return answers


def _read_answers(path: Path, count: int, keypoints: int) -> Answers:
    """What `edge.agent.infer` wrote. No more memory is taken than the answers need, whatever the file claims.

    Raises:
        Exception: the file is damaged, or is none of that many answers.
    """
    arrays = []
    with zipfile.ZipFile(path) as archive:
        for name, shape in (("coords", (count, keypoints, 2)), ("scores", (count, keypoints))):
            with archive.open(f"{name}.npy") as member:
                np.lib.format.read_magic(member)
                header = np.lib.format.read_array_header_1_0(member)
                if header != (shape, False, np.dtype("<f4")):
                    raise ValueError(f"{name} are {header[2]} {header[0]}")
                size = 4 * math.prod(shape)
                arrays.append(np.frombuffer(member.read(size), "<f4", math.prod(shape)).reshape(shape).astype(np.float64))
    return Answers(*arrays)
