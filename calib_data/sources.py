"""Where training and validation crops come from: annotated photos that the user names, or drawn people."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from calib_data.coco import open_data
from calib_data.joined import Joined
from calib_data.sample import PoseSource
from pose.files import sha256

_FIRST_SEED = 2  # of training; 1 is that of the people who are validated on
_VALIDATED = 100  # drawn people, while a network trains


@dataclass(frozen=True)
class Data:
    """A source and the digest of what determines it, for caches, run settings and cards."""

    source: PoseSource
    digest: str


def annotated(annotations: Sequence[Path], images: Sequence[Path], boxes: str) -> Data:
    """People of one or more COCO keypoint files; `images` are their folders in the same order, or none for the usual places.

    Raises:
        InputError: see `calib_data.coco.CocoPeople`.
    """
    folders: list[Path | None] = [*images] if images else [None] * len(annotations)
    parts = [open_data(path, folder, boxes=boxes, cache=True) for path, folder in zip(annotations, folders, strict=True)]
    where = sha256(Path(boxes)) if Path(boxes).is_file() else boxes
    digest = hashlib.sha256("".join([where, *(sha256(path) for path in annotations)]).encode()).hexdigest()
    return Data(parts[0] if len(parts) == 1 else Joined(parts), digest)


def drawn(length: int, seed: int) -> Data:
    """The embedded synthetic set for training; no seed gives anybody whom `drawn_validation` has."""
    from calib_data.synthetic import SyntheticPeople

    return Data(SyntheticPeople(length, _FIRST_SEED + seed), _digest(f"{length} {_FIRST_SEED + seed}"))


def drawn_validation() -> Data:
    """The first hundred of the embedded synthetic set for validation: `edge.check` takes them all, training cannot wait."""
    from calib_data import synthetic

    return Data(synthetic.validation(_VALIDATED), _digest(f"{_VALIDATED} {synthetic.VALIDATION_SEED}"))


def _digest(people: str) -> str:
    from calib_data import synthetic

    return hashlib.sha256(f"synthetic {synthetic.VERSION} {people}".encode()).hexdigest()
