"""Answers -> figures: accuracy, chance, and the distance between the keypoints of two runners."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np

from edge.evaluate.answers import Answers, Scene
from edge.evaluate.records import Column, Pixels, Worst
from pose import metrics
from pose.crop import CropSpec, to_normalised
from pose.scoring import score, shared_joints
from pose.skeleton import Skeleton

RESAMPLES = 1000  # of the bootstrap
WORST = 6  # people
PERCENTILES = (50, 99)  # of the distances


def accuracy(scene: Scene, mine: Answers, skeleton: Skeleton, seed: int = 0) -> Column:
    """AP and PCK@0.2 of one runner in points, 0 to 100, with 95 % bootstrap intervals; see `pose.scoring.score`.

    Args:
        skeleton: of the runner's joints.
    """
    placed = scene.in_image(mine.coords)
    return Column(**asdict(score(scene.people, placed, mine.scores, skeleton, resamples=RESAMPLES, seed=seed)))


def chance_pck(scene: Scene, skeleton: Skeleton) -> float | None:
    """PCK@0.2, in points, of an answer that ignores the picture: each joint at its mean place in the crops of the others.

    It is what a network that learned nothing but the mean pose reaches. None of fewer than two people.
    """
    keypoints, data = scene.people.keypoints, scene.people.skeleton
    if len(keypoints) < 2:
        return None
    labelled = keypoints[..., 2:] > 0
    places = [to_normalised(k[:, :2], matrix, scene.spec) for k, matrix in zip(keypoints, scene.matrices, strict=True)]
    labelled_places = np.where(labelled, places, 0.0)
    others = labelled.sum(0) - labelled
    mean = np.where(others > 0, (labelled_places.sum(0) - labelled_places) / np.maximum(others, 1), 0.5)
    share = metrics.pck(scene.in_image(mean), keypoints, data, shared_joints(data, skeleton))
    return None if np.isnan(share) else 100 * share


def pixels_apart(mine: Answers, other: Answers, spec: CropSpec, seed: int = 0) -> Pixels:
    """Distance between the keypoints of two runners, in pixels of the crop: median and 99th percentile."""
    distance = _distance(mine, other, spec)
    median, p99 = (float(value) for value in np.percentile(distance, PERCENTILES))
    intervals = metrics.percentile_intervals(distance, PERCENTILES, RESAMPLES, seed)
    median_95, p99_95 = ((None, None) if np.isnan(ends).any() else ends for ends in intervals)
    return Pixels(median=median, p99=p99, median_95=median_95, p99_95=p99_95)


def pixels_per_joint(mine: Answers, other: Answers, skeleton: Skeleton, spec: CropSpec) -> dict[str, float]:
    """Joint -> distance between the keypoints of two runners, in pixels of the crop, median over the people."""
    return dict(zip(skeleton.joints, np.median(_distance(mine, other, spec), axis=0).tolist(), strict=True))


def worst_people(scene: Scene, lowered: Answers, fp32: Answers, count: int = WORST) -> list[Worst]:
    """The `count` people on whom two runners differ most, the farthest first."""
    distance = _distance(lowered, fp32, scene.spec).mean(axis=1)
    poses = {"fp32": scene.in_image(fp32.coords), "lowered": scene.in_image(lowered.coords)}
    return [
        Worst(index=int(i), px=float(distance[i]), fp32=poses["fp32"][i].tolist(), lowered=poses["lowered"][i].tolist())
        for i in np.argsort(-distance, kind="stable")[:count]
    ]


def _distance(mine: Answers, other: Answers, spec: CropSpec) -> np.ndarray:
    """Distance [N, S] between the keypoints of two runners, in pixels of the crop."""
    return np.linalg.norm((mine.coords - other.coords) * spec.size, axis=-1)
