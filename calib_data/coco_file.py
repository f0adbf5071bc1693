"""The COCO keypoint json: the fields that are read, and their checks.

Format: https://cocodataset.org/#format-data (keypoint detection) and #format-results (detected boxes).
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, field_validator

from pose import joint_names
from pose import skeleton as skeletons
from pose.errors import InputError
from pose.skeleton import Skeleton

Id = Annotated[int, Field(ge=-(2**53), le=2**53)]
Pixels = Annotated[float, Field(ge=-1e6, le=1e6)]  # far beyond any image; what is larger is a mistake, and overflows later


class _Entry(BaseModel):
    model_config = ConfigDict(strict=True, allow_inf_nan=False, frozen=True)


class ImageEntry(_Entry):
    id: Id
    file_name: str
    width: int = Field(ge=1, le=65535)
    height: int = Field(ge=1, le=65535)

    @field_validator("file_name")
    @classmethod
    def _inside(cls, name: str) -> str:
        path = PurePosixPath(name)
        if not path.name or path.is_absolute() or ".." in path.parts or not name.isprintable():
            raise ValueError("must be the name of a file in the image folder")
        return name


class PersonEntry(_Entry):
    id: Id
    image_id: Id
    category_id: Id
    bbox: tuple[Pixels, Pixels, Pixels, Pixels]
    area: float = Field(ge=0, le=1e12)
    keypoints: list[Pixels] | None = None
    iscrowd: int = Field(default=0, ge=0, le=1)


class CategoryEntry(_Entry):
    id: Id
    name: str
    keypoints: list[str] | None = None
    skeleton: Any = None  # these four are read by `pose.skeleton.from_category`, unless it knows the joints
    flip_pairs: Any = None
    flip_idx: Any = None
    sigmas: Any = None


class BoxEntry(_Entry):
    """A detected box."""

    image_id: Id
    category_id: Id
    bbox: tuple[Pixels, Pixels, Pixels, Pixels]
    score: float = Field(ge=-1e6, le=1e6)


class CocoFile(_Entry):
    images: list[ImageEntry]
    annotations: list[PersonEntry]
    categories: list[CategoryEntry]


class _AnnotatedBox(_Entry):
    image_id: Id
    category_id: Id
    bbox: tuple[Pixels, Pixels, Pixels, Pixels]
    iscrowd: int = Field(default=0, ge=0, le=1)


class _BoxesFile(_Entry):
    images: list[ImageEntry]
    annotations: list[_AnnotatedBox]
    categories: list[CategoryEntry] = []


def read_people(path: Path, skeleton: Skeleton | None) -> tuple[Skeleton, dict[int, ImageEntry], list[PersonEntry]]:
    """The skeleton, the images by id, and every annotation of the category that has keypoints, crowds included.

    Raises:
        InputError: the file cannot be read or a value in it is wrong; the message names the place.
    """
    held: CocoFile = _validated(path, TypeAdapter(CocoFile))
    for kind, entries in (("image", held.images), ("annotation", held.annotations), ("category", held.categories)):
        _unique(path, kind, [entry.id for entry in entries])
    category, skeleton = _category(path, held.categories, skeleton)
    images = {image.id: image for image in held.images}
    people = [person for person in held.annotations if person.category_id == category.id]
    for person in people:
        _check_person(f"{path}: annotation {person.id}", person, images, skeleton)
    return skeleton, images, people


def read_boxes(path: Path, images: dict[int, ImageEntry]) -> list[BoxEntry]:
    """Detected boxes, all of one category, in COCO's results format.

    Raises:
        InputError: the file cannot be read or a value in it is wrong; the message names the place.
    """
    boxes: list[BoxEntry] = _validated(path, TypeAdapter(list[BoxEntry]))
    if len({box.category_id for box in boxes}) > 1:
        raise InputError(f"{path} holds boxes of several categories; keep those of people")
    for number, box in enumerate(boxes):
        if box.image_id not in images:
            raise InputError(f"{path}: [{number}].image_id {box.image_id} is not an image of the annotations")
        check_box(f"{path}: [{number}]", box.bbox, images[box.image_id])
    return boxes


def read_image_boxes(path: Path) -> dict[str, tuple[ImageEntry, list[tuple[float, float, float, float]]]]:
    """File name -> the image and the annotated boxes of people in it, crowds excluded; joints need not be annotated.

    Of several categories the one called person counts.

    Raises:
        InputError: the file cannot be read or a value in it is wrong; the message names the place.
    """
    held: _BoxesFile = _validated(path, TypeAdapter(_BoxesFile))
    _unique(path, "image", [image.id for image in held.images])
    images = {image.id: image for image in held.images}
    boxes: dict[int, list[tuple[float, float, float, float]]] = {number: [] for number in images}
    named = {category.id for category in held.categories if category.name == "person"}
    people = named or {annotation.category_id for annotation in held.annotations}
    if len(people) > 1 and not named:
        raise InputError(f"{path} holds boxes of several categories, none of them named person; keep those of people")
    for number, annotation in enumerate(held.annotations):
        where = f"{path}: annotations[{number}]"
        if annotation.image_id not in images:
            raise InputError(f"{where}: image_id {annotation.image_id} is not in 'images'")
        if not annotation.iscrowd and annotation.category_id in people:
            check_box(where, annotation.bbox, images[annotation.image_id])
            boxes[annotation.image_id].append(annotation.bbox)
    return {image.file_name: (image, boxes[image.id]) for image in held.images}


def check_box(where: str, box: tuple[float, float, float, float], image: ImageEntry) -> None:
    """Raises: InputError: the box has no area, or none of it is in the image."""
    x, y, w, h = box
    if w <= 0 or h <= 0:
        raise InputError(f"{where}: bbox {list(box)} has no area; it is [x, y, width, height]")
    if x >= image.width or y >= image.height or x + w <= 0 or y + h <= 0:
        raise InputError(f"{where}: bbox {list(box)} lies outside its image of {image.width} x {image.height}")


def _validated(path: Path, adapter: TypeAdapter) -> Any:
    try:
        return adapter.validate_json(path.read_bytes())
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}; --data takes a COCO keypoint json") from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"]).removeprefix(".")
        raise InputError(f"{path}: {where + ': ' if where else ''}{first['msg']}") from error


def _unique(path: Path, kind: str, ids: list[int]) -> None:
    seen: set[int] = set()
    for number in ids:
        if number in seen:
            raise InputError(f"{path}: {kind} id {number} is used twice; ids must be unique")
        seen.add(number)


def _category(path: Path, held: list[CategoryEntry], skeleton: Skeleton | None) -> tuple[CategoryEntry, Skeleton]:
    jointed = [category for category in held if category.keypoints]
    people = [category for category in (jointed or held) if category.name == "person"] or jointed or held
    if len(people) != 1 or not (jointed or skeleton):
        names = ", ".join(repr(category.name) for category in people[:5]) or "none"
        if len(jointed) > 1:
            raise InputError(f"{path}: several categories name keypoints ({names}); keep the annotations of one")
        raise InputError(f"{path}: none of 'categories' ({names}) names its keypoints; is it a keypoint file?")
    category = people[0]
    if category.keypoints is None:
        assert skeleton is not None
        return category, skeleton
    if skeleton is not None:
        if joint_names.match(category.keypoints, skeleton.joints, skeleton.aliases):
            return category, skeleton
        raise InputError(f"{path}: category '{category.name}' does not have the joints of {skeleton.name} in their order")
    try:
        return category, skeletons.from_category(category.model_dump(exclude_none=True))
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _check_person(where: str, person: PersonEntry, images: dict[int, ImageEntry], skeleton: Skeleton) -> None:
    if person.image_id not in images:
        raise InputError(f"{where}: image_id {person.image_id} is not in 'images'")
    if person.keypoints is None:
        raise InputError(f"{where} has no keypoints; give a keypoint file, not one of boxes")
    if len(person.keypoints) != 3 * len(skeleton):
        count = len(person.keypoints)
        raise InputError(
            f"{where} has {count} keypoint numbers; {skeleton.name} needs 3 x {len(skeleton)} = {3 * len(skeleton)}"
        )
    if not set(person.keypoints[2::3]) <= {0, 1, 2}:
        raise InputError(f"{where}: every third keypoint number is a visibility, 0, 1 or 2")
    if not person.iscrowd and any(person.keypoints[2::3]):
        check_box(where, person.bbox, images[person.image_id])
        if person.area <= 0:
            raise InputError(f"{where}: area is {person.area}; it must be above 0")
