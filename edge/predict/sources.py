"""SOURCE of the command line -> photos, videos and cameras, in order. Nothing is decoded here."""

from __future__ import annotations

import codecs
import glob
import os
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pose import cli
from pose.errors import InputError
from pose.files import open_regular

PHOTOS = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".avif", ".jp2", ".pgm", ".ppm", ".jfif", ".jpe")
_CONTAINERS = (".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv", ".asf", ".flv", ".ogv", ".3gp")
VIDEOS = (*_CONTAINERS, ".ts", ".mts", ".m2ts", ".mjpeg", ".mjpg", ".gif")
_CODE = (".ts", ".mts")  # are also the suffixes of TypeScript
_RAW = (".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2", ".raf", ".pef", ".srw")
_NOT_READ = (".heic", ".heif", ".hif", ".jxl", *_RAW)  # photos, which OpenCV does not decode
_NAMED = 3  # files that are named where many are left out
_DEEP = re.compile(rf"(?P<start>(?:.*?[/{re.escape(os.sep)}])?)\*\*[/{re.escape(os.sep)}](?P<rest>.*)", re.DOTALL)
_ADDRESS = re.compile(r"(rtsps?|rtmp|https?|udp|tcp)://.+", re.IGNORECASE)

Kind = Literal["photo", "video", "camera"]


@dataclass(frozen=True)
class Source:
    """One photo, video or camera.

    Attributes:
        place: path, number of a camera, or address.
        name: relative path that its result is named after; different for each source.
    """

    kind: Kind
    place: str
    name: Path

    @property
    def own_name(self) -> str:
        """Its path, for results; of a camera its name, since an address may hold a password."""
        return self.name.as_posix() if self.kind == "camera" else Path(self.place).as_posix()


def find_sources(places: Iterable[str]) -> list[Source]:
    """Everything that the places name: files, folders (with those inside), patterns, cameras, addresses; `-` is a list on
    standard input, one place a line, which may be in double quotes; a line that begins with `#` is a comment.

    Photos of a folder or pattern that cannot be read, such as HEIC, are left out, and named in a note.

    Raises:
        InputError: a place is nothing of the kind, or a folder or pattern has no photo and no video.
    """
    stems: set[Path] = set()
    numbers: dict[Path, int] = {}
    sources = []
    for place in places:
        for source in _listed() if place == "-" else _sources_at(place):
            name = _new_name(source.name, stems, numbers)
            sources.append(Source(source.kind, source.place, name))
    if not sources:
        raise InputError(
            "no source: name photos, folders, videos, cameras (0, rtsp://...), or - for a list on standard input"
        )
    return sources


def _listed() -> Iterator[Source]:
    for line in sys.stdin:
        if place := _place_on(line):
            yield from _sources_at(place)


def _place_on(line: str) -> str:
    """The place that a line of a list names, "" if it names none. A name that a file has is taken as it stands."""
    mark = codecs.BOM_UTF8.decode(sys.stdin.encoding or "utf-8", "surrogateescape")  # PowerShell begins a list with it
    place = line.removeprefix(mark).strip()
    if place[:1] not in ("#", '"') or os.path.exists(place):  # noqa: PTH110 - a comment may be too long for a name
        return place
    if place.startswith("#"):
        return ""
    return place[1:-1] if len(place) > 1 and place.endswith('"') else place


def _sources_at(place: str) -> Iterator[Source]:
    if re.fullmatch(r"\d{1,3}", place) and not Path(place).exists():
        yield Source("camera", place, Path(f"camera{place}"))
    elif _ADDRESS.fullmatch(place):
        yield Source("camera", place, Path(re.sub(r"\W+", "_", place.partition("://")[2].rpartition("@")[2])[:60]))
    elif Path(place).is_dir():
        yield from _of_folder(Path(place))
    elif Path(place).exists():
        yield _file(Path(place), Path(Path(place).name))
    elif glob.has_magic(place):
        files = [Path(match) for match in _matches(place) or _matches(_with_literal_folder(place))]
        yield from (_file(path, Path(path.name)) for path in _readable(files, place, f"no photo or video matches {place}"))
    else:
        raise InputError(f"there is no file, folder or camera {place}; check the path")


def _with_literal_folder(pattern: str) -> str:
    """The pattern for folders that have brackets in their names, as in `set[1]/*.jpg`."""
    return str(Path(str(Path(pattern).parent).replace("[", "[[]"), Path(pattern).name))


def _matches(pattern: str) -> set[str]:
    """What a pattern names. `**` goes into no linked folder: of links to a folder above there is no end."""
    deep = _DEEP.fullmatch(pattern if Path(pattern).name != "**" else f"{pattern}/*")
    if deep is None:
        return set(glob.glob(pattern))  # noqa: PTH207 - may be absolute
    starts = glob.glob(deep["start"]) if deep["start"] else ["."]  # noqa: PTH207
    matches = set()
    for start in starts:
        for folder, inner, _ in os.walk(start):
            inner[:] = [name for name in inner if not name.startswith(".")]
            matches |= _matches(os.path.join(glob.escape(folder), deep["rest"]))  # noqa: PTH118
    return matches


def _of_folder(folder: Path) -> Iterator[Source]:
    files = [path for path in folder.rglob("*") if path.suffix.lower() in PHOTOS + VIDEOS + _NOT_READ and path.is_file()]
    shown = [path for path in files if not any(part.startswith(".") for part in path.relative_to(folder).parts)]
    nothing = f"the folder {folder} holds no photo and no video ({', '.join(PHOTOS[:4])}, {VIDEOS[0]}, ...)"
    yield from (_file(path, path.relative_to(folder)) for path in _readable(shown, str(folder), nothing))


def _readable(files: Sequence[Path], place: str, nothing: str) -> list[Path]:
    """The photos and videos among the files of a place, sorted. Photos of other formats are named in a note.

    Raises:
        InputError: there is none, as `nothing` says.
    """
    kept = sorted(path for path in files if path.suffix.lower() in PHOTOS + VIDEOS and not _is_code(path))
    others = sorted(path for path in files if path.suffix.lower() in _NOT_READ)
    more = f" and {len(others) - _NAMED} more" if len(others) > _NAMED else ""
    names = ", ".join(path.name for path in others[:_NAMED]) + more
    left_out = f"left out of {place}: {names} (HEIC, JPEG XL and raw photos cannot be read here; convert them to JPEG)"
    if not kept:
        raise InputError(f"{nothing}; {left_out if others else 'check the path'}")
    if others:
        cli.note(f"note: {left_out}")
    return kept


def _is_code(path: Path) -> bool:
    """Whether it is TypeScript, and no video: text, which has neither of two bytes that every transport stream has."""
    if path.suffix.lower() not in _CODE:
        return False
    try:
        with open_regular(path, sys.maxsize) as file:
            start = file.read(1024)
    except InputError:  # which is said when the video is opened
        return False
    return start != b"" and not {0x00, 0xFF} & set(start)


def _file(path: Path, name: Path) -> Source:
    """A video by its suffix, otherwise a photo: what is neither is refused when it is decoded."""
    return Source("video" if path.suffix.lower() in VIDEOS else "photo", str(path), name)


def _new_name(name: Path, stems: set[Path], numbers: dict[Path, int]) -> Path:
    """The name, with a number if another source has it already: results are named after it, whatever their suffix.

    Args:
        stems: names without suffix that are taken; the new one is added.
        numbers: stem -> the last number that it was given, so that thousands of one name do not count from 1 each.
    """
    stem = name.with_suffix("")
    new = stem
    while new in stems:
        numbers[stem] = numbers.get(stem, 1) + 1
        new = stem.with_name(f"{stem.name}-{numbers[stem]}")
    stems.add(new)
    return name if new == stem else new.with_name(f"{new.name}{name.suffix}")
