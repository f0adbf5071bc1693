"""What the header of a photo says: its size and its EXIF orientation. No pixels are decoded."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pose.errors import InputError
from pose.files import open_regular

_ORIENTATION = 0x0112  # the EXIF tag
_TIFF = {b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"}
_HEIC = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}


@dataclass(frozen=True)
class Header:
    """Attributes:
    size: (width, height) of the stored pixels; None where the header cannot be read.
    orientation: 1 (as stored) to 8; 5 to 8 exchange width and height.
    """

    size: tuple[int, int] | None
    orientation: int

    @property
    def shown_size(self) -> tuple[int, int] | None:
        """The size after the orientation is applied."""
        return self.size[::-1] if self.size and self.orientation >= 5 else self.size


def read_header(path: Path) -> Header:
    """The header of a photo; of a file that is none, one without a size.

    Raises:
        InputError: the photo is HEIC, which OpenCV does not decode.
    """
    from PIL import Image
    from PIL.TiffImagePlugin import TiffImageFile

    with open_regular(path) as file:
        require_no_heic(file.read(12), path)
        file.seek(0)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of very large photos
                image = Image.open(file)
                orientation = image.getexif().get(_ORIENTATION, 1)
        except Exception as error:  # of a damaged file Pillow may raise anything; the decoder then says what is wrong
            if path.suffix.lower() in (".heic", ".heif"):
                raise _heic(path) from error
            return Header(None, 1)
    header = Header(image.size, orientation if orientation in range(1, 9) else 1)
    # of a TIFF Pillow gives the size after turning
    return Header(header.shown_size, header.orientation) if isinstance(image, TiffImageFile) else header


def require_no_heic(start: bytes, where: object) -> None:
    """Raises InputError where the first 12 bytes of a photo are those of HEIC, which OpenCV does not decode."""
    if start[4:8] == b"ftyp" and start[8:12] in _HEIC:
        raise _heic(where)


def _heic(where: object) -> InputError:
    return InputError(f"image {where} is HEIC, which cannot be read here; convert it to JPEG, turned upright, first")


def orientation_of(data: bytes) -> int:
    """The EXIF orientation that a photo, the bytes of a file, is shown in; 1 where Pillow does not read it.

    Of an AVIF it is made of the turn and mirror of the format itself.
    """
    return _asked(data, lambda image: image.getexif().get(_ORIENTATION, 1))


def pictures_in(data: bytes) -> int:
    """How many pictures the bytes of a file hold; 1 where Pillow does not read them."""
    return _asked(data, lambda image: getattr(image, "n_frames", 1))


def _asked(data: bytes, question: Callable[[Any], int]) -> int:
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of very large photos
            return question(Image.open(io.BytesIO(data)))
    except Exception:  # of a header that Pillow does not read nothing is known: see `read_header`
        return 1


def as_stored(image: np.ndarray, data: bytes) -> np.ndarray:
    """The stored pixels of what OpenCV decodes of a file's bytes: it turns a TIFF even where it is told not to."""
    if data[:4] not in _TIFF:
        return image
    orientation = orientation_of(data)
    return upright(image, {6: 8, 8: 6}.get(orientation, orientation))


def upright(image: np.ndarray, orientation: int) -> np.ndarray:
    """Stored pixels [H, W, 3] as an EXIF orientation of 1 to 8 shows them; a view where it can be one."""
    if orientation in (5, 7):  # mirrored along the diagonal, and then turned by half
        image = image.transpose(1, 0, 2)
    if orientation in (2, 4):  # mirrored left to right, and then turned by half
        image = image[:, ::-1]
    return np.rot90(image, {3: 2, 4: 2, 6: -1, 7: 2, 8: 1}.get(orientation, 0))
