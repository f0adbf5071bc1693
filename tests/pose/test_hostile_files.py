"""Files that never end, grow when they are read, or are no files: one line, in bounded time and memory."""

from __future__ import annotations

import copy
import io
import itertools
import os
import pickle
import resource
import socket
import struct
import subprocess
import sys
import time
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from calib_data.coco_file import ImageEntry, read_people
from calib_data.photos import Photos
from distill import recipe
from pose import archives, card, files, skeleton, yaml_text
from pose.errors import InputError
from pose.models import checkpoint
from pose.sessions import open_session

READERS: dict[str, Callable[[Path], object]] = {
    "json": files.read_json,
    "yaml": files.read_yaml_value,
    "digest": files.sha256,
    "card": card.read,
    "recipe": lambda path: recipe.read(str(path)),
    "skeleton": skeleton.load,
    "annotations": lambda path: read_people(path, None),
    "photo": lambda path: Photos(path.parent).read(ImageEntry(id=1, file_name=path.name, width=9, height=9)),
    "pickled": checkpoint.read,
    "session": open_session,
}
SUFFIXES = {"recipe": ".yaml", "skeleton": ".yaml", "pickled": ".pth", "session": ".onnx"}


def named(reader: str, folder: Path) -> Path:
    return folder / f"input{SUFFIXES.get(reader, '.json')}"


def refused(reader: str, path: Path, match: str) -> None:
    began = time.monotonic()
    with pytest.raises(InputError, match=match) as error:
        READERS[reader](path)
    assert "\n" not in str(error.value)
    assert path.name in str(error.value)
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("kind", ["pipe", "socket", "folder", "device", "sparse"])
def test_what_is_no_file_or_too_large_is_refused(reader: str, kind: str, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)  # the name of a socket is short
    path = named(reader, tmp_path)
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        socket.socket(socket.AF_UNIX).bind(path.name)
    elif kind == "folder":
        path.mkdir()
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        path.touch()
        os.truncate(path, files.LARGEST + 1)
    refused(reader, path, "cannot read|is missing|no model file")


def test_a_file_of_the_kernel_that_says_it_is_empty(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="more than"):
        files.read_bytes(Path("/proc/self/status"), 10)


def multiplied(value: str, times: int) -> str:
    """Lines each of which names the one before so many times."""
    names = "abcdefgh"
    return "".join(
        f"{new}: &{new} {value.format(','.join([f'*{old}'] * times))}\n" for old, new in itertools.pairwise(names)
    )


YAMLS = {
    "aliases": "a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + multiplied("[{}]", 10),
    "merges": "a: &a {x: 1, y: 2}\n" + multiplied("{{<<: [{}]}}", 30),
    "itself": "a: &a [*a]",
    "itself in a key": "&a {? *a : 1}",
    "deep lists": "[" * 100_000,
    "deep mappings": "{a: " * 100_000,
    "deep blocks": "".join(" " * depth + "a:\n" for depth in range(2_000)),
    "a tag": "!!python/object/apply:os.system [exit]",
    "a long number": "a: " + "9" * 100_000,
    "two documents": "a: 1\n---\nb: 2",
}


@pytest.mark.parametrize("name", YAMLS)
@pytest.mark.parametrize("reader", ["yaml", "card"])
def test_yaml_that_grows(name: str, reader: str, tmp_path: Path) -> None:
    path = named(reader, tmp_path)
    path.write_text(YAMLS[name])
    refused(reader, path, "is not valid YAML")


def test_yaml_of_many_values() -> None:
    with pytest.raises(ValueError, match="more than 50000 values"):
        yaml_text.parse("[" + "1," * 50_000 + "1]")


def test_yaml_of_people_is_read() -> None:
    assert yaml_text.parse("a: &a {x: [1, 2.5, null]}\nb: *a\nc: {<<: *a, y: no}") == {
        "a": {"x": [1, 2.5, None]},
        "b": {"x": [1, 2.5, None]},
        "c": {"x": [1, 2.5, None], "y": False},
    }
    assert yaml_text.parse("") is None


@pytest.mark.parametrize("text", ["[" * 200_000, '{"a":' * 200_000, "9" * 100_000, '"\ud800"'])
@pytest.mark.parametrize("reader", ["json", "annotations"])
def test_json_that_is_deep_or_long(text: str, reader: str, tmp_path: Path) -> None:
    path = named(reader, tmp_path)
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(InputError) as error:
        READERS[reader](path)
    assert "\n" not in str(error.value)


def png(width: int, height: int) -> bytes:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    packer = zlib.compressobj(9)
    row = b"\0" * (1 + 3 * width)
    data = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


PHOTO = """
import sys
from pathlib import Path
from calib_data.photos import Photos
from calib_data.coco_file import ImageEntry
from pose.errors import InputError
try:
    Photos(Path(sys.argv[1])).read(ImageEntry(id=1, file_name="a.png", width=24000, height=8000))
except InputError as error:
    peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:"))
    print(int(peak.split()[1]) // 1024, error)
"""


def test_a_small_file_that_is_a_huge_photo(tmp_path: Path) -> None:
    content = png(24_000, 8_000)
    assert len(content) < 1e6
    (tmp_path / "a.png").write_bytes(content)
    environment = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    line = [sys.executable, "-c", PHOTO, str(tmp_path)]
    answer = subprocess.run(line, capture_output=True, text=True, timeout=60, env=environment)
    peak, message = answer.stdout.split(" ", 1)
    assert "has more than 134217728 pixels" in message
    assert int(peak) < 400  # MB; the pixels would be 576


def saved(value: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


def archive(members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as held:
        for name, content in members.items():
            held.writestr(name, content)
    return buffer.getvalue()


def repacked(content: bytes, compression: int) -> bytes:
    with zipfile.ZipFile(io.BytesIO(content)) as held:
        return archive({name: held.read(name) for name in held.namelist()}, compression)


def shared_bytes() -> bytes:
    """An archive whose directory names the same member many times, under different names."""
    buffer = io.BytesIO(archive({"archive/data/0": b"x" * 1000}))
    with zipfile.ZipFile(buffer, "a") as held:
        for number in range(20):
            member = copy.copy(held.infolist()[0])
            member.filename = f"archive/data/x{number}"
            held.filelist.append(member)
        held._didModify = True
    return buffer.getvalue()


WEIGHTS = {"a": torch.zeros(1000)}


def nested_pickle(depth: int) -> bytes:
    return b"\x80\x02})" + b"\x85" * depth + b"K\x01s."  # {((((),),),): 1}


CHECKPOINTS = {
    "deflated": (repacked(saved(WEIGHTS), zipfile.ZIP_DEFLATED), "is compressed"),
    "shared": (shared_bytes(), "its members are larger than the file"),
    "nested": (archive({"archive/data.pkl": nested_pickle(3_000_000), "archive/version": b"3"}), "tuples"),
    "nested, of before torch 1.6": (nested_pickle(3_000_000), "tuples"),
    "empty": (b"", "whole checkpoint"),
    "text": (b"weights", "is not loaded|whole checkpoint"),
    "code": (pickle.dumps(Path("x")), "is not loaded|whole checkpoint"),
}


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_checkpoints_that_grow(name: str, tmp_path: Path) -> None:
    content, match = CHECKPOINTS[name]
    path = named("pickled", tmp_path)
    path.write_bytes(content)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    refused("pickled", path, match)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # kB


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_members_of_one_name(tmp_path: Path) -> None:
    buffer = io.BytesIO(saved(WEIGHTS))
    with zipfile.ZipFile(buffer, "a") as held:
        held.writestr(held.namelist()[0], b"other")
    with pytest.raises(InputError, match="twice"):
        archives.require_checkpoint(buffer, len(buffer.getvalue()), "w.pt")
