"""Answers of several runners to the same crops, each crop made once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from calib_data.sample import PoseSource
from calib_data.scored_people import people_of
from pose.crop import CropSpec, affine, to_image, warp
from pose.errors import BackendError
from pose.scoring import People
from targets.common import LARGEST


class Predictor(Protocol):
    """What is scored: a runner of `targets`, or a teacher."""

    def predict(self, crops: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Crops uint8 [N, H, W, 3], RGB -> coords [N, S, 2] in 0..1 of the crop, scores [N, S]."""
        ...


@dataclass(frozen=True)
class Answers:
    """Answers of one runner with S joints: coords float64 [N, S, 2] in 0..1 of the crop, scores float64 [N, S]."""

    coords: np.ndarray
    scores: np.ndarray


@dataclass(frozen=True)
class Scene:
    """The people whom all runners see, and the matrices float64 [N, 2, 3] from image to crop pixels."""

    people: People
    matrices: np.ndarray
    spec: CropSpec

    def in_image(self, coords: np.ndarray) -> np.ndarray:
        """Coords [N, K, 2] in 0..1 of the crops as image pixels."""
        return np.stack([to_image(c, matrix, self.spec) for c, matrix in zip(coords, self.matrices, strict=True)])


def answer(
    runners: Mapping[str, Predictor],
    spec: CropSpec,
    source: PoseSource,
    limit: int | None = None,
    track: Callable[[Iterable[int]], Iterable[int]] = iter,
    on_crop: Callable[[np.ndarray], None] = lambda crop: None,
) -> tuple[Scene, dict[str, Answers]]:
    """The answers of every runner to the plain crops of the first `limit` samples.

    Args:
        spec: how the crops are cut.
        track: wraps the sample numbers, for a progress bar.
        on_crop: is called with each crop, uint8 [H, W, 3].

    Raises:
        BackendError: a runner failed, or answered NaN or infinity.
    """
    samples, matrices = [], []
    parts: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {name: [] for name in runners}
    count = min(limit or len(source), len(source))
    for index in track(range(count)):
        sample = source.labels(index)
        matrix = affine(sample.box, spec)
        crop = warp(source.image(index), matrix, spec)
        on_crop(crop)
        for name, runner in runners.items():
            parts[name].append(runner.predict(crop[None]))
        samples.append(sample)
        matrices.append(matrix)
    answers = {
        name: Answers(*(np.concatenate(part).astype(np.float64) for part in zip(*rows, strict=True)))
        for name, rows in parts.items()
    }
    for name, mine in answers.items():
        require_finite(mine, name)
    return Scene(people_of(source, samples), np.stack(matrices), spec), answers


def require_finite(answers: Answers, where: str) -> None:
    """Raises BackendError where an answer holds NaN, infinity or a number that is no place, with the count and the first.

    Args:
        where: who answered, for the message.
    """
    values = np.concatenate([answers.coords, answers.scores[..., None]], -1)
    wrong = ~(np.abs(values) <= LARGEST)  # also of NaN
    if wrong.any():
        what = f"more than {LARGEST:g}" if np.isfinite(values).all() else "NaN or infinity"
        person, joint, number = (int(place[0]) for place in np.nonzero(wrong))
        name = ("x", "y", "score")[number]
        raise BackendError(
            f"{where} answered {what} in {int(wrong.sum())} of {wrong.size} values; the first is {name} of joint "
            f"{joint} in crop {person}; export the artefact again, or try another --precision"
        )
