"""YOLO-pose data sets: a `data.yaml` with kpt_shape and flip_idx, images/*, and labels/*.txt beside them.

A line of a label file is a person: class, x and y of the box's centre, width, height, then (x, y) or (x, y, visibility) of
each keypoint, all in 0..1 of the photo. Format: https://docs.ultralytics.com/datasets/pose/.
"""

from __future__ import annotations

from os.path import exists, isdir, isfile, normpath
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field

from calib_data.photo_names import Names
from pose import files
from pose.errors import InputError
from pose.skeleton import COCO_17

if TYPE_CHECKING:
    from calib_data.formats import Held

_NAMES = ("data.yaml", "data.yml", "dataset.yaml")
_PHOTOS = {".bmp", ".heic", ".heif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}


class DataYaml(BaseModel):
    """The fields of a data.yaml that are read."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    path: str | None = None
    train: str | list[str] | None = None
    val: str | list[str] | None = None
    kpt_shape: tuple[int, int]
    flip_idx: list[int] | None = None
    names: dict[int, str] | list[str] = Field(default={0: "person"})
    kpt_names: dict[int, list[str]] | list[str] | None = None


def description(path: Path) -> Path | None:
    """The data.yaml that a path names: itself, or the one in that folder."""
    if isdir(path):  # noqa: PTH112 - Path.is_dir raises on a name that is too long
        return next((path / name for name in _NAMES if (path / name).is_file()), None)
    return path if path.suffix.lower() in (".yaml", ".yml") else None


def read(path: Path, split: str) -> Held:
    """The people of a split (`train` or `val`), as parts of a COCO file with coordinates in 0..1 of the photos.

    Raises:
        InputError: a file that cannot be read or is wrong; the message names the place.
    """
    from calib_data.formats import Held

    home = description(path) or path
    data = files.read_yaml(home, DataYaml)
    count, numbers = data.kpt_shape
    if count < 1 or numbers not in (2, 3):
        raise InputError(f"{home}: kpt_shape {list(data.kpt_shape)} must be [keypoints, 2] or [keypoints, 3]")
    places = _Places(home, data)
    listed = [photo for folder in places.folders(split) for photo in _photos(places, folder)]
    photos = list({normpath(photo): photo for photo in listed}.values())  # folders may lie in each other
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    sources = []
    for image_id, photo in enumerate(photos, 1):
        images.append({"id": image_id, "file_name": photo.name, "path": photo})
        labels = _label_path(photo)
        if isfile(labels):  # noqa: PTH113 - as above; a photo without people has none
            sources.append(labels)
            for line in _lines(labels):
                entry = {"id": len(annotations) + 1, "image_id": image_id, **_person(line, numbers)}
                annotations.append(entry)
    if not sources:
        where = f"{_label_path(photos[0])} and the like" if photos else "photos"
        raise InputError(
            f"{home}: its split '{split}' has no labels ({where} are missing); images/ and labels/ lie side by side"
        )
    return Held(images, annotations, _categories(data), [home, *sources], in_fractions=True, turned=True)


class _Places:
    """The folders that the paths of a data.yaml start from.

    Attributes:
        root: the folder of the data set; that of its data.yaml, where it names one of another machine.
    """

    def __init__(self, home: Path, data: DataYaml) -> None:
        self._home = home
        self._splits = {"train": data.train or [], "val": data.val or []}
        self.root = next(filter(isdir, _spellings(home.parent, data.path or "")), home.parent)
        self._names = [Names(self.root), Names(home.parent)]

    def folders(self, split: str) -> list[Path]:
        """The folders of photos, or the text files that list them, of a split.

        Raises:
            InputError: one is missing, or there is none.
        """
        if not (names := self._listed(split)):
            raise InputError(f"{self._home} has no split '{split}'; name its photos there, as '{split}: images/{split}'")
        folders = []
        for name in names:
            folder = self._stated(name)
            if folder is None:
                folder = self.find(name, folders=True)
                if folder is None:
                    raise InputError(f"{self._home}: {split}: {self.root / name} is missing; correct the path")
                self._require_own(folder, name, split)
            folders.append(folder)
        return folders

    def find(self, name: str, *, folders: bool = False) -> Path | None:
        """What a path of another machine leads to in the data set: see `Names.find`.

        Its last part alone says too little, but of a list: `images` of `/a/val/images` may be those of the other split.
        """
        least = 1 if name.lower().endswith(".txt") else 2
        paths = (names.find(name, least=least, folders=folders) for names in self._names)
        return next(filter(None, paths), None)

    def _stated(self, name: str) -> Path | None:
        beside = self._home.parent
        # Roboflow writes ../train/images for train/images
        options = [*_spellings(self.root, name), *_spellings(beside, name), beside / name.removeprefix("../")]
        return next(filter(exists, options), None)

    def _listed(self, split: str) -> list[str]:
        names = self._splits[split]
        return [names] if isinstance(names, str) else names

    def _require_own(self, folder: Path, name: str, split: str) -> None:
        """Raises InputError where the end of a path leads to the other split, too: `a/images` of `/1/a/images`."""
        other = "val" if split == "train" else "train"
        for held in self._listed(other):
            if held != name and folder in (self._stated(held), self.find(held, folders=True)):
                raise InputError(
                    f"{self._home}: {split}: {self.root / name} is missing, and {folder} is '{other}'; correct the path"
                )


def _photos(places: _Places, folder: Path) -> list[Path]:
    """The photos in a folder, or of a text file that lists them: `./` there is its own folder, as Ultralytics reads it."""
    if folder.is_dir():
        return sorted(path for path in folder.rglob("*") if path.suffix.lower() in _PHOTOS)
    photos = []
    for line in filter(None, map(str.strip, _text(folder).split("\n"))):
        options = _spellings(folder.parent if line.startswith(("./", ".\\")) else places.root, line)
        photos.append(next(filter(isfile, options), None) or places.find(line) or options[0])
    return photos


def _spellings(folder: Path, name: str) -> list[Path]:
    """A path from a folder on, as it stands, and with the separators of Windows."""
    return [folder / name, folder / name.replace("\\", "/")]


def _label_path(photo: Path) -> Path:
    """`labels/a/1.txt` of `images/a/1.jpg`: the last folder `images` of the path is replaced."""
    parts = list(photo.parts)
    for place in range(len(parts) - 2, -1, -1):
        if parts[place] == "images":
            parts[place] = "labels"
            break
    return Path(*parts).with_suffix(".txt")


def _lines(path: Path) -> list[list[float | None]]:
    """The numbers of each line of a label file; None for what is no number."""
    return [[_number(word) for word in line.split()] for line in _text(path).splitlines() if line.strip()]


def _text(path: Path) -> str:
    return files.read_text(path).removeprefix("\ufeff")


def _number(word: str) -> float | None:
    try:
        return float(word)
    except ValueError:
        return None


def _person(line: list[float | None], numbers: int) -> dict[str, Any]:
    """An annotation of the numbers of a line. Without visibilities, a keypoint at (0, 0) is not labelled."""
    label, box, places = line[0], line[1:5], line[5:]
    keypoints: list[float | None] = places
    if numbers == 2:
        pairs = list(zip(places[::2], places[1::2], strict=False))
        keypoints = [value for x, y in pairs for value in (x, y, 2 if x or y else 0)]
    fields: dict[str, Any] = {"category_id": label, "keypoints": keypoints}
    if len(box) == 4 and all(value is not None for value in box):
        x, y, width, height = (value or 0 for value in box)
        fields["bbox"] = [x - width / 2, y - height / 2, width, height]
    return fields


def _categories(data: DataYaml) -> list[dict[str, Any]]:
    names = data.names if isinstance(data.names, dict) else dict(enumerate(data.names))
    joints = data.kpt_names if isinstance(data.kpt_names, dict) else dict.fromkeys(names, data.kpt_names)
    is_coco = data.kpt_shape[0] == len(COCO_17) and data.flip_idx == COCO_17.flip.tolist()
    return [
        {
            "id": number,
            "name": name,
            "keypoints": joints.get(number) or (list(COCO_17.joints) if is_coco else None),
            "flip_idx": data.flip_idx,
        }
        for number, name in names.items()
    ]
