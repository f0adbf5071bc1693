"""What torch writes, `.pt` and `.pt2`, before torch reads it: zip files whose members are stored, and pickles of tensors.

A file of another kind under the name of weights is recognised by its first bytes.

A zip file can be a thousand times larger inside than outside: by compression, or by members that share the same bytes. A
pickle can nest values so deeply that hashing one overflows the stack.
"""

from __future__ import annotations

import pickletools
import re
import zipfile
from pathlib import Path
from typing import IO

from pose.errors import InputError
from pose.files import open_regular

MOST_PARTS = 100_000  # tuples of a pickle; a tensor has six
_TUPLES = {"TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"}
_LEGACY_PICKLES = 5  # a checkpoint of before torch 1.6: magic number, version, machine, state dict, storages
_HEAD = 512  # bytes of a file that tell its kind
_TEACHER = (
    "describe it by a YAML to use it as a teacher (docs/add-a-teacher.md), or give the checkpoint that it was made from"
)
_STARTS = (
    (rb"version https://git-lfs", "a pointer of Git LFS, not the file itself; run `git lfs pull` where it came from"),
    (rb"(\xef\xbb\xbf)?\s*<(!doctype|html|head|\?xml)", "a web page, not weights; download the file itself"),
    (rb"\x1f\x8b", "compressed by gzip; unpack it"),
    (rb"\x08[\x01-\x1f][\x12\x1a\x22\x28\x32\x3a\x42]", f"an ONNX model, not a checkpoint; {_TEACHER}"),
    (rb".{4}TFL3", f"a TFLite model, not a checkpoint; {_TEACHER}"),
)
_SAVE = "save `model.state_dict()` of the network by torch.save"


def is_safetensors(path: Path) -> bool:
    """Whether a file says that it is one of safetensors, by its name or, under another name, by how it begins.

    Raises:
        InputError: it cannot be read.
    """
    if path.suffix.lower() == ".safetensors":
        return True
    with open_regular(path) as file:
        head, size = file.read(9), path.stat().st_size
    return head[8:] == b"{" and int.from_bytes(head[:8], "little") <= size - 8


def refuse_other_kinds(path: Path) -> None:
    """Raises InputError for a file, under any name, that is known to be something else than weights, with what to do."""
    with open_regular(path) as file:
        head = file.read(_HEAD)
        kind = next((kind for start, kind in _STARTS if re.match(start, head, re.DOTALL | re.IGNORECASE)), None)
        if head.startswith(b"PK") and zipfile.is_zipfile(file):
            with zipfile.ZipFile(file) as archive:
                kind = _kind_of_archive([name.partition("/")[2] or name for name in archive.namelist()])
    if kind:
        raise InputError(f"{path} is {kind}")


def _kind_of_archive(names: list[str]) -> str | None:
    """What an archive is that no checkpoint is; `names` of its members are without the folder around them all."""
    if "constants.pkl" in names and any(name.startswith("code/") for name in names):
        return f"a TorchScript program, not a checkpoint; {_SAVE}"
    if "archive_format" in names or any(name.startswith("models/") for name in names):
        return "an exported program, not a checkpoint; give the weights that it was exported from"
    if names and all(name.endswith(".npy") for name in names):
        return "an archive of NumPy arrays, not a checkpoint; write them with safetensors.numpy.save_file"
    return None


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
