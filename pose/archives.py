"""What torch writes, `.pt` and `.pt2`, before torch reads it: zip files whose members are stored, and pickles of tensors.

A zip file can be a thousand times larger inside than outside: by compression, or by members that share the same bytes. A
pickle can nest values so deeply that hashing one overflows the stack.
"""

from __future__ import annotations

import pickletools
import zipfile
from pathlib import Path
from typing import IO

from pose.errors import InputError

MOST_PARTS = 100_000  # tuples of a pickle; a tensor has six
_TUPLES = {"TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"}
_LEGACY_PICKLES = 5  # a checkpoint of before torch 1.6: magic number, version, machine, state dict, storages


def stored_members(archive: zipfile.ZipFile, size: int, source: Path | str) -> list[zipfile.ZipInfo]:
    """The members of an archive of that many bytes: each is stored, and together they are no larger than it.

    Raises:
        InputError: one is compressed, or they share bytes.
    """
    members = archive.infolist()
    for member in members:
        if member.compress_type != zipfile.ZIP_STORED:
            raise InputError(f"{source} is not loaded: {member.filename} is compressed, which torch's own members never are")
    if sum(member.file_size for member in members) > size:
        raise InputError(f"{source} is not loaded: its members are larger than the file; write it again with torch")
    return members


def require_checkpoint(file: IO[bytes], size: int, source: Path | str) -> None:
    """Raises InputError unless torch can read a checkpoint of that many bytes without growing far beyond them."""
    if not zipfile.is_zipfile(file):
        file.seek(0)
        for _ in range(_LEGACY_PICKLES):
            _require_shallow(file, source)
        return
    file.seek(0)
    with zipfile.ZipFile(file) as archive:
        for member in stored_members(archive, size, source):
            if member is not archive.getinfo(member.filename):
                raise InputError(f"{source} is not loaded: it holds {member.filename} twice; write it again with torch")
            if member.filename.endswith("data.pkl"):
                with archive.open(member) as pickled:
                    _require_shallow(pickled, source)


def _require_shallow(pickled: IO[bytes], source: Path | str) -> None:
    tuples = 0
    try:
        for opcode, _, _ in pickletools.genops(pickled):
            tuples += opcode.name in _TUPLES
            if tuples > MOST_PARTS:
                raise InputError(f"{source} is not loaded: it has more than {MOST_PARTS} tuples; save its state dict")
    except (ValueError, UnicodeDecodeError):  # torch says what is wrong with it
        return
