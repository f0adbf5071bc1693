"""Answers -> figures: OKS AP, PCK, and the distance between the keypoints of two runners."""

from __future__ import annotations

from functools import partial

import numpy as np

from edge.evaluate.answers import Answers, People
from edge.evaluate.records import Column, Pixels, Worst
from pose import metrics
from pose.crop import CropSpec, to_image, to_normalised
from pose.errors import InputError
from pose.skeleton import Skeleton

RESAMPLES = 1000  # of the bootstrap
WORST = 6  # people


def shared_joints(data: Skeleton, student: Skeleton) -> tuple[str, ...]:
    """The joints on which the student is scored: those that the data has, too.

    Raises:
        InputError: there are none.
    """
    joints = data.shared(student)
    if not joints:
        raise InputError(f"a student of {student.name} cannot be scored on {data.name}: they share no joint")
    return joints


def accuracy(people: People, mine: Answers, student: Skeleton, spec: CropSpec, seed: int = 0) -> Column:
    """AP and PCK@0.2 (torso) of one runner in points, 0 to 100, with 95 % bootstrap intervals, and the number of people."""
    part = Skeleton("shared", shared_joints(people.skeleton, student), ())
    placed = np.stack([to_image(c, m, spec) for c, m in zip(mine.coords, people.matrices, strict=True)])
    own, theirs = student.indices(part.joints), people.skeleton.indices(part.joints)
    results = metrics.as_results(placed[:, own], mine.scores[:, own], people.image_ids)
    for result, score in zip(results, people.box_scores, strict=True):
        result["score"] *= float(score)
    truth = [
        {**person, "keypoints": np.reshape(person["keypoints"], (-1, 3))[theirs].ravel().tolist()} for person in people.truth
    ]
    oks = metrics.OksEvaluation(truth, results, part.sigmas)
    ap_low, ap_high = oks.interval(RESAMPLES, seed)["ap"]
    counts = metrics.pck_counts(placed[:, own], people.keypoints[:, theirs], part)
    pck_low, pck_high = metrics.bootstrap(counts, metrics.ratio, RESAMPLES, seed)
    return Column(
        **{name: _points(value) for name, value in oks.summary().items()},
        ap_95=(_points(ap_low), _points(ap_high)),
        pck=_points(metrics.ratio(counts)),
        pck_95=(_points(pck_low), _points(pck_high)),
        persons=len(people.image_ids),
    )


def chance_pck(people: People, student: Skeleton, spec: CropSpec) -> float | None:
    """PCK@0.2, in points, of an answer that ignores the picture: each joint at its mean place in the crops of the others.

    It is what a network that learned nothing but the mean pose reaches. None of fewer than two people.
    """
    joints = shared_joints(people.skeleton, student)
    keypoints = people.keypoints[:, people.skeleton.indices(joints)]
    if len(keypoints) < 2:
        return None
    labelled = keypoints[..., 2:] > 0
    places = np.stack([to_normalised(k[:, :2], m, spec) for k, m in zip(keypoints, people.matrices, strict=True)])
    places = np.where(labelled, places, 0.0)
    others = labelled.sum(0) - labelled
    mean = np.where(others > 0, (places.sum(0) - places) / np.maximum(others, 1), 0.5)
    placed = np.stack([to_image(c, m, spec) for c, m in zip(mean, people.matrices, strict=True)])
    return _points(metrics.pck(placed, keypoints, Skeleton("shared", joints, ())))


def pixels_apart(mine: Answers, other: Answers, spec: CropSpec, seed: int = 0) -> Pixels:
    """Distance between the keypoints of two runners, in pixels of the crop: median and 99th percentile."""
    distance = np.linalg.norm((mine.coords - other.coords) * spec.size, axis=-1)
    intervals = {
        percent: metrics.bootstrap(distance, partial(_percentile, percent), RESAMPLES, seed) for percent in (50, 99)
    }
    return Pixels(
        median=_percentile(50, distance), p99=_percentile(99, distance), median_95=intervals[50], p99_95=intervals[99]
    )


def pixels_per_joint(mine: Answers, other: Answers, student: Skeleton, spec: CropSpec) -> dict[str, float]:
    """Joint -> distance between the keypoints of two runners, in pixels of the crop, median over the people."""
    distance = np.linalg.norm((mine.coords - other.coords) * spec.size, axis=-1)
    return dict(zip(student.joints, np.median(distance, axis=0).tolist(), strict=True))


def worst_people(people: People, lowered: Answers, fp32: Answers, spec: CropSpec, count: int = WORST) -> list[Worst]:
    """The `count` people on whom two runners differ most, the farthest first."""
    distance = np.linalg.norm((lowered.coords - fp32.coords) * spec.size, axis=-1).mean(axis=1)
    worst = []
    for index in np.argsort(-distance, kind="stable")[:count]:
        poses = [to_image(runner.coords[index], people.matrices[index], spec).tolist() for runner in (fp32, lowered)]
        worst.append(Worst(index=int(index), px=float(distance[index]), fp32=poses[0], lowered=poses[1]))
    return worst


def _percentile(percent: float, values: np.ndarray) -> float:
    return float(np.percentile(values, percent))


def _points(share: float) -> float | None:
    return None if np.isnan(share) else 100 * share
