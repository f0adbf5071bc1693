"""The one scorer: OKS AP and PCK of predicted keypoints, for training and for `edge` alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from pose import metrics
from pose.errors import BackendError, InputError
from pose.skeleton import Skeleton

Interval = tuple[float | None, float | None]


@dataclass(frozen=True)
class People:
    """The people that predictions are scored on, in image pixels and the joints of the data.

    Attributes:
        skeleton: of the data, K joints.
        keypoints: float64 [N, K, 3], (x, y, v).
        image_ids: [N].
        box_scores: float64 [N], of the detector; 1 for annotated boxes.
        truth: COCO annotations that AP is measured against, crowds and people without a box included.
    """

    skeleton: Skeleton
    keypoints: np.ndarray
    image_ids: list[int]
    box_scores: np.ndarray
    truth: list[dict[str, Any]]


@dataclass(frozen=True)
class Score:
    """AP, AR and PCK@0.2 in points, 0 to 100; None where the data does not define them.

    Attributes:
        ap_95, pck_95: 95 % bootstrap intervals; (None, None) where none were asked for.
        persons: number of people scored.
    """

    ap: float | None
    ap50: float | None
    ap75: float | None
    ar: float | None
    ap_95: Interval
    pck: float | None
    pck_95: Interval
    persons: int


def shared_joints(data: Skeleton, student: Skeleton) -> tuple[str, ...]:
    """The joints that can be scored: those of the data that the student has.

    Raises:
        InputError: there are none.
    """
    joints = data.shared(student)
    if not joints:
        raise InputError(f"a student of {student.name} cannot be scored on {data.name}: they share no joint")
    return joints


def score(
    people: People, coords: np.ndarray, scores: np.ndarray, skeleton: Skeleton, *, resamples: int = 0, seed: int = 0
) -> Score:
    """Score predictions over the joints that the data and the student share.

    A person's score is the mean of the joints' scores times the score of the box, as COCO's evaluation of a detector has it.

    Args:
        coords: float64 [N, S, 2] in image pixels; scores: [N, S]; both in the joints of `skeleton`, the student's.
        resamples: of the people, for the intervals; 0 computes none.

    Raises:
        InputError: no joint is shared.
        BackendError: a prediction is not finite.
    """
    _require_finite(coords, scores)
    joints = shared_joints(people.skeleton, skeleton)
    ours, theirs = skeleton.indices(joints), people.skeleton.indices(joints)
    results = metrics.as_results(coords[:, ours], scores[:, ours], people.image_ids)
    for result, box_score in zip(results, people.box_scores, strict=True):
        result["score"] *= float(box_score)
    truth = [{**entry, "keypoints": _some_joints(entry["keypoints"], theirs)} for entry in people.truth]
    oks = metrics.OksEvaluation(truth, results, people.skeleton.sigmas[theirs])
    placed = np.zeros((len(coords), len(people.skeleton), 2))
    placed[:, theirs] = coords[:, ours]
    counts = metrics.pck_counts(placed, people.keypoints, people.skeleton, joints)
    summary = {name: _points(value) for name, value in oks.summary().items()}
    ap_95: Interval = (None, None)
    pck_95: Interval = (None, None)
    if resamples:
        low, high = oks.interval(resamples, seed)["ap"]
        ap_95 = _points(low), _points(high)
        low, high = metrics.bootstrap(counts, metrics.ratio, resamples, seed)
        pck_95 = _points(low), _points(high)
    return Score(**summary, ap_95=ap_95, pck=_points(metrics.ratio(counts)), pck_95=pck_95, persons=len(coords))


def _some_joints(keypoints: list[float], joints: np.ndarray) -> list[float]:
    return np.reshape(keypoints, (-1, 3))[joints].ravel().tolist()


def _points(share: float) -> float | None:
    return None if np.isnan(share) else 100 * share


def _require_finite(coords: np.ndarray, scores: np.ndarray) -> None:
    finite = np.isfinite(coords).all((1, 2)) & np.isfinite(scores).all(1)
    if not finite.all():
        raise BackendError(
            f"the predictions for {(~finite).sum()} of {len(finite)} people are not finite, those for number "
            f"{int(np.argmin(finite))} first; they cannot be scored"
        )
