"""Image files, decoded on demand."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

import cv2
import numpy as np

from calib_data.coco_file import ImageEntry
from pose import MOST_PIXELS
from pose.errors import InputError
from pose.files import read_bytes

KEPT_BYTES = 4 << 30  # of decoded pixels, in each process that makes crops
_LAST, _LAST_BYTES = 8, 256 << 20  # images, and their bytes; the people of one image follow one another
_MOST_BYTES = 512 << 20  # of an image file


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
        image = _decoded(self.folder / entry.file_name)
        if image.shape[:2] != (entry.height, entry.width):
            actual, stated = f"{image.shape[1]} x {image.shape[0]}", f"{entry.width} x {entry.height}"
            raise InputError(
                f"image {self.folder / entry.file_name} is {actual}, the json says {stated}; are they of one data set?"
            )
        if not self._keep:
            self._kept[entry.id] = image
            while len(self._kept) > 1 and (len(self._kept) > _LAST or self._kept_bytes() > _LAST_BYTES):
                self._kept.popitem(last=False)
        elif image.nbytes <= self._room:
            self._kept[entry.id] = image
            self._room -= image.nbytes
        return image

    def _kept_bytes(self) -> int:
        return sum(image.nbytes for image in self._kept.values())


def _decoded(path: Path) -> np.ndarray:
    data = read_bytes(path, _MOST_BYTES)
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # a broken file is reported below, in one line
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error as error:
        raise InputError(f"image {path} has more than {MOST_PIXELS} pixels, or is damaged; give a smaller one") from error
    finally:
        cv2.utils.logging.setLogLevel(level)
    if image is None:
        raise InputError(f"image {path} is not readable (truncated, or no image); fetch it again")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
