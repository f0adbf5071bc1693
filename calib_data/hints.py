"""Hints about a file of people: what looks wrong, though every value by itself may be right."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from calib_data.coco import CocoPeople

_FEW = 5  # people from whom nothing can be concluded
_SWAPPED = 0.25  # share of people with their left on the right of the picture; in photos of faces it is 0.95, of sports 0.64
_TIGHT = 1.04  # side of a box over that of the tight box of its joints, in the median; annotated boxes have 1.1 and more
_OUTSIDE = 0.1  # share of joints outside their photo, or outside their person's box
_SAMPLE = 2_000  # people that are looked at, at equal distances in the file
_EYES = ("left_eye", "right_eye")
_SHOULDERS = ("left_shoulder", "right_shoulder")


def hints(people: CocoPeople) -> Iterator[str]:
    """A sentence for each thing that looks wrong."""
    chosen = np.unique(np.linspace(0, len(people) - 1, min(len(people), _SAMPLE)).round().astype(int))
    samples = [people.labels(index) for index in chosen.tolist()]
    samples = [sample for sample in samples if sample.keypoints[:, 2].any()]
    if len(samples) < _FEW:
        return
    keypoints, boxes = np.stack([sample.keypoints for sample in samples]), np.stack([sample.box for sample in samples])
    share = _share_of_left_on_the_right(people, keypoints)
    if share is not None and share < _SWAPPED:
        yield (
            f"left and right look swapped: only {share:.0%} of the people have their left shoulder on the right of the "
            "picture, as people who face the camera have; 'left' is the person's own left"
        )
    labelled = keypoints[..., 2] > 0
    points = np.where(labelled[..., None], keypoints[..., :2], np.nan)
    low, high = np.nanmin(points, 1), np.nanmax(points, 1)
    extent = high - low
    large = (extent > 1).all(1)
    if large.sum() >= _FEW and np.median((boxes[large, 2:] / extent[large]).min(1)) < _TIGHT:
        yield (
            "boxes are tight: they end at the outermost joints, so that crops cut heads, hands and feet off; --boxes "
            "keypoints takes boxes 1.2 times as large"
        )
    sizes = np.array([people.size(sample.image_id) for sample in samples], np.float64)[:, None]
    in_photo = np.all((points >= -1) & (points <= sizes + 1), axis=-1)
    beyond = 1 - np.mean(in_photo, where=labelled)
    if beyond > _OUTSIDE:
        yield f"{beyond:.0%} of the joints lie outside their photo: are these the photos, and of the annotated size?"
    inside = ((points >= boxes[:, None, :2] - 1) & (points <= boxes[:, None, :2] + boxes[:, None, 2:] + 1)).all(-1)
    outside = 1 - inside[labelled].mean()
    if outside > _OUTSIDE:
        yield f"{outside:.0%} of the joints lie outside their person's box: are boxes and keypoints of photos of one size?"


def _share_of_left_on_the_right(people: CocoPeople, keypoints: np.ndarray) -> float | None:
    """Of the people with both eyes, or of all if the skeleton has no eyes; None of few people, or without shoulders."""
    skeleton = people.skeleton
    if not set(_SHOULDERS) <= set(skeleton.joints):
        return None
    seen = [joint for joint in (*_SHOULDERS, *_EYES) if joint in skeleton.joints]
    chosen = keypoints[(keypoints[:, skeleton.indices(seen), 2] > 0).all(1)]
    left, right = (chosen[:, place, 0] for place in skeleton.indices(_SHOULDERS))
    return float((left > right).mean()) if len(chosen) >= _FEW else None
