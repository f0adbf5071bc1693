"""What is compared: artefacts by their cards, and foreign networks by a YAML, as teachers are."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from edge import agent
from edge.devices import job
from edge.dist import Artefact, find
from edge.evaluate.answers import Predictor
from edge.evaluate.peers import Network
from pose import foreign
from pose.crop import CropSpec
from pose.errors import BackendError, InputError
from pose.files import sha256, size
from pose.sessions import MissingModelError
from pose.skeleton import Skeleton
from targets.work import work_of


@dataclass(frozen=True)
class Timed:
    """An opened network: `call` is one inference of the runtime, `decode` what is left to do with its answer."""

    call: Callable[[], object]
    decode: Callable[[], object]


class Opener(Protocol):
    """A network that can be scored and timed."""

    record: Network
    spec: CropSpec
    skeleton: Skeleton

    def predictor(self) -> Predictor:
        """Its keypoints, on one thread."""
        ...

    def timed(self, crop: np.ndarray, threads: int) -> Timed:
        """It, opened in this process, with an input made of a crop uint8 [H, W, 3] of its size.

        Raises:
            InputError, BackendError: it cannot be opened, or does not answer as it should.
        """
        ...


class Student:
    """An artefact, by its card."""

    def __init__(self, path: Path, name: str = "") -> None:
        """Read the card.

        Raises:
            InputError: the artefact is missing, does not match its card, or does not run here.
        """
        self._artefact = find(path)
        card = job.require_runnable(self._artefact)
        self.spec, self.skeleton = card.spec, card.skeleton
        self.record = Network(
            name=name or path.stem,
            title=name or card.student,
            kind="student",
            runtime=card.target,
            path=str(path),
            precision=card.precision,
            bytes=size(path),
            sha256=sha256(path),
            crop=(card.spec.width, card.spec.height),
            multiply_adds=_multiply_adds(self._artefact),
        )

    def predictor(self) -> Predictor:
        """See `Opener.predictor`; it runs in a process of its own."""
        return self._artefact.open()

    def timed(self, crop: np.ndarray, threads: int) -> Timed:
        """See `Opener.timed`; its answer to the golden crop is compared with the card's before."""
        path, card = self._artefact.path, self._artefact.card
        with tempfile.TemporaryDirectory() as folder:
            file = job.runnable_file(path, card, agent.platform.machine(), Path(folder))
            request = job.artefact_job(self.record.name, file, str(file), card)
            try:
                model = agent.Model(request, threads)
                coords, scores = model.call(model.tensor)
                agent.golden_error(str(path), coords, scores, request["golden"], card.spec.size)
            except (agent.JobError, RuntimeError) as error:
                raise BackendError(f"{path}: {error}") from error
        tensor = model.prepare(crop)
        answer = model.call(tensor)
        return Timed(lambda: model.call(tensor), lambda: model.decode(answer))


class Foreign:
    """A network of somebody else's, by its YAML."""

    def __init__(self, name: str, teacher: str, file: Path | None) -> None:
        """Open it once.

        Raises:
            MissingModelError: there is no such model file.
            InputError: the YAML or the file is wrong, or the two do not fit, or the file takes several crops at once.
            BackendError: its runtime is not installed.
        """
        self._teacher, self._file = teacher, file
        self._opened = foreign.load_teacher(teacher, file=file)
        path, work = self._opened.path, work_of(self._opened.path)
        if self._opened.at_once not in (None, 1):
            raise InputError(f"{path} takes {self._opened.at_once} crops at once; export it for one, whose time is compared")
        self.spec, self.skeleton = self._opened.crop, self._opened.skeleton
        self.record = Network(
            name=name,
            title=name,
            kind="peer",
            runtime=path.suffix[1:],
            path=_shown(path),
            precision="int8" if work and work.is_int8 else "fp32",
            bytes=size(path),
            sha256=sha256(path),
            crop=(self.spec.width, self.spec.height),
            multiply_adds=work.multiply_adds if work else None,
        )

    def predictor(self) -> Predictor:
        """See `Opener.predictor`."""
        return self._opened

    def timed(self, crop: np.ndarray, threads: int) -> Timed:
        """See `Opener.timed`."""
        network = foreign.load_teacher(self._teacher, file=self._file, threads=threads)
        batch = network.prepare(crop[None])
        answer = network.call(batch)
        return Timed(lambda: network.call(batch), lambda: network.read(answer))


@dataclass(frozen=True)
class Request:
    """A peer that the user names: a packaged YAML or a file, and the network's file in place of the YAML's."""

    name: str
    teacher: str
    file: Path | None

    @classmethod
    def parse(cls, text: str) -> Request:
        """`[NAME=]YAML[:FILE]`.

        Raises:
            InputError: it is nothing of the kind.
        """
        name, named, rest = text.partition("=")
        if not named or Path(text).exists():
            name, rest = "", text
        teacher, _, file = rest.partition(":") if rest.partition(":")[0] in foreign.packaged() else _split(rest)
        if not teacher or (named and rest != text and not name):
            raise InputError(f"--peer {text}: write NAME=YAML or NAME=YAML:FILE, the YAML's own file by default")
        return cls(name or Path(teacher).stem, teacher, Path(file) if file else None)


def _split(text: str) -> tuple[str, str, str]:
    """At the colon behind the name of a YAML."""
    for suffix in (".yaml:", ".yml:"):
        teacher, colon, file = text.partition(suffix)
        if colon:
            return teacher + suffix[:-1], ":", file
    return text, "", ""


def skipped(request: Request, error: MissingModelError | BackendError) -> Network:
    """The record of a peer whose file or runtime is not here."""
    path, reason = request.file or Path(request.teacher), str(error)
    if isinstance(error, MissingModelError):
        path = error.path
        reason = f"there is no file {_shown(path)}; name it, as {request.name}={request.teacher}:FILE, or set POSE_DATA"
    return Network(
        name=request.name, title=request.name, kind="peer", runtime="", path=_shown(path), error=reason, skipped=True
    )


def _shown(path: Path) -> str:
    """A path for the record, which should say the same on another machine: a file of the data folder by its place there."""
    folder = os.environ.get("POSE_DATA")
    return f"$POSE_DATA/{path.relative_to(folder)}" if folder and path.is_relative_to(folder) else str(path)


def _multiply_adds(artefact: Artefact) -> int | None:
    work = work_of(artefact.path)
    if work is not None:
        return work.multiply_adds
    from targets.graph import arithmetic

    return arithmetic(artefact.program.graph(artefact.card.precision or "int8")).multiply_adds
