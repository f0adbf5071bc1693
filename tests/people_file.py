"""A COCO file of people, each in a picture of its own, and the pictures."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from calib_data.sample import Labels, PoseSource
from pose.skeleton import COCO_17, Skeleton


@dataclass(frozen=True)
class Sample(Labels):
    """The annotation of one person and their image, uint8 [H, W, 3], RGB."""

    image: np.ndarray


def person(image: np.ndarray, box: Iterable[float], joints: Iterable[tuple[float, float]]) -> Sample:
    """Someone whose joints can all be seen."""
    x, y, width, height = box
    keypoints = np.array([(*joint, 2) for joint in joints], np.float64)
    return Sample(np.array([x, y, width, height], np.float64), keypoints, float(width * height), 1, 1, image)


def sample_of(source: PoseSource, index: int) -> Sample:
    """A person of a source with their image."""
    return Sample(**vars(source.labels(index)), image=source.image(index))


def write_people(path: Path, images: Path, people: Iterable[Sample], skeleton: Skeleton = COCO_17) -> Path:
    """Write `path`, and `1.png`, `2.png`, ... into the folder `images`; returns `path`."""
    images.mkdir(exist_ok=True)
    pictures, annotations = [], []
    for number, each in enumerate(people, 1):
        height, width = each.image.shape[:2]
        cv2.imwrite(str(images / f"{number}.png"), cv2.cvtColor(each.image, cv2.COLOR_RGB2BGR))
        pictures.append({"id": number, "file_name": f"{number}.png", "width": width, "height": height})
        annotations.append({
            "id": number, "image_id": number, "category_id": 1, "iscrowd": 0, "bbox": each.box.tolist(), "area": each.area,
            "num_keypoints": int((each.keypoints[:, 2] > 0).sum()), "keypoints": each.keypoints.ravel().tolist(),
        })  # fmt: skip
    categories = [{"id": 1, "name": "person", "keypoints": list(skeleton.joints)}]
    path.write_text(json.dumps({"images": pictures, "annotations": annotations, "categories": categories}))
    return path
