"""Answers of several runners to the same crops, each crop made once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from calib_data.sample import PoseSource, Sample
from pose import metrics
from pose.crop import CropSpec, affine, warp
from pose.errors import BackendError
from pose.skeleton import Skeleton


class Predictor(Protocol):
    """What is scored: a runner of `targets`, or a teacher."""

    def predict(self, crops: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Crops uint8 [N, H, W, 3], RGB -> coords [N, S, 2] in 0..1 of the crop, scores [N, S]."""
        ...


@dataclass(frozen=True)
class People:
    """The people on whom every column is scored, in image pixels and the joints of the data.

    Attributes:
        skeleton: K joints.
        keypoints: float64 [N, K, 3], (x, y, v).
        image_ids: [N].
        matrices: float64 [N, 2, 3], image pixels to crop pixels.
        box_scores: float64 [N], of the detector; 1 for annotated boxes.
        truth: COCO annotations against which AP is measured, with crowds and people who are no sample.
    """

    skeleton: Skeleton
    keypoints: np.ndarray
    image_ids: list[int]
    matrices: np.ndarray
    box_scores: np.ndarray
    truth: list[dict[str, Any]]


@dataclass(frozen=True)
class Answers:
    """Answers of one runner with S joints: coords float64 [N, S, 2] in 0..1 of the crop, scores float64 [N, S]."""

    coords: np.ndarray
    scores: np.ndarray


def answer(
    runners: Mapping[str, Predictor],
    spec: CropSpec,
    source: PoseSource,
    limit: int | None = None,
    track: Callable[[Iterable[int]], Iterable[int]] = iter,
    on_crop: Callable[[np.ndarray], None] = lambda crop: None,
) -> tuple[People, dict[str, Answers]]:
    """The answers of every runner to the plain crops of the first `limit` samples.

    Args:
        spec: how the crops are cut.
        track: wraps the sample numbers, for a progress bar.
        on_crop: is called with each crop, uint8 [H, W, 3].

    Raises:
        BackendError: a runner failed, or answered NaN or infinity.
    """
    samples: list[Sample] = []
    matrices = []
    parts: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {name: [] for name in runners}
    for index in track(range(min(limit or len(source), len(source)))):
        sample = source[index]
        matrix = affine(sample.box, spec)
        crop = warp(sample.image, matrix, spec)
        on_crop(crop)
        for name, runner in runners.items():
            parts[name].append(runner.predict(crop[None]))
        matrices.append(matrix)
        samples.append(_without_image(sample))
    answers = {
        name: Answers(*(np.concatenate(part).astype(np.float64) for part in zip(*rows, strict=True)))
        for name, rows in parts.items()
    }
    for name, mine in answers.items():
        require_finite(mine, name)
    return _people(source, samples, np.stack(matrices)), answers


def require_finite(answers: Answers, where: str) -> None:
    """Raises BackendError where an answer holds NaN or infinity, with their count and the first place.

    Args:
        where: who answered, for the message.
    """
    values = np.concatenate([answers.coords, answers.scores[..., None]], -1)
    wrong = ~np.isfinite(values)
    if wrong.any():
        person, joint, number = (int(place[0]) for place in np.nonzero(wrong))
        name = ("x", "y", "score")[number]
        raise BackendError(
            f"{where} answered NaN or infinity in {int(wrong.sum())} of {wrong.size} values; the first is {name} of joint "
            f"{joint} in crop {person}; export the artefact again, or try another --precision"
        )


def _without_image(sample: Sample) -> Sample:
    return Sample(np.empty(0), sample.box, sample.keypoints, sample.area, sample.image_id, sample.person_id)


def _people(source: PoseSource, samples: list[Sample], matrices: np.ndarray) -> People:
    keypoints, boxes = np.stack([s.keypoints for s in samples]), np.stack([s.box for s in samples])
    image_ids = [s.image_id for s in samples]
    everyone = getattr(source, "annotations", None)
    if everyone is None:
        truth = metrics.as_annotations(keypoints, np.array([s.area for s in samples]), boxes, image_ids)
    elif len(samples) == len(source):
        truth = everyone
    else:  # people whom the limit left out are not counted as missed
        scored = {s.person_id for s in samples}
        truth = [
            person
            for person in everyone
            if person["id"] in scored or (person.get("iscrowd") and person["image_id"] in image_ids)
        ]
    box_scores = np.asarray(getattr(source, "scores", np.ones(len(source))))[: len(samples)]
    return People(source.skeleton, keypoints, image_ids, matrices, box_scores, truth)
