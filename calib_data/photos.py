"""Image files: where they are, how they are turned, and their pixels, decoded on demand."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from calib_data.photo_header import (
    Header,
    as_stored,
    orientation_of,
    pictures_in,
    read_header,
    require_no_heic,
    upright,
)
from calib_data.photo_names import Names, name_parts
from pose import MOST_PIXELS, cli
from pose.errors import InputError
from pose.files import read_bytes

KEPT_BYTES = 4 << 30  # of decoded pixels, in each process that makes crops
_LAST, _LAST_BYTES = 8, 256 << 20  # images, and their bytes; the people of one image follow one another
_MOST_BYTES = 512 << 20  # of an image file
_MANY = 2000  # photos whose headers take about a second: from there on a progress bar is shown
_DARK = 64  # of 255: what the values of a photo of up to 14 bits stay below where they are taken for 16 bits
_JPEG = b"\xff\xd8"  # begins files of 8 bits, which most photos are
_noted: set[str] = set()  # what the user was told of photos, once

Exif = Literal["apply", "ignore"]


@dataclass(frozen=True)
class ImageEntry:
    """An image of an annotation file.

    Attributes:
        file_name: as in the file. width, height: in pixels; 0 where the file does not say.
        path: where the format says it itself.
    """

    id: int
    file_name: str
    width: int
    height: int
    path: Path | None = None


class Photos:
    """The images of a folder, uint8 RGB [H, W, 3]. The last few are kept decoded; with `keep`, the first `KEPT_BYTES`.

    Args:
        exif: whether the annotations are made on photos as their EXIF orientation shows them (`apply`) or as they are stored
            (`ignore`), where the sizes do not tell.
        late: refuse a photo of another size when it is read, and not the whole file before.
    """

    def __init__(self, folder: Path, *, keep: bool = False, exif: Exif | None = None, late: bool = False) -> None:
        self.folder, self.exif, self._late = folder, exif, late
        self._names = Names(folder)
        self._keep, self._room = keep, KEPT_BYTES
        self._kept: OrderedDict[int, np.ndarray] = OrderedDict()
        self.turns: dict[int, int] = {}  # the orientations that are applied, by image id; see `survey`

    def path(self, entry: ImageEntry) -> Path:
        """The file of an image: that of its name in the folder, see `Names.find`.

        Raises:
            InputError: it is missing or empty, or several may be meant.
        """
        if entry.path is not None:
            return _require_file(entry.path, entry)
        path = self._names.find(entry.file_name) or self.folder.joinpath(*name_parts(entry.file_name))
        return _require_file(path, entry)

    def survey(self, entries: Iterable[ImageEntry]) -> tuple[dict[int, tuple[int, int]], dict[int, Path]]:
        """Sizes (width, height) and paths of images by id, and how each photo is to be turned.

        Raises:
            InputError: a photo is missing, empty, HEIC or of another size, two images are the same photo, a size is neither
                in the annotations nor in the photo, or nothing tells whether the annotations are made on turned photos.
        """
        by_id = {entry.id: entry for entry in entries}
        paths = {number: self.path(entry) for number, entry in by_id.items()}
        _require_different(paths, by_id)
        ids = cli.track(paths, "Reading the photos' headers", len(paths)) if len(paths) >= _MANY else paths
        headers = {number: read_header(paths[number]) for number in ids}
        self._decide(by_id, headers)
        sizes: dict[int, tuple[int, int]] = {}
        for number, entry in by_id.items():
            header = headers[number]
            size = header.shown_size if number in self.turns else header.size
            if entry.width and size is not None and not self._late:
                _require_size(paths[number], size, entry)
            elif entry.width:  # the decoder says what is wrong with the photo
                size = entry.width, entry.height
            if size is None:
                raise InputError(
                    f"image {paths[number]} has no size in the annotations, and is not readable itself; fetch it again"
                )
            sizes[number] = size
        return sizes, paths

    def _decide(self, entries: Mapping[int, ImageEntry], headers: Mapping[int, Header]) -> None:
        """Which photos are turned: by the sizes where they tell, then as all of those, then by `exif`."""
        votes: dict[int, bool] = {}
        open_ids = []
        for number, header in headers.items():
            if header.orientation == 1:
                continue
            stated = entries[number].width, entries[number].height
            if header.size != header.shown_size and stated in (header.size, header.shown_size):
                votes[number] = stated == header.shown_size
            else:
                open_ids.append(number)
        applied = next(iter(set(votes.values()))) if len(set(votes.values())) == 1 else None
        if self.exif is not None:
            applied = self.exif == "apply"
        if open_ids and applied is None:
            first = entries[open_ids[0]].file_name
            raise InputError(
                f"{len(open_ids)} of {len(headers)} photos (first {first}) carry an EXIF orientation, and their sizes do "
                "not tell whether the annotations follow it; give --exif apply if they fit the photos as viewers show "
                "them, --exif ignore if they fit the stored pixels"
            )
        turned = {number for number, is_turned in votes.items() if is_turned} | (set(open_ids) if applied else set())
        self.turns |= {number: headers[number].orientation for number in turned}

    def read(self, entry: ImageEntry) -> np.ndarray:
        """The pixels that the annotations are made on: see `survey`.

        Raises:
            InputError: missing, empty, truncated, no image, or of another size than the json says.
        """
        if entry.id in self._kept:
            self._kept.move_to_end(entry.id)
            return self._kept[entry.id]
        path = self.path(entry)
        image = np.ascontiguousarray(upright(read_photo(path), self.turns.get(entry.id, 1)))
        if entry.width:
            _require_size(path, (image.shape[1], image.shape[0]), entry)
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


def _require_file(path: Path, entry: ImageEntry) -> Path:
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
    return path


def _require_size(path: Path, size: tuple[int, int], entry: ImageEntry) -> None:
    if size != (entry.width, entry.height):
        actual, stated = f"{size[0]} x {size[1]}", f"{entry.width} x {entry.height}"
        raise InputError(f"image {path} is {actual}, the json says {stated}; are they of one data set?")


def _require_different(paths: Mapping[int, Path], entries: Mapping[int, ImageEntry]) -> None:
    """Raises InputError where images of different names lead to one photo, because their folders are missing."""
    first: dict[Path, str] = {}
    for number, path in paths.items():
        name = first.setdefault(path, entries[number].file_name)
        if name != entries[number].file_name:
            raise InputError(
                f"{name} and {entries[number].file_name} of the annotations would both be the photo {path}; --images takes "
                "the folder that holds the folders of the json's file names"
            )


def read_photo(path: Path, *, as_shown: bool = False) -> np.ndarray:
    """The pixels of an image file, uint8 [H, W, 3], RGB; gray, CMYK and 16 bits are converted, transparency is dropped.

    Args:
        as_shown: turn it as its EXIF data says, instead of leaving the pixels as stored.

    Raises:
        InputError: it is missing, truncated, too large or no image.
    """
    return decode_photo(read_bytes(path, _MOST_BYTES), path, as_shown=as_shown)


def decode_photo(data: bytes, where: object, *, as_shown: bool = False) -> np.ndarray:
    """`read_photo` of the bytes of a file; `where` they are from is named in the error."""
    is_avif = data[4:8] == b"ftyp"  # of it OpenCV applies the EXIF orientation, where viewers go by the format's own
    try:
        stored = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
        image = _decoded(data, cv2.IMREAD_COLOR if as_shown and not is_avif else stored) if data else None
    except cv2.error as error:
        raise InputError(f"image {where} has more than {MOST_PIXELS} pixels, or is damaged; give a smaller one") from error
    if image is None:
        require_no_heic(data[:12], where)
        raise InputError(f"image {where} is not readable (truncated, or no image); fetch it again")
    if not data.startswith(_JPEG) and image.max() < _DARK:
        _note_few_bits(data, where)
    if not as_shown:
        return cv2.cvtColor(as_stored(image, data), cv2.COLOR_BGR2RGB)
    if _may_be_animated(data):
        _note_animation(data, where)
    return cv2.cvtColor(upright(image, orientation_of(data)) if is_avif else image, cv2.COLOR_BGR2RGB)


def _decoded(data: bytes, flags: int) -> np.ndarray | None:
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # a broken file is reported in one line
    try:
        return cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    finally:
        cv2.utils.logging.setLogLevel(level)


def _note_few_bits(data: bytes, where: object) -> None:
    """Tell the user once of a photo of 16 bits that is all but black, as one is that holds the 12 bits of a sensor."""
    image = None if "bits" in _noted else _decoded(data, cv2.IMREAD_UNCHANGED)
    if image is not None and image.dtype == np.uint16 and image.any():
        _noted.add("bits")
        brightest = int(image.max())
        cli.note(
            f"note: image {where} has 16 bits and no value above {brightest} of 65535: it is read as nearly black; if it "
            f"holds {brightest.bit_length()} bits, stretch it to 16, and others like it"
        )


def _may_be_animated(data: bytes) -> bool:
    is_webp = data[:4] == b"RIFF" and data[12:16] == b"VP8X" and bool(data[20] & 2)
    is_png = data[:4] == b"\x89PNG" and b"acTL" in data[: data.find(b"IDAT")]
    return is_webp or is_png or data[4:12] == b"ftypavis"


def _note_animation(data: bytes, where: object) -> None:
    """Tell the user once of a photo that moves."""
    count = 1 if "animation" in _noted else pictures_in(data)
    if count > 1:
        _noted.add("animation")
        cli.note(
            f"note: image {where} is animated: only the first of its {count} pictures is read; for all of them convert it, "
            "and others like it, to a video"
        )
