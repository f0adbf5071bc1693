"""Which images of an annotation file photos are that are named one by one, instead of a folder that holds them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from os.path import normpath
from pathlib import Path

from calib_data.photo_names import composed, name_parts, readings
from calib_data.photos import ImageEntry


def match(photos: Sequence[Path], entries: Iterable[ImageEntry]) -> tuple[dict[Path, list[int]], dict[Path, str]]:
    """The ids of the images that each photo is, several where they have one name; and why other photos are none.

    Of an image's name the last parts count, as in `Photos.path`: it is the photo whose path has most of them at its end.
    """
    parts = {photo: name_parts(composed(normpath(photo.absolute()))) for photo in photos}
    by_name = defaultdict(list)
    for photo in parts:
        by_name[composed(photo.name)].append(photo)
    pairs: list[tuple[int, Path, ImageEntry]] = []
    for entry in entries:
        path = entry.path and name_parts(composed(normpath(entry.path.absolute())))
        options = [path] if path else readings(composed(entry.file_name))
        own = next((option for option in options if option and option[-1] in by_name), [""])
        lengths = {photo: _common(own, parts[photo]) for photo in by_name.get(own[-1], ())}
        if entry.path is not None:
            lengths = {photo: length for photo, length in lengths.items() if parts[photo] == own}
        most = max(lengths.values(), default=0)
        pairs += [(length, photo, entry) for photo, length in lengths.items() if length == most]
    longest: dict[Path, int] = {}
    for length, photo, _ in pairs:
        longest[photo] = max(length, longest.get(photo, 0))
    images: dict[Path, list[ImageEntry]] = defaultdict(list)
    places: dict[int, set[tuple[str, ...]]] = defaultdict(set)
    for length, photo, entry in pairs:
        if length == longest[photo]:
            images[photo].append(entry)
            places[entry.id].add(tuple(parts[photo]))
    wrong: dict[Path, str] = dict.fromkeys(set(parts) - set(images), "has no image of that name")
    for photo, held in images.items():
        names = sorted({entry.file_name for entry in held})
        if len(names) > 1:
            wrong[photo] = f"has {names[0]} and {names[1]}, and both may be it; name it with its folder"
        elif any(len(places[entry.id]) > 1 for entry in held):
            wrong[photo] = f"has one image {names[0]}, and several of the photos may be it; predict them one at a time"
    return {photo: [entry.id for entry in held] for photo, held in images.items() if photo not in wrong}, wrong


def _common(first: Sequence[str], second: Sequence[str]) -> int:
    """Number of equal parts at the end of two paths."""
    count = 0
    while count < min(len(first), len(second)) and first[-1 - count] == second[-1 - count]:
        count += 1
    return count
