"""Image files, decoded on demand."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

import cv2
import numpy as np

from calib_data.coco_file import ImageEntry
from pose.errors import InputError

KEPT_BYTES = 4 << 30  # of decoded pixels, in each process that makes crops
_LAST = 8  # images; the people of one image follow one another


class Photos:
    """The images of a folder, uint8 RGB [H, W, 3]. The last few are kept decoded; with `keep`, the first `KEPT_BYTES`."""

    def __init__(self, folder: Path, *, keep: bool = False) -> None:
        self.folder = folder
        self._keep, self._room = keep, KEPT_BYTES
        self._kept: OrderedDict[int, np.ndarray] = OrderedDict()

    def require(self, entry: ImageEntry) -> None:
        """Raises: InputError: the file is missing or empty."""
        path = self.folder / entry.file_name
        try:
            size = path.stat().st_size if path.is_file() else None
        except OSError as error:
            raise InputError(f"cannot read image {path}: {error.strerror or error}") from error
        if size is None:
            raise InputError(
                f"image {path} (id {entry.id}) is missing; --images takes the folder that holds the json's file names"
            )
        if size == 0:
            raise InputError(f"image {path} (id {entry.id}) is empty; fetch it again")

    def read(self, entry: ImageEntry) -> np.ndarray:
        """The pixels as stored, whatever turn the EXIF data asks for: annotations are made on them.

        Raises:
            InputError: missing, empty, truncated, no image, or of another size than the json says.
        """
        if entry.id in self._kept:
            self._kept.move_to_end(entry.id)
            return self._kept[entry.id]
        self.require(entry)
        image = read_photo(self.folder / entry.file_name)
        if image.shape[:2] != (entry.height, entry.width):
            actual, stated = f"{image.shape[1]} x {image.shape[0]}", f"{entry.width} x {entry.height}"
            raise InputError(
                f"image {self.folder / entry.file_name} is {actual}, the json says {stated}; are they of one data set?"
            )
        if not self._keep:
            self._kept[entry.id] = image
            if len(self._kept) > _LAST:
                self._kept.popitem(last=False)
        elif image.nbytes <= self._room:
            self._kept[entry.id] = image
            self._room -= image.nbytes
        return image


def read_photo(path: Path, *, upright: bool = False) -> np.ndarray:
    """The pixels of an image file, uint8 [H, W, 3], RGB; gray, CMYK and 16 bits are converted, transparency is dropped.

    Args:
        upright: turn it as its EXIF data says, instead of leaving the pixels as stored.

    Raises:
        InputError: it is missing, truncated or no image.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read image {path}: {error.strerror or error}") from error
    return decode_photo(data, path, upright=upright)


def decode_photo(data: bytes, where: object, *, upright: bool = False) -> np.ndarray:
    """`read_photo` of the bytes of a file; `where` they are from is named in the error."""
    flags = cv2.IMREAD_COLOR if upright else cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # a broken file is reported below, in one line
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:  # sizes that no memory holds
        image = None
    finally:
        cv2.utils.logging.setLogLevel(level)
    if image is None:
        raise InputError(f"image {where} is not readable (truncated, or no image); fetch it again")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
