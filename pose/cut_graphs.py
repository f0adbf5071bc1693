"""Bundled programs without the weights of their float graph, which lie in `pose/weights/NAME.safetensors` already.

`student_fp32.pt2.cut` holds the other bytes of `student_fp32.pt2` and the place of each tensor. Put together again, they are
the file that the card describes, byte for byte. Exporting the network once more would not give it: an exported graph names
the build of torch, and its constants are rounded differently by other processors.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pose import weights
from pose.cache import cache_folder
from pose.card import Card
from pose.errors import InputError
from pose.files import atomic_file, read_bytes, sha256

SUFFIX = ".cut"
_REST, _PLACES = "rest", "places.json"  # members: the other bytes; [offset in the whole file, name of the tensor], ascending
_DTYPES = {"F16": np.float16, "F32": np.float32}  # of safetensors; a graph has float32
_MOST = 256 << 20  # bytes of weights


def whole_folder(card_path: Path, card: Card) -> Path:
    """The folder of a program with all of its files: its own, or a copy in the user's cache that is made at the first use.

    Raises:
        InputError: the bundled weights are not those that the program was made from, or the cache cannot be written to.
    """
    folder = card_path.parent
    is_cut = any((folder / (name + SUFFIX)).is_file() and not (folder / name).exists() for name in card.files)
    if not is_cut or folder.resolve().parent != weights.FOLDER.resolve():  # files of others are not unpacked
        return folder
    digests = {**card.files, card_path.name: sha256(card_path)}
    cached = cache_folder() / "programs" / f"{card.student}-{digests[card_path.name][:16]}"
    for name, digest in digests.items():  # file by file, so that two processes at once only write the same bytes twice
        if not (cached / name).is_file() or sha256(cached / name) != digest:
            is_here = (folder / name).exists()
            content = read_bytes(folder / name, _MOST) if is_here else _restored(folder / (name + SUFFIX), card)
            try:
                with atomic_file(cached / name) as temporary:
                    temporary.write_bytes(content)
            except InputError as error:
                raise InputError(f"{error}; DISTILPOSE_CACHE names the folder of the cache") from error
    return cached


def cut(graph: Path, weights_path: Path) -> Path:
    """Replace a graph by its cut form; to be called when the files of a program are put into `pose/weights`.

    Args:
        graph: `student_fp32.pt2`.
        weights_path: the `.safetensors` that it was made from.

    Returns:
        The file with `SUFFIX`, beside the graph, which is removed.

    Raises:
        InputError: a file cannot be read, or none of the weights is in the graph as it is.
    """
    whole, names = read_bytes(graph, _MOST), {content: name for name, content in _tensors(weights_path).items()}
    places: list[tuple[int, str]] = []
    rest, end = bytearray(), 0
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        for member in sorted(archive.infolist(), key=lambda member: member.header_offset):
            name = names.get(archive.read(member))
            if name is None or not member.file_size:
                continue
            start = whole.index(archive.read(member), max(end, member.header_offset))
            rest += whole[end:start]
            places.append((start, name))
            end = start + member.file_size
    rest += whole[end:]
    if not places:
        raise InputError(f"{graph} has none of the tensors of {weights_path}; bundle it whole")
    assert _joined(bytes(rest), places, {name: content for content, name in names.items()}) == whole
    path = graph.with_name(graph.name + SUFFIX)
    with atomic_file(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for member_name, content in ((_PLACES, json.dumps(places).encode()), (_REST, bytes(rest))):
            archive.writestr(zipfile.ZipInfo(member_name), content, zipfile.ZIP_DEFLATED, 9)
    graph.unlink()
    return path


def _restored(cut_path: Path, card: Card) -> bytes:
    path = weights.weights_file(card.student)
    if sha256(path) != card.sources.get("weights"):
        raise InputError(f"{path} is not what {cut_path.parent} was made from (sha256 differs); install the package again")
    with zipfile.ZipFile(cut_path) as archive:
        return _joined(archive.read(_REST), json.loads(archive.read(_PLACES)), _tensors(path))


def _joined(rest: bytes, places: Sequence[tuple[int, str]], tensors: Mapping[str, bytes]) -> bytes:
    whole, used = bytearray(), 0
    for offset, name in places:
        start = used + offset - len(whole)
        whole += rest[used:start] + tensors[name]
        used = start
    return bytes(whole + rest[used:])


def _tensors(path: Path) -> dict[str, bytes]:
    """Name -> little-endian float32 bytes of the tensors in a safetensors file; its reader would need an extra installed."""
    content = read_bytes(path, _MOST)
    start = 8 + int.from_bytes(content[:8], "little")
    header: dict[str, Any] = json.loads(content[8:start])
    tensors = {}
    for name, entry in header.items():
        if dtype := _DTYPES.get(entry.get("dtype")):
            first, last = (start + offset for offset in entry["data_offsets"])
            tensors[name] = np.frombuffer(content[first:last], dtype).astype("<f4").tobytes()
    return tensors
