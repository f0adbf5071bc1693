"""Detected boxes in COCO's results format, and the annotated people that they are of.

Format: https://cocodataset.org/#format-results.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from calib_data import geometry
from calib_data.coco_file import PeopleFile, PeopleTable, plain_id
from calib_data.columns import matrix, scalars
from calib_data.formats import parse_json
from calib_data.repairs import Repair, Repairs
from pose.errors import InputError

_BETTER = 1.2  # times as much overlap, from which boxes are (left, top, right, bottom)
_SAME = 0.5  # intersection over union from which a detected box belongs to an annotated person


@dataclass(frozen=True)
class Detections:
    """Detected boxes, best score first: `image_ids` [M], `boxes` float64 [M, 4], `scores` [M], `places` in the file [M]."""

    image_ids: np.ndarray
    boxes: np.ndarray
    scores: np.ndarray
    places: np.ndarray
    repairs: Repairs

    def in_pixels(self, people: PeopleTable, rows: np.ndarray, sizes: Mapping[int, tuple[int, int]]) -> Detections:
        """The boxes that lie in their images of these sizes (width, height); those in 0..1 of the image in pixels.

        Boxes that could be (left, top, right, bottom) are read as such where they then fit the people of `rows` far better.
        """
        if len(self.boxes) and (self.boxes[:, 2:] > self.boxes[:, :2]).all():
            corners = replace(self, boxes=np.hstack([self.boxes[:, :2], self.boxes[:, 2:] - self.boxes[:, :2]]))
            if corners._fit(people, rows, sizes) > _BETTER * self._fit(people, rows, sizes):
                self.repairs.add(Repair.BOX_CORNERS, self._names(np.ones(len(self.boxes), bool)))
                return corners._sized(sizes)
        return self._sized(sizes)

    def _fit(self, people: PeopleTable, rows: np.ndarray, sizes: Mapping[int, tuple[int, int]]) -> float:
        """Sum of the overlaps of boxes with their people."""
        boxes = replace(self, repairs=Repairs(""))._sized(sizes)
        matched = zip(boxes.boxes, boxes.match(people, rows).tolist(), strict=True)
        return sum(float(_overlaps(box, people.boxes[[row]])[0]) for box, row in matched if row >= 0)

    def _sized(self, sizes: Mapping[int, tuple[int, int]]) -> Detections:
        images = np.array([sizes[number] for number in self.image_ids.tolist()], np.float64).reshape(-1, 2)
        boxes = self.boxes
        if geometry.are_fractions(boxes, images):
            boxes = boxes * np.hstack([images, images])
            self.repairs.add(Repair.BOX_FRACTIONS, self._names(np.ones(len(boxes), bool)))
        inside = geometry.overlap(boxes, images)
        self.repairs.add(Repair.OUTSIDE_BOX, self._names(~inside))
        return Detections(self.image_ids[inside], boxes[inside], self.scores[inside], self.places[inside], self.repairs)

    def _names(self, rows: np.ndarray) -> list[str]:
        return [f"[{place}]" for place in self.places[rows]]

    def match(self, people: PeopleTable, rows: np.ndarray) -> np.ndarray:
        """Row of each box's person, int64 [M], -1 of nobody: the free one of `rows` that it overlaps most, from 0.5 on."""
        free: dict[int, list[int]] = {}
        for row in rows.tolist():
            free.setdefault(int(people.image_ids[row]), []).append(row)
        matched = np.full(len(self.boxes), -1)
        for number, (image, box) in enumerate(zip(self.image_ids.tolist(), self.boxes, strict=True)):
            candidates = free.get(image)
            if candidates:
                overlaps = _overlaps(box, people.boxes[candidates])
                if overlaps.max() >= _SAME:
                    matched[number] = candidates.pop(int(overlaps.argmax()))
        return matched


def _overlaps(box: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Intersection over union of a box (x, y, width, height) with others [N, 4]."""
    sides = np.minimum(box[:2] + box[2:], others[:, :2] + others[:, 2:]) - np.maximum(box[:2], others[:, :2])
    shared = np.maximum(sides, 0).prod(1)
    return shared / (box[2:].prod() + others[:, 2:].prod(1) - shared)


def read_boxes(path: Path, file: PeopleFile) -> Detections:
    """Detected boxes in COCO's results format; `file_name` may stand for `image_id`, and `confidence` for `score`.

    Left out are boxes of images that the annotations do not have and, where some are of the category that is read, those of
    other categories. Whether a box lies in its image is not checked.

    Raises:
        InputError: the file cannot be read, is no list of boxes, or holds several categories and none of them is read.
    """
    value = parse_json(path)
    if not isinstance(value, list):
        raise InputError(f"{path}: Input should be a valid list of boxes, [{{image_id, category_id, bbox, score}}, ...]")
    repairs = file.repairs.of(path.name, "box")
    entries = [entry if isinstance(entry, dict) else {} for entry in value]
    references = [_first(entry, "image_id", "file_name") for entry in entries]
    images = np.array([_or_nothing(file.image_ids.get(reference)) for reference in references], np.int64)
    kinds = np.array([_or_nothing(file.category_ids.get(entry.get("category_id"))) for entry in entries], np.int64)
    boxes, _ = matrix([entry.get("bbox") for entry in entries], 4)
    scores = scalars([_first(entry, "score", "confidence") for entry in entries])
    known = images != _NOTHING
    repairs.add(Repair.DETECTION_IMAGE, [f"[{place}]" for place in np.flatnonzero(~known)])
    wanted = np.isin(kinds, [one["id"] for one in file.categories])
    if not (wanted & known).any():
        if len({plain_id(entry.get("category_id")) for entry in entries}) > 1:
            raise InputError(
                f"{path} holds boxes of several categories, and none is that of the annotations; keep those of people"
            )
        wanted[:] = True
    repairs.add(Repair.DETECTION_CATEGORY, [f"[{place}]" for place in np.flatnonzero(known & ~wanted)])
    wrong = np.isnan(scores) | ~(boxes[:, 2:] > 0).all(1)
    repairs.add(Repair.DETECTION_WRONG, [f"[{place}]" for place in np.flatnonzero(known & wanted & wrong)])
    places = np.flatnonzero(known & wanted & ~wrong)
    places = places[np.argsort(-scores[places], kind="stable")]
    return Detections(images[places], boxes[places], scores[places], places, repairs)


def _first(entry: Mapping[str, Any], name: str, other: str) -> Any:
    """The value of a field, or of another one where it is missing or null."""
    return entry.get(other) if entry.get(name) is None else entry[name]


_NOTHING = -(2**62)  # beyond every id


def _or_nothing(number: int | None) -> int:
    return _NOTHING if number is None else number
