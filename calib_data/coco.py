"""Annotated people in photos: a COCO keypoint json and a folder of images."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from calib_data.coco_file import BoxEntry, ImageEntry, PersonEntry, read_boxes, read_people
from calib_data.photos import Photos
from calib_data.sample import Labels
from pose import skeleton as skeletons
from pose.errors import InputError
from pose.joint_names import DEFAULT_SIGMA
from pose.skeleton import Skeleton

_GROWTH = 1.2  # of boxes about keypoints: with a crop's padding of 1.25 the crop is 1.5 times their longer side
_SAME = 0.5  # intersection over union from which a detected box belongs to an annotated person


@dataclass(frozen=True)
class _Person:
    image: ImageEntry
    box: np.ndarray
    keypoints: np.ndarray
    area: float
    person_id: int
    score: float


class CocoPeople:
    """A `calib_data.sample.PoseSource` of annotated people, or of detected boxes.

    Attributes:
        skeleton: of the joints that the json's category names, see `pose.skeleton.from_category`.
        annotations: every annotated person as a COCO dict, crowds and people without keypoints too: the truth of OKS AP.
        scores: float64 [len], the detector's score of each box; 1 for annotated boxes.

    Args:
        annotations: the json. images: the folder of its file names.
        skeleton: needed where the category does not name its joints; otherwise its joints must be the category's.
        boxes: `annotation`: as annotated. `keypoints`: the tight box of the labelled joints, grown to 1.2 times its size;
            the annotated one of a person without labelled joints.
            A path: detected boxes in COCO's results format, one sample per box, best score first. A box is matched to the
            unmatched person that it overlaps most, by an intersection over union of 0.5 or more, and gets that person's
            keypoints, area and id; an unmatched box has no labelled keypoints and a negative id.
        min_keypoints: annotated people with fewer labelled joints are no samples.
        cache: keep decoded images in memory, see `calib_data.photos`.

    Raises:
        InputError: a file is missing or wrong; the message names the place. An image that cannot be decoded raises it when
            it is read.
    """

    def __init__(
        self,
        annotations: Path,
        images: Path,
        skeleton: Skeleton | None = None,
        *,
        boxes: str | Path = "annotation",
        min_keypoints: int = 1,
        cache: bool = False,
    ) -> None:
        annotations = Path(annotations)
        self.skeleton, entries, people = read_people(annotations, skeleton)
        self.annotations = [_as_coco(person) for person in people]
        labelled = [person for person in people if not person.iscrowd and _count(person) >= min_keypoints]
        if isinstance(boxes, Path):
            self._people = _detected(read_boxes(boxes, entries), entries, labelled, len(self.skeleton))
        else:
            make = {"annotation": _annotated_box, "keypoints": _keypoint_box}[boxes]
            self._people = [_sample_of(person, entries, make(annotations, person)) for person in labelled]
        if not self._people:
            raise InputError(f"{annotations} holds no person with {min_keypoints} or more labelled keypoints")
        self.scores = np.array([person.score for person in self._people])
        self._photos = Photos(Path(images), keep=cache)
        for entry in {person.image.id: person.image for person in self._people}.values():
            self._photos.require(entry)

    def __len__(self) -> int:
        return len(self._people)

    def labels(self, index: int) -> Labels:
        person = self._people[index]
        return Labels(person.box, person.keypoints, person.area, person.image.id, person.person_id)

    def image(self, index: int) -> np.ndarray:
        return self._photos.read(self._people[index].image)


def open_data(
    annotations: Path,
    images: Path | None = None,
    skeleton: str | Path | None = None,
    boxes: str = "annotation",
    *,
    min_keypoints: int = 1,
    cache: bool = False,
) -> CocoPeople:
    """`CocoPeople` of the values of a command line's options.

    Args:
        images: default the folder `images` beside the json, or beside the folder that the json is in.
        skeleton: a name in `pose.skeleton.SKELETONS`, or the path of a skeleton's YAML.
        boxes: `annotation`, `keypoints`, or the path of a json of detected boxes.
        min_keypoints, cache: see `CocoPeople`.
    """
    annotations = Path(annotations)
    beside = annotations.parent / "images"
    folder = images or (beside if beside.is_dir() else annotations.parent.parent / "images")
    known = skeletons.load(skeleton) if skeleton else None
    chosen = boxes if boxes in ("annotation", "keypoints") else Path(boxes)
    people = CocoPeople(annotations, folder, known, boxes=chosen, min_keypoints=min_keypoints, cache=cache)
    _note_assumed_sigmas(people.skeleton)
    return people


@functools.cache
def _note_assumed_sigmas(skeleton: Skeleton) -> None:
    """Tell the user once which joints are scored with the default OKS constant."""
    from pose import cli

    if skeleton.assumed_sigmas:
        names, count = skeleton.assumed_sigmas, len(skeleton.assumed_sigmas)
        which = ", ".join(names) if count <= 4 else f"{count} of the {len(skeleton)} joints"
        cli.note(
            f"note: no OKS sigma is known for {which} of skeleton '{skeleton.name}': {DEFAULT_SIGMA} is assumed (COCO's "
            f"shoulder); for AP by your own, add 'sigmas' to the category"
        )


def _count(person: PersonEntry) -> int:
    return sum(v > 0 for v in (person.keypoints or [])[2::3])


def _keypoints(person: PersonEntry) -> np.ndarray:
    return np.array(person.keypoints, np.float64).reshape(-1, 3)


def _as_coco(person: PersonEntry) -> dict[str, Any]:
    fields = person.model_dump(include={"id", "image_id", "category_id", "area", "keypoints", "iscrowd"})
    return {**fields, "bbox": list(person.bbox), "num_keypoints": _count(person)}


def _sample_of(person: PersonEntry, images: dict[int, ImageEntry], box: np.ndarray, score: float = 1.0) -> _Person:
    return _Person(images[person.image_id], box, _keypoints(person), person.area, person.id, score)


def _annotated_box(annotations: Path, person: PersonEntry) -> np.ndarray:
    return np.array(person.bbox, np.float64)


def _keypoint_box(annotations: Path, person: PersonEntry) -> np.ndarray:
    keypoints = _keypoints(person)
    points = keypoints[keypoints[:, 2] > 0, :2]
    if not len(points):
        return _annotated_box(annotations, person)
    low, high = points.min(0), points.max(0)
    if (high <= low).all():
        where = f"{annotations}: annotation {person.id}"
        raise InputError(f"{where}: its labelled joints lie on one point and have no box; use --boxes annotation")
    size = (high - low) * _GROWTH
    return np.concatenate([(low + high - size) / 2, size])


def _detected(boxes: list[BoxEntry], images: dict[int, ImageEntry], people: list[PersonEntry], joints: int) -> list[_Person]:
    """A sample for every detected box, best score first; an annotated person is matched to one box at most."""
    free: dict[int, list[PersonEntry]] = {}
    for person in people:
        free.setdefault(person.image_id, []).append(person)
    samples = []
    for number, box in sorted(enumerate(boxes), key=lambda item: -item[1].score):
        place = np.array(box.bbox, np.float64)
        candidates = free.get(box.image_id, [])
        best = max(candidates, key=lambda person: _overlap(place, np.array(person.bbox)), default=None)
        if best is not None and _overlap(place, np.array(best.bbox)) >= _SAME:
            candidates.remove(best)
            samples.append(_sample_of(best, images, place, box.score))
        else:
            nothing = np.zeros((joints, 3))
            samples.append(_Person(images[box.image_id], place, nothing, box.bbox[2] * box.bbox[3], -1 - number, box.score))
    return samples


def _overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of two boxes (x, y, width, height)."""
    sides = np.minimum(a[:2] + a[2:], b[:2] + b[2:]) - np.maximum(a[:2], b[:2])
    shared = float(np.prod(np.maximum(sides, 0)))
    return shared / float(np.prod(a[2:]) + np.prod(b[2:]) - shared)
