"""Annotated people in photos: a file of annotations and a folder of images."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypedDict, Unpack

import numpy as np

from calib_data import geometry, given_photos
from calib_data.coco_file import read_people
from calib_data.detections import Detections, read_boxes
from calib_data.formats import yolo
from calib_data.photos import Exif, Photos
from calib_data.repairs import Repair
from calib_data.sample import Labels
from pose import cli
from pose import skeleton as skeletons
from pose.errors import InputError
from pose.joint_names import DEFAULT_SIGMA
from pose.skeleton import Skeleton


class CocoPeople:
    """A `calib_data.sample.PoseSource` of annotated people, or of detected boxes.

    Attributes:
        skeleton: as which the file's joints are read, see `calib_data.categories.joints_of`.
        file: what the file holds; `file.repairs`: what was repaired or left out, a sentence each.
        scores: float64 [len], the detector's score of each box; 1 for annotated boxes.
        boxes: which boxes, as the argument.
        paths: the photos by image id.

    Args:
        annotations: a COCO keypoint json, or a file in another format of `calib_data.formats`.
        images: the folder of its file names.
        skeleton: needed where the file does not name its joints; otherwise its joints must be among the file's.
        category: the name or id of one, where the file has several of different joints.
        boxes: `annotation`: as annotated. `keypoints`: the tight box of the labelled joints, grown to 1.2 times its size;
            the annotated one of a person without labelled joints.
            A path: detected boxes in COCO's results format, one sample per box, best score first. A box is matched to the
            unmatched person that it overlaps most, by an intersection over union of 0.5 or more, and gets that person's
            keypoints, area and id; an unmatched box has no labelled keypoints and a negative id.
        min_keypoints: annotated people with fewer labelled joints are no samples.
        cache: keep decoded images in memory, see `calib_data.photos`; exif: see there.
        split: see `calib_data.coco_file.read_people`; strict, too.
        photos: take the people of these photos, instead of those of a folder; they need no keypoints. `given` holds the ids
            of the images that each is, `not_given` why others are none.

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
        category: str | None = None,
        boxes: str | Path = "annotation",
        min_keypoints: int = 1,
        cache: bool = False,
        exif: Exif | None = None,
        split: str = "val",
        strict: bool = False,
        photos: Sequence[Path] | None = None,
    ) -> None:
        annotations, self.boxes = Path(annotations), boxes
        unlabelled = photos is not None
        self.file = file = read_people(annotations, skeleton, category, split=split, strict=strict, unlabelled=unlabelled)
        self.skeleton, self._people = file.skeleton, file.people
        self._given_ids: set[int] | None = None
        detections = read_boxes(boxes, file) if isinstance(boxes, Path) else None
        if photos is not None:
            self._take_only(photos)
        turned = exif or ("apply" if file.turned else None)
        self._photos = Photos(Path(images), keep=cache, exif=turned, late=photos is not None)
        self._sizes, self.paths = self._survey(detections, min_keypoints)
        geometry.repair(self._people, self._sizes, file.repairs, in_fractions=file.in_fractions, least=min_keypoints)
        is_person = ~self._people.is_crowd & (self._people.labelled >= min_keypoints)
        labelled = np.flatnonzero(is_person & (self._people.boxes[:, 2:] > 0).all(1))
        if not len(labelled):
            reason = f"; {file.repairs.first_loss}" if file.repairs.first_loss else ""
            raise InputError(f"{annotations} holds no person with {min_keypoints} or more labelled keypoints{reason}")
        if detections is not None:
            detections = detections.in_pixels(self._people, labelled, self._sizes)
            self._rows = detections.match(self._people, labelled)
            if (self._rows < 0).all():
                reason = "are they of its photos?" if len(self._rows) else detections.repairs.first_loss or "it holds none"
                raise InputError(f"{boxes}: none of {len(self._rows)} boxes is on a person of {annotations}; {reason}")
            self._image_ids, self._boxes, self.scores = detections.image_ids, detections.boxes, detections.scores
            self._person_ids = np.where(self._rows >= 0, self._people.ids[self._rows], -1 - detections.places)
        else:
            self._rows, self._image_ids = labelled, self._people.image_ids[labelled]
            self._person_ids, self.scores = self._people.ids[labelled], np.ones(len(labelled))
            self._boxes = self._people.boxes[labelled] if boxes == "annotation" else self._joint_boxes()

    def __len__(self) -> int:
        return len(self._rows)

    def labels(self, index: int) -> Labels:
        index = range(len(self))[index]
        row, box = self._rows[index], self._boxes[index]
        keypoints = self._people.keypoints[row].copy() if row >= 0 else np.zeros((len(self.skeleton), 3))
        area = self._people.areas[row] if row >= 0 else box[2] * box[3]
        return Labels(box.copy(), keypoints, float(area), int(self._image_ids[index]), int(self._person_ids[index]))

    def size(self, image_id: int) -> tuple[int, int]:
        """Width and height of an image in pixels."""
        return self._sizes[image_id]

    def turn(self, image_id: int) -> int:
        """The EXIF orientation that is applied to a photo; 1 for none."""
        return self._photos.turns.get(image_id, 1)

    def image(self, index: int) -> np.ndarray:
        return self.photo(int(self._image_ids[index]))

    def photo(self, image_id: int) -> np.ndarray:
        """The pixels of an image, as `image` of its people."""
        return self._photos.read(self.file.images[image_id])

    def boxes_of(self, image_id: int) -> np.ndarray:
        """The boxes of an image's samples, float64 [N, 4], in their order."""
        return self._boxes[self._image_ids == image_id]

    @cached_property
    def annotations(self) -> list[dict[str, Any]]:
        """Every annotated person as a COCO dict, crowds and people without labelled joints too: the truth of OKS AP."""
        people = self._people
        columns = (people.ids, people.image_ids, people.category_ids, people.areas, people.is_crowd, people.labelled)
        return [
            {
                "id": number, "image_id": image, "category_id": category, "area": area, "iscrowd": int(crowd),
                "num_keypoints": count, "bbox": box, "keypoints": triples,
            }
            for number, image, category, area, crowd, count, box, triples in zip(
                *(column.tolist() for column in columns), people.boxes.tolist(),
                people.keypoints.reshape(len(people), -1).tolist(), strict=True,
            )
        ]  # fmt: skip

    def _take_only(self, photos: Sequence[Path]) -> None:
        """The people of other images stay where their size is known: whether a file is in fractions follows from all."""
        images = self.file.images
        self.given, self.not_given = given_photos.match(photos, images.values())
        for photo, numbers in self.given.items():
            images.update({number: replace(images[number], path=photo) for number in numbers})
        self._given_ids = {number for numbers in self.given.values() for number in numbers}
        sized = self._given_ids | {number for number, entry in images.items() if entry.width}
        self._people.keep(np.isin(self._people.image_ids, list(sized)))

    def _survey(self, detections: Detections | None, least: int) -> tuple[dict[int, tuple[int, int]], dict[int, Path]]:
        """Sizes of all images of annotations, and the photos of those that samples come from."""
        used = set(self._people.image_ids[(self._people.labelled >= least) & ~self._people.is_crowd].tolist())
        used |= set(detections.image_ids.tolist() if detections is not None else ())
        used = used if self._given_ids is None else self._given_ids
        entries = [self.file.images[number] for number in sorted(used)]
        sizes, paths = self._photos.survey(entries)
        missing = [entry.file_name for entry in entries if not entry.width]
        if missing and not self.file.in_fractions:
            self.file.repairs.add(Repair.SIZE_MISSING, detail=f"{len(missing)} image{'s' * (len(missing) > 1)}")
        others = {entry.id: (entry.width, entry.height) for entry in self.file.images.values()}
        return others | sizes, paths

    def _joint_boxes(self) -> np.ndarray:
        """Boxes of the labelled joints; annotated ones of people without labels, or whose joints lie on one point."""
        boxes = geometry.joint_boxes(self._people.keypoints[self._rows])
        flat, unlabelled = boxes[:, 2:].max(1) <= 0, np.isnan(boxes).any(1)
        self.file.repairs.add(Repair.ON_ONE_POINT, self._person_ids[flat].tolist())
        return np.where((flat | unlabelled)[:, None], self._people.boxes[self._rows], boxes)


class Reading(TypedDict, total=False):
    """Options of every command that reads people; see `CocoPeople`."""

    category: str | None
    exif: Exif | None
    strict: bool


class Opening(Reading, total=False):
    """What `CocoPeople` takes beside them, as it takes it."""

    split: str
    min_keypoints: int
    cache: bool
    photos: Sequence[Path] | None


def read_data(
    annotations: Path,
    images: Path | None = None,
    skeleton: str | Path | None = None,
    boxes: str = "annotation",
    **opening: Unpack[Opening],
) -> CocoPeople:
    """`CocoPeople` of the values of a command line's options.

    Args:
        images: default the folder `images` beside the json, or beside the folder that the json is in, or the json's own.
        skeleton: a name in `pose.skeleton.SKELETONS`, or the path of a skeleton's YAML.
        boxes: `annotation`, `keypoints`, or the path of a json of detected boxes.
        opening: see `CocoPeople`.
    """
    annotations = Path(annotations)
    if images is not None and yolo.description(annotations) is not None:
        raise InputError(f"{annotations} names its photos itself; leave out --images {images}")
    beside, above = annotations.parent / "images", annotations.parent.parent / "images"
    folder = images or next((place for place in (beside, above) if place.is_dir()), annotations.parent)
    known = skeletons.load(skeleton) if skeleton else None
    chosen = boxes if boxes in ("annotation", "keypoints") else Path(boxes)
    return CocoPeople(annotations, folder, known, boxes=chosen, **opening)


def open_data(
    annotations: Path,
    images: Path | None = None,
    skeleton: str | Path | None = None,
    boxes: str = "annotation",
    **opening: Unpack[Opening],
) -> CocoPeople:
    """`read_data`, and print what was repaired or left out and what looks wrong, a line each."""
    from calib_data.hints import hints

    annotations = Path(annotations)
    people = read_data(annotations, images, skeleton, boxes, **opening)
    for sentence in people.file.repairs:
        cli.note(f"note: {sentence}")
    for sentence in hints(people):
        cli.note(f"hint: {annotations.name}: {sentence}")
    _note_assumed_sigmas(people.skeleton)
    return people


@functools.cache
def _note_assumed_sigmas(skeleton: Skeleton) -> None:
    """Tell the user once which joints are scored with the default OKS constant."""
    if skeleton.assumed_sigmas:
        names, count = skeleton.assumed_sigmas, len(skeleton.assumed_sigmas)
        which = ", ".join(names) if count <= 4 else f"{count} of the {len(skeleton)} joints"
        cli.note(
            f"note: no OKS sigma is known for {which} of skeleton '{skeleton.name}': {DEFAULT_SIGMA} is assumed (COCO's "
            f"shoulder); for AP by your own, add 'sigmas' to the category"
        )
