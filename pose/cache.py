"""The user's cache folder, and digests of files that are kept there."""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Iterable
from pathlib import Path

from pose.errors import InputError
from pose.files import read_json, sha256, write_json

_Entry = list[int | str]  # size, times of change of the content and of the file, sha256
_SETTLED = 2.0  # seconds after which a file's time of change tells one content from the next


def cache_folder() -> Path:
    """Where fitted teachers, teachers' predictions, digests and agents are kept.

    `$DISTILPOSE_CACHE`, or our folder in the user's cache: in `$XDG_CACHE_HOME`, or in `.cache` of the home folder.

    Raises:
        InputError: none of these is known.
    """
    if named := os.environ.get("DISTILPOSE_CACHE"):
        return Path(named)
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "distilpose-edge"
    except RuntimeError as error:  # neither $HOME nor an entry in passwd, as in some containers
        raise InputError("this user has no home folder; name a folder for the cache with XDG_CACHE_HOME") from error


def digests(paths: Iterable[Path]) -> list[str]:
    """sha256 of the content of each file, in order.

    A file is read once: its digest is kept in the cache folder, in one file for each folder, as long as its size and its
    times of change stay the same.
    """
    by_folder: dict[Path, list[Path]] = {}
    absolute = [Path(path).absolute() for path in paths]
    for path in absolute:
        by_folder.setdefault(path.parent, []).append(path)
    digest_of: dict[Path, str] = {}
    for folder, files in by_folder.items():
        digest_of |= _digests_in(folder, files)
    return [digest_of[path] for path in absolute]


def _digests_in(folder: Path, files: list[Path]) -> dict[Path, str]:
    index = cache_folder() / "digests" / f"{hashlib.sha256(str(folder).encode()).hexdigest()[:16]}.json"
    known = _read(index)
    kept: dict[str, _Entry] = {}
    digest_of = {}
    for path in files:
        status = path.stat()
        state = (status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        entry = known.get(path.name)
        is_same = entry is not None and entry[:3] == [*state]
        digest_of[path] = str(entry[3]) if entry and is_same else sha256(path)
        if is_same or time.time() - status.st_ctime > _SETTLED:
            kept[path.name] = [*state, digest_of[path]]
    if kept != {name: known.get(name) for name in kept}:
        with contextlib.suppress(InputError):  # a cache that cannot be written to is only slower
            write_json(index, known | kept)
    return digest_of


def _read(index: Path) -> dict[str, _Entry]:
    try:
        known = read_json(index)
    except InputError:  # not there yet, or damaged
        return {}
    entries = known.items() if isinstance(known, dict) else ()
    return {name: entry for name, entry in entries if isinstance(entry, list) and len(entry) == 4}
