"""Annotated boxes of an image, whatever they show: joints need not be annotated."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from calib_data.coco_file import Ids, read_image
from calib_data.columns import flags, matrix
from calib_data.formats import parse
from calib_data.photos import ImageEntry
from pose.errors import InputError


def read_image_boxes(path: Path) -> dict[str, tuple[ImageEntry, list[tuple[float, float, float, float]]]]:
    """File name -> the image and the boxes of people in it, (x, y, width, height) in pixels; crowds are left out.

    Of several categories the one called person counts.

    Raises:
        InputError: the file cannot be read or a value in it is wrong; the message names the place.
    """
    held = parse(path)
    if held.in_fractions:
        raise InputError(f"{path} has boxes in fractions of the photos; give a COCO file")
    ids, categories = Ids(f"{path}: images", held.images), Ids(f"{path}: categories", held.categories)
    images = {number: read_image(f"{path}: images[{place}]", entry, number) for place, (number, entry) in enumerate(ids)}
    entries: list[dict[str, Any]] = [entry if isinstance(entry, dict) else {} for entry in held.annotations]
    kinds = [categories.get(entry.get("category_id")) for entry in entries]
    named = {number for number, category in categories if category.get("name") == "person"}
    people: set[int | None] = {*named} or set(kinds)
    if len(people) > 1 and not named:
        raise InputError(f"{path} holds boxes of several categories, none of them named person; keep those of people")
    boxes, _ = matrix([entry.get("bbox") for entry in entries], 4)
    single = flags([entry.get("iscrowd") for entry in entries]) == 0
    boxes_of: dict[int, list[tuple[float, float, float, float]]] = {number: [] for number in images}
    for place, entry in enumerate(entries):
        if not single[place] or kinds[place] not in people:
            continue
        where, number = f"{path}: annotations[{place}]", ids.get(entry.get("image_id"))
        if number is None:
            raise InputError(f"{where}: image_id {entry.get('image_id')!r:.40} is not in 'images'")
        _require_inside(where, boxes[place], images[number])
        boxes_of[number].append(tuple(boxes[place].tolist()))
    return {image.file_name: (image, boxes_of[number]) for number, image in images.items()}


def _require_inside(where: str, box: np.ndarray, image: ImageEntry) -> None:
    if not np.isfinite(box).all() or (box[2:] <= 0).any():
        raise InputError(f"{where}: bbox {box.tolist()} has no area; it is [x, y, width, height]")
    size = np.array([image.width, image.height])
    if image.width and ((box[:2] >= size).any() or (box[:2] + box[2:] <= 0).any()):
        raise InputError(f"{where}: bbox {box.tolist()} lies outside its image of {image.width} x {image.height}")
