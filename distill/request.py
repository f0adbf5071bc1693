"""The request of a training command: a student, its teacher, the people, and how to train."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Unpack

from calib_data import sources
from calib_data.coco import Reading
from calib_data.sources import Data
from distill.recipe import Recipe
from pose.errors import InputError

LABELS = "labels"  # as --teacher: the labels themselves, for people whose labels are exact


@dataclass(frozen=True)
class Request:
    """A student, its teacher, the people, and how to train.

    Attributes:
        out: the run's folder; resume: go on with the run in it.
        student, teacher: names; a teacher may be the path of a YAML, or `labels`.
        teacher_file: the teacher's weights, None for the bundled ones, or to fit it first.
        weights: where the student starts, None for the usual place.
        workers: processes that make crops; 0 makes them in this one.
        replaces: name of a larger student, whose weights `weights` are then; see `distill.smaller`.

    Raises:
        InputError: the recipe trains new weights only, and there is no larger student that lacks them.
    """

    out: Path
    student: str
    teacher: str
    teacher_file: Path | None
    train: Data
    validation: Data
    recipe: Recipe
    weights: Path | None = None
    resume: bool = False
    workers: int = 0
    replaces: str | None = None

    def __post_init__(self) -> None:
        if self.replaces is None:
            self.recipe.require_all_learn()


def people(
    data: Sequence[Path] | None,
    images: Sequence[Path] | None,
    skeleton: str | None,
    boxes: str,
    val: Path | None,
    val_images: Path | None,
    count: int,
    seed: int,
    *,
    unlabelled: bool = False,
    weights: Sequence[float] | None = None,
    **reading: Unpack[Reading],
) -> tuple[Data, Data]:
    """Training and validation people of a command line; without `data`, `count` drawn ones.

    Args:
        unlabelled: train on people without any labelled joint, too: a teacher supervises them.
        weights: one for each file of `data`; see `Data.weights`.

    Raises:
        InputError: files that are wrong, or flags that do not belong together.
    """
    if images and len(images) != len(data or []):
        raise InputError(f"{len(images)} --images for {len(data or [])} --data; give one folder for each, in the same order")
    _check_weights(weights or [], data or [])
    if bool(data) != bool(val):
        raise InputError("--data and --val belong together: photos are validated on photos; give both, or neither")
    if boxes not in ("annotation", "keypoints"):
        raise InputError(f"--boxes {boxes}: training takes annotation or keypoints; edge.check takes a detector's, too")
    if val_images is not None and val is None:
        raise InputError("--val-images belongs to --val; give both, or neither")
    if not data or val is None:
        if skeleton is not None or any(reading.values()):
            flag = "--skeleton" if skeleton is not None else next(f"--{name}" for name, value in reading.items() if value)
            raise InputError(f"{flag} is for --data; drawn people need none")
        return sources.drawn(count, seed), sources.drawn_validation()
    least = 0 if unlabelled else 1
    train = sources.annotated(data, images or [], boxes, skeleton, split="train", min_keypoints=least, **reading)
    held_out = sources.annotated([val], [val_images] if val_images else [], boxes, skeleton, split="val", **reading)
    return replace(train, weights=tuple(weights or ())), held_out


def _check_weights(weights: Sequence[float], data: Sequence[Path]) -> None:
    if weights and len(weights) != len(data):
        raise InputError(f"{len(weights)} --data-weight for {len(data)} --data; give one for each, in the same order")
    for weight, path in zip(weights, data, strict=False):
        if not (weight > 0 and math.isfinite(weight)):
            raise InputError(f"--data-weight {weight:g} of {path} must be above 0; leave the file out instead")
