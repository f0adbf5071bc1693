"""What foreign teachers have in common: a network in a file, whose input a YAML describes, and which is tried once."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path

import numpy as np

from pose.crop import CropSpec
from pose.errors import BackendError, InputError, one_line
from pose.heatmaps import HeatmapGrid
from pose.sessions import Session
from pose.skeleton import Skeleton
from pose.teacher_file import Input, TeacherFile


def input_batch(images: np.ndarray, wanted: Input, session: Session) -> np.ndarray:
    """Images uint8 [N, H, W, 3], RGB, of the network's size, as the input that a YAML describes."""
    steps = session.input_steps
    pixels = (images.astype(np.float32) - np.array(wanted.mean, np.float32)) / np.array(wanted.std, np.float32)
    if wanted.colour == "BGR":
        pixels = pixels[..., ::-1]
    if wanted.layout == "NCHW":
        pixels = pixels.transpose(0, 3, 1, 2)
    if wanted.takes_pixels and wanted.dtype == "int8":
        pixels = pixels - 128
    elif not wanted.takes_pixels and steps:
        return np.ascontiguousarray(steps.integers(pixels, session.input_dtype))
    if wanted.dtype != "float32":
        pixels = pixels.round()
    return np.ascontiguousarray(pixels, wanted.dtype)


class ForeignTeacher(ABC):
    """A foreign network; a subclass says what its outputs are.

    Attributes:
        name: of the YAML.
        path: the model file.
        skeleton: its K joints, in the order of every K below.
        crop: the crops that it takes.
        grid: where the cells of its heatmaps lie in the crop.
        outputs: names of those that are read.
        chooses_person: whether its heatmaps are those of one person, whoever else is in the crop.
    """

    grid = HeatmapGrid()
    outputs: list[str]
    chooses_person = True

    def __init__(self, name: str, described: TeacherFile, skeleton: Skeleton, path: Path, session: Session) -> None:
        self.name, self.path, self.skeleton = name, path, skeleton
        size = described.input
        self.crop = CropSpec(size.width, size.height, size.mean, size.std, described.padding)
        self._described, self._session = described, session
        self._shapes: list[tuple[int, ...]] = []  # of the outputs for one crop, once they are known
        self._channels = [described.joints.index(joint) for joint in self.skeleton.joints]

    @abstractmethod
    def observe(self, crops: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Heatmaps float32 [N, K, h, w], coordinates [N, K, 2] in 0..1 and scores [N, K], from one run of the network.

        Args:
            crops: RGB, uint8 [N, H, W, 3].
        """

    @property
    def at_once(self) -> int | None:
        """How many crops the file takes in one run; None: any number."""
        return self._session.input_shape[0]

    def predict(self, crops: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Coordinates [N, K, 2] and scores [N, K] of RGB crops."""
        return self.observe(crops)[1:]

    def prepare(self, crops: np.ndarray) -> np.ndarray:
        """The network's input for RGB crops uint8 [N, H, W, 3]."""
        wanted = self._described.input
        if crops.dtype != np.uint8 or crops.shape[1:] != (wanted.height, wanted.width, 3):
            raise ValueError(f"crops are {crops.dtype}{list(crops.shape)}, not uint8[N, {wanted.height}, {wanted.width}, 3]")
        return input_batch(crops, wanted, self._session)

    def call(self, batch: np.ndarray) -> list[np.ndarray]:
        """One inference of the runtime alone: `outputs` of an input of `prepare`, of the types that the file has."""
        return self._session.call(batch, self.outputs)

    def read(self, outputs: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Coordinates and scores, as of `predict`, in what `call` gave: what is left to do outside of the file."""
        numbers = [self._session.values(name, output) for name, output in zip(self.outputs, outputs, strict=True)]
        self._require_same_shapes(numbers)
        return self._read(numbers)[1:]

    @abstractmethod
    def _read(self, numbers: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Heatmaps, coordinates and scores in the outputs, as yet unchecked."""

    def _run(self, crops: np.ndarray) -> list[np.ndarray]:
        batch = self.prepare(crops)
        size = self.at_once or len(batch)
        answers = []
        for start in range(0, len(batch), size):
            part = batch[start : start + size]
            filled = np.concatenate([part, *[part[-1:]] * (size - len(part))])
            try:
                answered = self._session.run(filled, self.outputs)
            except Exception as error:  # a runtime may raise anything on a graph that is inconsistent
                raise BackendError(f"{self._where} does not run ({one_line(error, 200)})") from error
            if self._shapes:
                self._require_same_shapes(answered, size)
            answers.append([answer[: len(part)] if answer.shape[:1] == (size,) else answer for answer in answered])
        return [np.concatenate(parts) for parts in zip(*answers, strict=True)]

    def _require_same_shapes(self, answers: list[np.ndarray], crops: int = 1) -> None:
        """Raises BackendError where the shape of an output depends on the picture: the YAML describes one."""
        for name, answer, (first, *others) in zip(self.outputs, answers, self._shapes, strict=True):
            if answer.shape != (first * crops, *others):
                raise BackendError(
                    f"{self._where}: output '{name}' is {list(answer.shape)}, and {[first, *others]} for one black crop; a "
                    "teacher's outputs have one size"
                )

    def _answers_to_black(self) -> list[np.ndarray]:
        """The `outputs` for one black crop.

        Raises:
            InputError: the network has not the YAML's input or one of the outputs, does not run, or answers no numbers.
        """
        wanted = self._described.input
        for name in self.outputs:
            if name not in self._session.outputs:
                raise InputError(
                    f"{self._where} has no output '{name}'; its outputs are: {', '.join(self._session.outputs)}"
                )
        sides = (wanted.height, wanted.width, 3) if wanted.layout == "NHWC" else (3, wanted.height, wanted.width)
        actual, described = self._session.input_shape, (1, *sides)
        fits = len(actual) == 4 and all(a in (None, b) for a, b in zip(actual[1:], sides, strict=True))
        if not fits or self._session.input_dtype != wanted.dtype:
            taken = f"{self._session.input_dtype}{list(actual)}"
            raise InputError(
                f"{self._where} takes {taken}, its YAML says {wanted.dtype}{list(described)}; correct the YAML's input"
            )
        self._check_numbers()
        try:
            answers = self._run(np.zeros((1, wanted.height, wanted.width, 3), np.uint8))
        except BackendError as error:
            hint = f"is its layout {wanted.layout}, as the YAML says" if None in actual[1:] else "is the file whole"
            raise InputError(f"{error}; {hint}?") from error
        if any(answer.dtype.kind not in "fiu" for answer in answers):
            kinds = ", ".join(str(answer.dtype) for answer in answers)
            raise InputError(f"{self._where}: its outputs are {kinds}, not numbers")
        for name, answer in zip(self.outputs, answers, strict=True):
            if answer.shape[:1] != (1,):
                raise InputError(
                    f"{self._where}: output '{name}' is {list(answer.shape)}, and its first axis has to be the crops; "
                    "export the network with it"
                )
        self._shapes = [answer.shape for answer in answers]
        return answers

    def _check_numbers(self) -> None:
        """Raises InputError where the numbers of the input have no known meaning."""
        wanted, steps = self._described.input, self._session.input_steps
        if wanted.dtype in ("uint8", "int8") and not wanted.takes_pixels:
            if steps is None:
                raise InputError(
                    f"{self._where} takes {wanted.dtype} and does not say what its integers mean; leave mean and std out of "
                    "its YAML: the pixels go in as they are"
                )
            ends = (np.array([0.0, 255.0])[:, None] - wanted.mean) / wanted.std
            kept = steps.values(steps.integers(ends, self._session.input_dtype))
            if (np.abs(kept - ends) > 0.1 * np.ptp(ends)).any():
                raise InputError(
                    f"{self._where} takes {kept.min():.3g} to {kept.max():.3g}, and mean and std of its YAML make "
                    f"{ends.min():.3g} to {ends.max():.3g} of the pixels; correct them, or leave both out"
                )

    @property
    def _where(self) -> str:
        return f"teacher '{self.name}' ({self.path})"
