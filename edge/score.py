"""Several runners over the same crops: OKS AP, PCK, and how far their keypoints lie apart."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from calib_data.sample import PoseSource, Sample
from pose import metrics
from pose.crop import CropSpec, affine, normalise, to_image, warp
from pose.errors import InputError
from pose.skeleton import Skeleton
from targets.base import Runner

RESAMPLES = 1000


@dataclass(frozen=True)
class People:
    """The people that every column is scored on, in image pixels and the joints of the data.

    Attributes:
        skeleton: K joints.
        keypoints: float64 [N, K, 3], (x, y, v).
        image_ids: [N].
        matrices: float64 [N, 2, 3], image pixels to crop pixels.
        box_scores: float64 [N], of the detector; 1 for annotated boxes.
        truth: COCO annotations that AP is measured against, crowds and people without a sample included.
    """

    skeleton: Skeleton
    keypoints: np.ndarray
    image_ids: list[int]
    matrices: np.ndarray
    box_scores: np.ndarray
    truth: list[dict[str, Any]]


@dataclass(frozen=True)
class Answers:
    """What one runner, of S joints, says of them: coords float64 [N, S, 2] in 0..1 of the crop, scores float64 [N, S]."""

    coords: np.ndarray
    scores: np.ndarray


def answer(
    runners: Mapping[str, Runner],
    source: PoseSource,
    limit: int | None = None,
    track: Callable[[Iterable[int]], Iterable[int]] = iter,
    seen: Callable[[np.ndarray], None] = lambda crop: None,
) -> tuple[People, dict[str, Answers]]:
    """Every runner's answers to the plain crops of the first `limit` samples; each crop is made once.

    Args:
        track: wraps the sample numbers while they are gone through, for a progress bar.
        seen: is given each crop, uint8 [H, W, 3].
    """
    spec = next(iter(runners.values())).card.spec
    samples: list[Sample] = []
    matrices = []
    said: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {name: [] for name in runners}
    for index in track(range(min(limit or len(source), len(source)))):
        sample = source[index]
        matrix = affine(sample.box, spec)
        crop = warp(sample.image, matrix, spec)
        seen(crop)
        image = normalise(crop, spec)[None]
        for name, runner in runners.items():
            said[name].append(runner.run(image))
        matrices.append(matrix)
        samples.append(_without_image(sample))
    answers = {
        name: Answers(*(np.concatenate(part).astype(np.float64) for part in zip(*each, strict=True)))
        for name, each in said.items()
    }
    return _people(source, samples, np.stack(matrices)), answers


def joints(data: Skeleton, student: Skeleton) -> tuple[str, ...]:
    """The joints that can be scored: those of the data that the student has.

    Raises:
        InputError: there are none.
    """
    both = data.shared(student)
    if not both:
        raise InputError(f"a student of {student.name} cannot be scored on {data.name}: they share no joint")
    return both


def column(people: People, mine: Answers, student: Skeleton, spec: CropSpec, seed: int = 0) -> dict[str, Any]:
    """AP and PCK@0.2 (torso) of one runner in points, 0 to 100, with 95 % bootstrap intervals, and the number of people."""
    part = people.skeleton.only(joints(people.skeleton, student))
    placed = np.stack([to_image(c, m, spec) for c, m in zip(mine.coords, people.matrices, strict=True)])
    own, theirs = student.indices(part.joints), people.skeleton.indices(part.joints)
    found = metrics.as_results(placed[:, own], mine.scores[:, own], people.image_ids)
    for each, score in zip(found, people.box_scores, strict=True):
        each["score"] *= float(score)
    truth = [{**each, "keypoints": np.reshape(each["keypoints"], (-1, 3))[theirs].ravel().tolist()} for each in people.truth]
    oks = metrics.OksEvaluation(truth, found, part.sigmas)
    spread = oks.interval(RESAMPLES, seed)
    counts = metrics.pck_counts(placed[:, own], people.keypoints[:, theirs], part)
    return {
        **{name: _points(value) for name, value in oks.summary().items()},
        "ap_95": [_points(end) for end in spread["ap"]],
        "pck": _points(metrics.ratio(counts)),
        "pck_95": [_points(end) for end in metrics.bootstrap(counts, metrics.ratio, RESAMPLES, seed)],
        "persons": len(people.image_ids),
    }


def apart(mine: Answers, other: Answers, spec: CropSpec, seed: int = 0) -> dict[str, Any]:
    """Pixels of the crop between two runners' keypoints, every joint of every person: median and 99th percentile."""
    distance = np.linalg.norm((mine.coords - other.coords) * spec.size, axis=-1)
    result: dict[str, Any] = {}
    for name, percent in (("median", 50), ("p99", 99)):
        result[name] = _percentile(percent, distance)
        result[f"{name}_95"] = list(metrics.bootstrap(distance, partial(_percentile, percent), RESAMPLES, seed))
    return result


def per_joint(mine: Answers, other: Answers, student: Skeleton, spec: CropSpec) -> dict[str, float]:
    """Joint -> pixels of the crop between two runners' keypoints, median over the people."""
    distance = np.linalg.norm((mine.coords - other.coords) * spec.size, axis=-1)
    return dict(zip(student.joints, np.median(distance, axis=0).tolist(), strict=True))


def worst(people: People, mine: Answers, other: Answers, spec: CropSpec, count: int = 6) -> list[dict[str, Any]]:
    """The people on whom two runners differ most, in pixels of the crop, mean over the joints; the farthest first.

    Returns:
        Of each: `index` in the data, `px`, and both poses in image pixels, [[x, y], ...] of the student's joints: `lowered`
        is the first runner's, `fp32` the other's.
    """
    distance = np.linalg.norm((mine.coords - other.coords) * spec.size, axis=-1).mean(axis=1)
    found = []
    for index in np.argsort(-distance, kind="stable")[:count]:
        both = [to_image(each.coords[index], people.matrices[index], spec).tolist() for each in (other, mine)]
        found.append({"index": int(index), "px": float(distance[index]), "fp32": both[0], "lowered": both[1]})
    return found


def _percentile(percent: float, values: np.ndarray) -> float:
    return float(np.percentile(values, percent))


def _points(share: float) -> float | None:
    return None if np.isnan(share) else 100 * share


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
    else:  # who was not looked at is not missed
        looked_at = {s.person_id for s in samples}
        truth = [
            each for each in everyone if each["id"] in looked_at or (each.get("iscrowd") and each["image_id"] in image_ids)
        ]
    box_scores = np.asarray(getattr(source, "scores", np.ones(len(source))))[: len(samples)]
    return People(source.skeleton, keypoints, image_ids, matrices, box_scores, truth)
