"""Files of people in other formats than COCO's, each as the parts of a COCO file: one module a format.

`parse` recognises the format: a folder or a `data.yaml` is YOLO's, a JSON object is COCO's, a JSON list is MPII's or AIC's.
"""

from __future__ import annotations

import codecs
import contextlib
import gc
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from pydantic_core import from_json

from pose.errors import InputError
from pose.files import read_bytes

_MOST_BYTES = 400_000_000  # of an annotation file; that of COCO's 150,000 people has 240 MB
# Bytes of memory that its values may take, and what they take at most, by the characters that a json cannot do without: a
# number or another element, a list, an object, a field, half of a string. Three bytes of json, `[],`, can become 74.
_MOST_MEMORY = 2_500_000_000  # COCO's comes to about 1.9 GB
_COSTS = {",": 40, "[": 80, "{": 180, ":": 60, '"': 12}
_BLOCK = 1 << 24


@dataclass(frozen=True)
class Held:
    """The parts of a COCO file, unchecked.

    Attributes:
        sources: the files that they were read from, where it is not the given one alone.
        in_fractions: boxes and keypoints are in 0..1 of the photo.
        turned: the format is defined on photos as their EXIF orientation shows them.
    """

    images: Sequence[Any]
    annotations: Sequence[Any]
    categories: Sequence[Any]
    sources: Sequence[Path] = field(default=())
    in_fractions: bool = False
    turned: bool = False


@contextlib.contextmanager
def no_garbage_collection() -> Iterator[None]:
    """Do not look for garbage, for example among millions of new numbers, of which none is: it takes half of the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def parse(path: Path, split: str = "val") -> Held:
    """The people of a file in any format.

    Args:
        split: of a YOLO data set.

    Raises:
        InputError: it cannot be read, or is in no known format.
    """
    from calib_data.formats import aic, mpii, yolo

    if path.suffix.lower() in (".yaml", ".yml") or yolo.description(path) is not None:
        return yolo.read(path, split)
    value = parse_json(path)
    if isinstance(value, list):
        for known in (mpii, aic):
            if known.is_entry(value[0] if value else None):
                return known.read(value, path)
        _refuse_own_format(path, value[0] if value else None)
        raise InputError(
            f"{path}: Input should be an object with images, annotations and categories; is it a list of detected boxes? "
            "Such a list goes beside annotations, as --boxes of edge.check and edge.teacher"
        )
    if not isinstance(value, dict):
        raise InputError(f"{path}: Input should be a valid dictionary or an object with images, annotations and categories")
    parts: list[Any] = []
    for name in ("images", "annotations", "categories"):
        if name not in value:
            _refuse_own_format(path, value)
            if name == "categories":  # a skeleton of the user's names the joints, too
                parts.append([])
                continue
            raise InputError(f"{path}: {name}: Field required; --data takes a COCO keypoint json")
        if not isinstance(value[name], list):
            raise InputError(f"{path}: {name}: Input should be a valid list")
        parts.append(value[name])
    return Held(*parts)


# what a file of another tool holds, an object or the first of a list -> its name
_OWN_FORMATS = {
    "labelme's own format": {"shapes", "imagePath"},
    "Label Studio's own format": {"data", "annotations"},
    "VGG Image Annotator's own format": {"_via_img_metadata"},
    "OpenPose's output": {"version", "people"},
    "a list of COCO annotations or results without their images": {"image_id", "keypoints"},
}


def _refuse_own_format(path: Path, value: Any) -> None:
    """Raises InputError where the value is that of a tool whose files are not read."""
    for name, keys in _OWN_FORMATS.items():
        if isinstance(value, dict) and keys <= set(value):
            raise InputError(
                f"{path} is {name}; convert it to a COCO keypoint json, with images, annotations and categories"
            )


@no_garbage_collection()
def parse_json(path: Path) -> Any:
    """The value in a JSON file: in UTF-8, with a byte order mark or without, or in UTF-16 with one.

    Raises:
        InputError: it cannot be read, or its values would take more than 2.5 GB of memory.
    """
    data = read_bytes(path, _MOST_BYTES)
    try:
        if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            data = data.decode("utf-16").encode()
        _require_small(data, path)
        return from_json(data.removeprefix(codecs.BOM_UTF8), allow_inf_nan=True)
    except ValueError as error:
        raise InputError(f"{path}: Invalid JSON: {error}{'' if _is_utf8(data) else '; save it as UTF-8'}") from error


def _is_utf8(data: bytes) -> bool:
    try:
        return "\0" not in data.decode()  # which other encodings are full of, and JSON has none
    except UnicodeDecodeError:
        return False


def _require_small(data: bytes, path: Path) -> None:
    """Raises InputError where the values would take too much memory: known before they are made."""
    needed = 0
    for start in range(0, len(data), _BLOCK):
        block = np.frombuffer(data, np.uint8, min(_BLOCK, len(data) - start), start)
        needed += sum(cost * int(np.count_nonzero(block == ord(sign))) for sign, cost in _COSTS.items())
    if needed > _MOST_MEMORY:
        raise InputError(
            f"{path}: its values would take {needed / 1e9:,.1f} GB of memory, more than {_MOST_MEMORY / 1e9:g} GB; "
            "leave out what no keypoints need, such as segmentation, or split it"
        )
