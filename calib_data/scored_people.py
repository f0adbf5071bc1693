"""The people of a data source in the form that `pose.scoring` takes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from calib_data.sample import Labels, PoseSource
from pose import metrics
from pose.scoring import People


def people_of(source: PoseSource, samples: Sequence[Labels]) -> People:
    """The truth for the first people of a source, whose labels the caller has read already: `samples`, in order.

    A source of annotated photos also knows crowds and people without a box (`annotations`) and the scores of detected boxes
    (`scores`); they count as COCO's evaluation counts them. People beyond `samples` are not missed.
    """
    keypoints, boxes = np.stack([s.keypoints for s in samples]), np.stack([s.box for s in samples])
    image_ids = [s.image_id for s in samples]
    annotations = getattr(source, "annotations", None)
    if annotations is None:
        truth = metrics.as_annotations(keypoints, np.array([s.area for s in samples]), boxes, image_ids)
    elif len(samples) == len(source):
        truth = annotations
    else:
        scored, images = {s.person_id for s in samples}, set(image_ids)
        truth = [
            entry for entry in annotations if entry["id"] in scored or (entry.get("iscrowd") and entry["image_id"] in images)
        ]
    box_scores = np.asarray(getattr(source, "scores", np.ones(len(source))))[: len(samples)]
    return People(source.skeleton, keypoints, image_ids, box_scores, truth)
