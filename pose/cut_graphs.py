"""Bundled float graphs without their weights, which lie in `pose/weights/NAME.safetensors` already.

`student_fp32.pt2.cut` holds the other bytes of `student_fp32.pt2` and the place of each tensor. Put together again, they are
the file that the card describes, byte for byte. Exporting the network once more would not give it: an exported graph names
the build of torch, and its constants are rounded differently by other processors. A float `.tflite` is cut in the same way.
"""

from __future__ import annotations

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
_REST = "rest"  # member: the other bytes
_PLACES = "places.json"  # member: [offset in the whole file, tensor, order of its axes], ascending
_DTYPES = {"F16": np.float16, "F32": np.float32}  # of safetensors; a graph has float32
_ORDERS = {4: ((0, 1, 2, 3), (0, 2, 3, 1), (1, 2, 3, 0))}  # of a convolution's weights: torch; TFLite; TFLite, depthwise
_LEAST, _MOST = 256, 256 << 20  # bytes of a tensor that is cut out, of a file

Place = tuple[int, str, Sequence[int]]


def whole_folder(card_path: Path, card: Card) -> Path:
    """The folder of a card with all files that it describes: its own, or a copy in the user's cache, made at the first use.

    Args:
        card_path: of a program or of an artefact.

    Raises:
        InputError: the bundled weights are not those that the files were made from, or the cache cannot be written to.
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
        graph: `student_fp32.pt2`, or a float `.tflite`.
        weights_path: the `.safetensors` that it was made from.

    Returns:
        The file with `SUFFIX`, beside the graph, which is removed.

    Raises:
        InputError: a file cannot be read, or none of the weights is in the graph as it is.
    """
    whole, tensors = read_bytes(graph, _MOST), _tensors(weights_path)
    places = _places(whole, tensors)
    if not places:
        raise InputError(f"{graph} has none of the tensors of {weights_path}; bundle it whole")
    rest, end = bytearray(), 0
    for start, name, _ in places:
        rest += whole[end:start]
        end = start + tensors[name].nbytes
    rest += whole[end:]
    assert _joined(bytes(rest), places, tensors) == whole
    path = graph.with_name(graph.name + SUFFIX)
    with atomic_file(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for member, content in ((_PLACES, json.dumps(places).encode()), (_REST, bytes(rest))):
            archive.writestr(zipfile.ZipInfo(member), content, zipfile.ZIP_DEFLATED, 9)
    graph.unlink()
    return path


def _places(whole: bytes, tensors: Mapping[str, np.ndarray]) -> list[Place]:
    """Where tensors lie in a file, apart from each other, ascending."""
    taken: dict[int, tuple[int, Place]] = {}
    for name, tensor in sorted(tensors.items(), key=lambda item: -item[1].nbytes):
        if tensor.nbytes < _LEAST:
            continue
        orders = {_content(tensor, order): order for order in _ORDERS.get(tensor.ndim, (tuple(range(tensor.ndim)),))}
        for content, order in orders.items():
            start = whole.find(content)
            while start >= 0:
                end = start + len(content)
                if not any(start < other_end and other < end for other, (other_end, _) in taken.items()):
                    taken[start] = end, (start, name, order)
                start = whole.find(content, end)
    return [place for _, (_, place) in sorted(taken.items())]


def _restored(cut_path: Path, card: Card) -> bytes:
    path = weights.weights_file(card.student)
    if sha256(path) != card.sources.get("weights"):
        raise InputError(f"{path} is not what {cut_path.parent} was made from (sha256 differs); install the package again")
    with zipfile.ZipFile(cut_path) as archive:
        return _joined(archive.read(_REST), json.loads(archive.read(_PLACES)), _tensors(path))


def _joined(rest: bytes, places: Sequence[Place], tensors: Mapping[str, np.ndarray]) -> bytes:
    whole, used = bytearray(), 0
    for offset, name, order in places:
        start = used + offset - len(whole)
        whole += rest[used:start] + _content(tensors[name], order)
        used = start
    return bytes(whole + rest[used:])


def _content(tensor: np.ndarray, order: Sequence[int]) -> bytes:
    return tensor.transpose(order).tobytes()


def _tensors(path: Path) -> dict[str, np.ndarray]:
    """The tensors in a safetensors file, in little-endian float32; its own reader would need an extra installed."""
    content = read_bytes(path, _MOST)
    start = 8 + int.from_bytes(content[:8], "little")
    header: dict[str, Any] = json.loads(content[8:start])
    tensors = {}
    for name, entry in header.items():
        if dtype := _DTYPES.get(entry.get("dtype")):
            first, last = (start + offset for offset in entry["data_offsets"])
            tensors[name] = np.frombuffer(content[first:last], dtype).astype("<f4").reshape(entry["shape"])
    return tensors
