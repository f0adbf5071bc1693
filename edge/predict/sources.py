"""SOURCE of the command line -> photos, videos and cameras, in order. Nothing is decoded here."""

from __future__ import annotations

import glob
import os
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pose.errors import InputError

PHOTOS = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".avif", ".jp2", ".pgm", ".ppm")
VIDEOS = (".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv", ".gif")
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
    standard input, one place a line.

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
        if line.strip():
            yield from _sources_at(line.strip())


def _sources_at(place: str) -> Iterator[Source]:
    if re.fullmatch(r"\d{1,3}", place) and not Path(place).exists():
        yield Source("camera", place, Path(f"camera{place}"))
    elif _ADDRESS.fullmatch(place):
        yield Source("camera", place, Path(re.sub(r"\W+", "_", place.partition("://")[2].rpartition("@")[2])[:60]))
    elif Path(place).is_dir():
        yield from _of_folder(Path(place))
    elif Path(place).exists():
        yield _file(Path(place), Path(Path(place).name))
    else:
        matches = sorted(_matches(place)) if glob.has_magic(place) else []
        files = [Path(match) for match in matches if Path(match).suffix.lower() in PHOTOS + VIDEOS]
        if not files:
            what = "no photo or video matches" if glob.has_magic(place) else "there is no file, folder or camera"
            raise InputError(f"{what} {place}; check the path")
        yield from (_file(path, Path(path.name)) for path in files)


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
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix.lower() in PHOTOS + VIDEOS)
    shown = [path for path in files if not any(part.startswith(".") for part in path.relative_to(folder).parts)]
    if not shown:
        raise InputError(f"the folder {folder} holds no photo and no video ({', '.join(PHOTOS[:4])}, {VIDEOS[0]}, ...)")
    yield from (_file(path, path.relative_to(folder)) for path in shown)


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
