"""Training and validation data: annotated photos that the user names, or drawn people."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Unpack

import numpy as np

from calib_data import synthetic
from calib_data.coco import CocoPeople, Reading, open_data
from calib_data.joined import Joined
from calib_data.sample import PoseSource
from calib_data.synthetic import SyntheticPeople
from pose.cache import digests
from pose.files import sha256

_FIRST_SEED = 2  # of drawn people for training; the seed of those for validation is 1
_VALIDATED = 100  # drawn people that a network is validated on while it trains


@dataclass(frozen=True)
class Data:
    """A source, and a digest of everything that determines it, for caches, run settings and cards.

    Attributes:
        weights: how often a person of each of its files is seen in training, in relation to others; none: all alike.
    """

    source: PoseSource
    digest: str
    weights: tuple[float, ...] = ()

    def person_weights(self) -> np.ndarray | None:
        """`weights` for each person, float64 [len(source)]; None where all are alike."""
        if len(set(self.weights)) < 2 or not isinstance(self.source, Joined):
            return None
        return np.repeat(self.weights, [len(part) for part in self.source.sources])


def annotated(
    annotations: Sequence[Path],
    images: Sequence[Path],
    boxes: str,
    skeleton: str | Path | None = None,
    *,
    split: str = "train",
    min_keypoints: int = 1,
    **reading: Unpack[Reading],
) -> Data:
    """People of one or more files.

    Args:
        images: the files' image folders in the same order; none for the folders beside the files.
        boxes, skeleton, split, min_keypoints, reading: see `calib_data.coco.open_data`.

    Raises:
        InputError: see `calib_data.coco.CocoPeople`.
    """
    folders: list[Path | None] = [*images] if images else [None] * len(annotations)
    parts = [
        open_data(path, folder, skeleton, boxes, split=split, min_keypoints=min_keypoints, cache=True, **reading)
        for path, folder in zip(annotations, folders, strict=True)
    ]
    contents = [_box_content(boxes), *(_content(part) for part in parts)]
    if min_keypoints != 1:
        contents.append(f"min_keypoints {min_keypoints}")
    digest = hashlib.sha256("".join(contents).encode()).hexdigest()
    return Data(parts[0] if len(parts) == 1 else Joined(parts), digest)


def content_digest(source: PoseSource) -> str | None:
    """Digest of the people of a file or of drawn people, their photos and boxes included; None of another source."""
    if isinstance(source, CocoPeople):
        return hashlib.sha256(f"{_box_content(source.boxes)}{_content(source)}".encode()).hexdigest()
    return _digest(f"{len(source)} {source.seed}") if isinstance(source, SyntheticPeople) else None


def _box_content(boxes: str | Path) -> str:
    return sha256(Path(boxes)) if Path(boxes).is_file() else str(boxes)


def _content(people: CocoPeople) -> str:
    """Digest of everything that a source's samples follow from: annotations, photos, how these are turned, joints."""
    kinds = json.dumps([category["id"] for category in people.file.categories])
    names = [f"{number} {people.file.images[number].file_name} {people.turn(number)}" for number in people.paths]
    skeleton = json.dumps(people.skeleton.to_dict(), sort_keys=True)
    parts = [*names, *digests(people.file.sources), *digests(people.paths.values()), kinds, skeleton]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def drawn(length: int, seed: int) -> Data:
    """Drawn people for training; whatever the seed, none of them is in `drawn_validation`."""
    return Data(SyntheticPeople(length, _FIRST_SEED + seed), _digest(f"{length} {_FIRST_SEED + seed}"))


def drawn_validation() -> Data:
    """The first hundred of the drawn people for validation: enough while training; `edge.check` takes all of them."""
    return Data(synthetic.validation(_VALIDATED), _digest(f"{_VALIDATED} {synthetic.VALIDATION_SEED}"))


def _digest(people: str) -> str:
    return hashlib.sha256(f"synthetic {synthetic.VERSION} {people}".encode()).hexdigest()
