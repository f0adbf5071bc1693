"""COCO keypoint files as they are published: what is read from one, in plain types. `geometry` then repairs the numbers.

Format: https://cocodataset.org/#format-data (keypoint detection).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from reprlib import repr as brief
from typing import Any, NamedTuple

import numpy as np

from calib_data import categories as choice
from calib_data.columns import flags, matrix, scalars
from calib_data.formats import no_garbage_collection, parse
from calib_data.photo_names import name_parts
from calib_data.photos import ImageEntry
from calib_data.repairs import Repair, Repairs
from pose.errors import InputError
from pose.joint_names import name_nothing
from pose.skeleton import Skeleton
from pose.streams import printable

_LARGEST_ID = 2**62 - 1  # of what an int64 holds; the rest is free for ids of nothing
_LARGEST_FLOAT_ID = 2**53  # up to which a float is every integer
_LARGEST_SIDE = 65535
_MOST = {"images": 2_000_000, "annotations": 2_000_000, "categories": 10_000}  # entries that are read
_MOST_JOINTS = 1_000
_MOST_NUMBERS = 1 << 26  # of all keypoints, 0.5 GB: 260,000 people have 13 million


@dataclass
class PeopleTable:
    """Annotated people in columns, one row each; N people, K joints.

    Attributes:
        ids, image_ids, category_ids: int64 [N].
        boxes: float64 [N, 4], (x, y, width, height); NaN where the file has none.
        areas: float64 [N]; NaN where the file has none.
        keypoints: float64 [N, K, 3], (x, y, v) in image pixels and the joints of the skeleton.
        is_crowd: bool [N].
        stated: float64 [N], `num_keypoints` of the file; NaN where it has none.
    """

    ids: np.ndarray
    image_ids: np.ndarray
    category_ids: np.ndarray
    boxes: np.ndarray
    areas: np.ndarray
    keypoints: np.ndarray
    is_crowd: np.ndarray
    stated: np.ndarray

    def __len__(self) -> int:
        return len(self.ids)

    def keep(self, rows: np.ndarray) -> None:
        """Keep the rows of a mask, bool [N]."""
        if rows.all():
            return  # without a second copy of everything
        for name, column in vars(self).items():
            setattr(self, name, column[rows])

    @property
    def labelled(self) -> np.ndarray:
        """Number of labelled joints, int64 [N]."""
        return (self.keypoints[..., 2] > 0).sum(1)


class Ids:
    """The ids of a file's images or categories as integers: those that it has, else the entries' places.

    Numbers may be written as 7, 7.0 and "7"; where an id is other text, all entries are numbered from 1. An entry that is
    there twice, as where files were joined, counts once. Images may also be referred to by `file_name`, or by its stem.

    Raises:
        InputError: an entry has no id, or two different ones have the same.
    """

    def __init__(self, where: str, entries: Sequence[Any]) -> None:
        self._entries = entries
        self._places = places = dict[Hashable, int]()
        for place, entry in enumerate(entries):
            if not isinstance(entry, dict):
                raise InputError(f"{where}[{place}] must be an object")
            key = plain_id(entry.get("id"))
            if key is None:
                raise InputError(f"{where}[{place}].id: {brief(entry.get('id'))} is no id; it must be a number or a text")
            if key not in places:
                places[key] = place
            elif entry != entries[places[key]]:
                raise InputError(f"{where}[{place}].id: {key} is used twice; ids must be unique")
        are_numbers = all(isinstance(key, int) for key in places)
        self._numbers = {key: key if isinstance(key, int) and are_numbers else place + 1 for key, place in places.items()}

    def __iter__(self) -> Iterator[tuple[int, int, dict[str, Any]]]:
        """(place, id, entry) in the file's order."""
        return ((place, self._numbers[key], self._entries[place]) for key, place in self._places.items())

    def __len__(self) -> int:
        return len(self._places)

    def get(self, reference: Any) -> int | None:
        """The id of a reference to an entry; None where there is no such entry."""
        number = self._numbers.get(plain_id(reference))
        if isinstance(reference, str) and (text := reference.strip()) != str(number):  # `000001` may be a file's stem
            named = self._by_name.get(text)
            return number if named is None else named
        return number

    @cached_property
    def _by_name(self) -> dict[str, int | None]:
        """The id of an image by its file's name, that without folders, and its stem; None where several images have it."""
        numbers: dict[str, int | None] = {}
        for _, number, entry in self:
            if isinstance(name := entry.get("file_name"), str):
                last = name.replace("\\", "/").rpartition("/")[2]
                for text in {name, last, last.rpartition(".")[0]}:
                    numbers[text] = number if numbers.get(text, number) == number else None
        return numbers


@dataclass(frozen=True)
class PeopleFile:
    """What a file holds of one category.

    Attributes:
        skeleton: of `people`. images: by id.
        categories: the category or categories that were read, with their ids as integers.
        image_ids, category_ids: the ids of references.
        sources: the files that it was read from, the annotation file first.
        in_fractions, turned: see `calib_data.formats.Held`.
    """

    skeleton: Skeleton
    images: dict[int, ImageEntry]
    people: PeopleTable
    repairs: Repairs
    categories: Sequence[choice.Category]
    image_ids: Ids
    category_ids: Ids
    sources: Sequence[Path]
    in_fractions: bool
    turned: bool


@no_garbage_collection()
def read_people(
    path: Path,
    skeleton: Skeleton | None = None,
    category: str | None = None,
    *,
    split: str = "val",
    strict: bool = False,
    unlabelled: bool = False,
) -> PeopleFile:
    """The images, and the annotations of the category that have keypoints, crowds included.

    Args:
        path: a COCO keypoint file, or another one of `calib_data.formats`.
        skeleton: see `calib_data.categories.joints_of`. category: the name or id of one, where the file has several.
        split: of a format that has several in one file.
        strict: refuse a file with an annotation that would be left out or changed.
        unlabelled: take annotations without keypoints too, and number joints that the file does not name.

    Raises:
        InputError: the file cannot be read, or a value in it is wrong; the message names the place.
    """
    held = parse(path, split)
    for part, most in _MOST.items():
        if (count := len(getattr(held, part))) > most:
            raise InputError(f"{path}: {part}: {count:,} are more than the {most:,} that are read; split the file")
    repairs = Repairs(path.name, strict=strict)
    image_ids = Ids(f"{path}: images", held.images)
    categories = held.categories or ([{"id": 1, "name": "person"}] if skeleton is not None else [])
    category_ids = Ids(f"{path}: categories", categories)
    images = {number: _image(f"{path}: images[{place}]", entry, number) for place, number, entry in image_ids}
    kinds = [_category(f"{path}: categories[{place}]", entry, number) for place, number, entry in category_ids]
    rows = _objects(held.annotations, image_ids, category_ids, repairs)
    try:
        chosen = choice.choose(kinds, category, {row.category_id for row in rows if row.entry.get("keypoints")})
        selected = {one["id"] for one in chosen}
        others = [row for row in rows if row.category_id not in selected and row.entry.get("keypoints")]
        rows = [row for row in rows if row.category_id in selected]
        first = chosen[0]
        if len(chosen) > 1:
            repairs.add(Repair.CATEGORIES_MERGED, detail=_named(chosen))
            first = {**first, "name": path.stem}
        count = _usual_count(rows)
        if count > _MOST_JOINTS:
            raise InputError(f"annotations have {count:,} joints, more than the {_MOST_JOINTS:,} that are read")
        if unlabelled and skeleton is None and name_nothing(first.get("keypoints") or ()):
            first = {**first, "keypoints": [f"joint_{number}" for number in range(count or 1)]}
        joints = choice.joints_of(first, skeleton, count, repairs)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    if 3 * joints.count * len(rows) > _MOST_NUMBERS:
        raise InputError(f"{path}: {len(rows):,} people of {joints.count:,} joints are too many to read; split the file")
    people = _table(rows, joints, repairs, unlabelled=unlabelled)
    if others and category is None:
        used = {row.category_id for row in others}
        kinds = [one for one in kinds if one["id"] in used]
        repairs.add(Repair.OTHER_CATEGORIES, [row.name for row in others], _named(kinds))
    return PeopleFile(
        joints.skeleton, images, people, repairs, chosen, image_ids, category_ids, held.sources or (path,),
        held.in_fractions, held.turned,
    )  # fmt: skip


def _named(kinds: Sequence[choice.Category]) -> str:
    return f"{', '.join(kind['name'] for kind in kinds[:4])}{', ...' * (len(kinds) > 4)}"


def plain_id(value: Any) -> Hashable | None:
    """An id as an integer, or as the text that it is; None of what is no id."""
    if type(value) is int:
        return value if abs(value) <= _LARGEST_ID else None
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) <= _LARGEST_FLOAT_ID else None
    if isinstance(value, str) and printable(text := value.strip()) == text:
        is_number = text.isascii() and text.isdigit() and len(text) < 20 and int(text) <= _LARGEST_ID
        return int(text) if is_number else text or None
    return None


def _image(where: str, entry: dict[str, Any], number: int) -> ImageEntry:
    name = entry.get("file_name")
    if not isinstance(name, str) or printable(name) != name or not name_parts(name):
        raise InputError(f"{where}.file_name: {brief(name)} must be the name of a file in the image folder")
    sides = []
    for field in ("width", "height"):
        side = entry.get(field) or 0  # 0, null or missing: the photo says it
        if type(side) is not int:
            side = scalars([side])[0]
        if isinstance(entry.get(field), bool) or not 0 <= side <= _LARGEST_SIDE:
            raise InputError(f"{where}.{field}: {brief(entry[field])} is no number of pixels")
        sides.append(round(side))
    width, height = sides if all(sides) else (0, 0)
    path = entry.get("path")
    return ImageEntry(
        number, name, width, height, path if isinstance(path, Path) else None
    )  # text is another machine's path


def _category(where: str, entry: dict[str, Any], number: int) -> dict[str, Any]:
    name, joints = entry.get("name"), entry.get("keypoints")
    if joints is not None and not (isinstance(joints, list) and all(isinstance(joint, str) for joint in joints)):
        raise InputError(f"{where}.keypoints: it must be a list of the joints' names")
    if joints is not None and len(joints) > _MOST_JOINTS:
        raise InputError(f"{where}.keypoints: {len(joints):,} joints are more than the {_MOST_JOINTS:,} that are read")
    return {**entry, "id": number, "name": name if isinstance(name, str) else str(number)}


class _Row(NamedTuple):
    name: Hashable  # its id in the file, or its place
    entry: dict[str, Any]
    image_id: int
    category_id: int


def _objects(annotations: Sequence[Any], image_ids: Ids, category_ids: Ids, repairs: Repairs) -> list[_Row]:
    """The annotations that are objects of a known image and a known category.

    Where a file has one category and all annotations name another one, or none, they are of that category.
    """
    rows, uncategorised = list[_Row](), list[_Row]()
    lost: dict[Repair, list[Hashable]] = {repair: [] for repair in (Repair.NO_OBJECT, Repair.NO_IMAGE)}
    for place, entry in enumerate(annotations):
        if not isinstance(entry, dict):
            lost[Repair.NO_OBJECT].append(f"[{place}]")
            continue
        name = plain_id(entry.get("id"))
        name = f"[{place}]" if name is None else name
        image_id, category_id = image_ids.get(entry.get("image_id")), category_ids.get(entry.get("category_id"))
        if image_id is None:
            lost[Repair.NO_IMAGE].append(name)
        elif category_id is None:
            uncategorised.append(_Row(name, entry, image_id, 0))
        else:
            rows.append(_Row(name, entry, image_id, category_id))
    is_one = not rows and len({plain_id(row.entry.get("category_id")) for row in uncategorised}) == len(category_ids) == 1
    lost[Repair.ONLY_CATEGORY if is_one else Repair.NO_CATEGORY] = [row.name for row in uncategorised]
    if is_one:
        ((_, only, _),) = category_ids
        rows = [row._replace(category_id=only) for row in uncategorised]
    for repair, names in lost.items():
        repairs.add(repair, names)
    return rows


def _usual_count(rows: Sequence[_Row]) -> int:
    """Joints of most annotations; 0 of none."""
    lengths = Counter(len(row.entry["keypoints"]) for row in rows if isinstance(row.entry.get("keypoints"), list))
    del lengths[0]
    return lengths.most_common(1)[0][0] // 3 if lengths else 0


def _table(rows: list[_Row], joints: choice.FileJoints, repairs: Repairs, *, unlabelled: bool) -> PeopleTable:
    """The rows whose values have the right types, in columns."""
    is_crowd = flags([row.entry.get("iscrowd") for row in rows])
    width = 3 * joints.count
    keypoints = [row.entry.get("keypoints") for row in rows]
    empty = np.array([not value for value in keypoints], bool)
    is_crowd_row = is_crowd == 1
    none = [0] * width
    numbers, is_long = matrix(
        [none if blank else value for blank, value in zip(empty, keypoints, strict=True)], width, of_joints=True
    )
    is_number = np.isfinite(numbers).all(1)
    triples = numbers.reshape(len(rows), joints.count, 3)
    if joints.places != tuple(range(joints.count)):
        triples = triples[:, list(joints.places)]
    is_visibility = np.isin(triples[..., 2], (0, 1, 2)).all(1)
    kept = np.ones(len(rows), bool)
    for repair, wrong in (
        (Repair.NO_OBJECT, np.isnan(is_crowd)),
        (Repair.NO_KEYPOINTS, empty & ~is_crowd_row & (not unlabelled)),
        (Repair.WRONG_LENGTH, ~is_long),
        (Repair.NOT_A_NUMBER, ~is_number),
        (Repair.VISIBILITY, ~is_visibility),
    ):
        names = [rows[place].name for place in np.flatnonzero(wrong & kept)]
        repairs.add(repair, names, f"3 x {joints.count} = {width}" if names else "")
        kept &= ~wrong
    ids = _person_ids([row.entry.get("id") for row in rows], [row.name for row in rows], repairs)
    table = PeopleTable(
        ids=ids,
        image_ids=np.array([row.image_id for row in rows], np.int64),
        category_ids=np.array([row.category_id for row in rows], np.int64),
        boxes=matrix([row.entry.get("bbox") for row in rows], 4)[0],
        areas=scalars([row.entry.get("area") for row in rows]),
        keypoints=triples,
        is_crowd=is_crowd_row,
        stated=scalars([row.entry.get("num_keypoints") for row in rows]),
    )
    table.keep(kept)
    return table


def _person_ids(values: list[Any], names: list[Any], repairs: Repairs) -> np.ndarray:
    """The annotations' own ids where they are different numbers, else 1, 2, ..."""
    keys = [plain_id(value) for value in values]
    if len(set(keys)) == len(keys) and all(isinstance(key, int) for key in keys):
        return np.array(keys, np.int64)
    if len(set(keys)) < len(keys) or None in keys:
        seen: set[Any] = set()
        repeated = []
        for key, name in zip(keys, names, strict=True):
            if key is None or key in seen:
                repeated.append(name)
            seen.add(key)
        repairs.add(Repair.IDS_RENUMBERED, repeated)
    return np.arange(1, len(keys) + 1)
