"""Reads what `torch.save` wrote without unpickling it: mappings, lists, numbers, texts and tensors.

A training checkpoint holds optimisers, configurations and counters beside its tensors, as objects of classes that only their
framework has. `torch.load(weights_only=True)` refuses such a file as a whole. Here the operations of its pickle are read as
data: nothing that the file names is imported or called, and an object of any class is a `Skipped`.
"""

from __future__ import annotations

import io
import math
import mmap
import pickletools
import struct
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import torch
from torch import Tensor

_MAGIC = 0x1950A86A20F9469CFC6C  # begins a file of torch before 1.6
_DTYPES = {
    "DoubleStorage": torch.float64, "FloatStorage": torch.float32, "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16, "LongStorage": torch.int64, "IntStorage": torch.int32, "ShortStorage": torch.int16,
    "CharStorage": torch.int8, "ByteStorage": torch.uint8, "BoolStorage": torch.bool,
}  # fmt: skip
_TENSORS = ("torch._utils._rebuild_tensor", "torch._utils._rebuild_tensor_v2")
_PARAMETERS = ("torch._utils._rebuild_parameter", "torch._utils._rebuild_parameter_with_state")
_DICTS = ("collections.OrderedDict", "collections.defaultdict")
# what reading a damaged file ends in, beside ValueError
_DAMAGES = (
    ArithmeticError, AttributeError, EOFError, LookupError, NotImplementedError, OSError, RuntimeError, TypeError,
    struct.error, zipfile.BadZipFile,
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Skipped:
    """An object, class or function that the file names; it does not exist here."""

    name: str


@dataclass(frozen=True, eq=False)
class _Storage:
    key: str
    dtype: torch.dtype
    count: int


@dataclass(frozen=True, eq=False)
class StoredTensor:
    """A tensor in the file, not read yet."""

    storage: _Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]


Select = Callable[[Any], Mapping[Any, Any]]
_Content = Callable[[_Storage], bytes]


def read_archive(path: Path, select: Select) -> tuple[dict[Any, Any], list[str]]:
    """The mapping of tensors in a file of `torch.save`, and the names of the classes of which objects were left out.

    Args:
        select: takes what the file holds, with `StoredTensor` for tensors, and returns the mapping whose tensors are read.

    Raises:
        ValueError: it is no such file, damaged, or beyond what `torch.save` writes. OSError: it cannot be read.
    """
    names: dict[str, None] = {}
    with open(path, "rb") as file:
        try:
            if zipfile.is_zipfile(file):
                with zipfile.ZipFile(file) as archive:
                    return _read_tensors(select, *_zip_content(archive, path.stat().st_size, names)), list(names)
            # In a map, no length in the file makes it read, or take memory, beyond its end.
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
                return _read_tensors(select, *_legacy_content(content, names)), list(names)
        except _DAMAGES as error:
            raise ValueError(f"damaged ({type(error).__name__})") from error


def _zip_content(archive: zipfile.ZipFile, size: int, names: dict[str, None]) -> tuple[Any, _Content]:
    members = {info.filename: info for info in archive.infolist()}
    (pickled,) = (name for name in members if name.endswith("/data.pkl"))
    folder = pickled.removesuffix("data.pkl")

    def stored(name: str) -> bytes:
        member = members[name]
        if member.compress_type != zipfile.ZIP_STORED or not member.compress_size == member.file_size <= size:
            raise ValueError("compressed, which torch.save never does")
        return archive.read(name)

    if f"{folder}byteorder" in members and stored(f"{folder}byteorder") != b"little":
        raise ValueError("big-endian")
    value = _Machine(names).run(io.BytesIO(stored(pickled)))
    return value, lambda storage: stored(f"{folder}data/{storage.key}")


def _legacy_content(file: mmap.mmap, names: dict[str, None]) -> tuple[Any, _Content]:
    machines = [_Machine(names) for _ in range(5)]
    magic, _, _, value, keys = (machine.run(file) for machine in machines)
    if magic != _MAGIC:
        raise ValueError("not a file of torch.save")
    contents: dict[str, bytes] = {}
    for key in keys:
        storage, count = machines[3].storages[key], int.from_bytes(file.read(8), "little")
        if count != storage.count:
            raise ValueError("a storage has another length")
        contents[key] = file.read(count * storage.dtype.itemsize)
    return value, lambda storage: contents[storage.key]


def _read_tensors(select: Select, value: Any, content: _Content) -> dict[Any, Any]:
    """The selected mapping with its tensors read: views of storages that are read once, so never larger than the file."""
    storages: dict[str, Tensor] = {}

    def tensor(stored: StoredTensor) -> Tensor:
        storage = stored.storage
        if storage.key not in storages:
            data = bytearray(content(storage))
            if len(data) < storage.count * storage.dtype.itemsize:
                raise ValueError("a storage is cut off")
            empty = torch.empty(0, dtype=storage.dtype)
            storages[storage.key] = torch.frombuffer(data, dtype=storage.dtype) if data else empty
        if math.prod(stored.size) > storage.count:
            raise ValueError("a tensor is larger than its storage")
        return storages[storage.key].as_strided(stored.size, stored.stride, stored.offset)

    return {key: tensor(part) if isinstance(part, StoredTensor) else part for key, part in select(value).items()}


class _Machine:
    """Reads one pickle; `storages` are those that it names, by key."""

    def __init__(self, names: dict[str, None]) -> None:
        self.storages: dict[str, _Storage] = {}
        self._names = names
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}

    def run(self, file: IO[bytes] | mmap.mmap) -> Any:
        """The value that the pickle stands for."""
        for operation, argument, _ in pickletools.genops(file):  # type: ignore[arg-type] # a map reads like a file
            if operation.name == "STOP":
                return self._stack.pop()
            self._step(operation.name, argument)
        raise ValueError("it has no end")

    def _step(self, name: str, argument: Any) -> None:
        stack = self._stack
        match name:
            case "PROTO" | "FRAME":
                pass
            case "MARK":
                self._marks.append(len(stack))
            case "NONE":
                stack.append(None)
            case "NEWTRUE" | "NEWFALSE":
                stack.append(name == "NEWTRUE")
            case "EMPTY_DICT":
                stack.append({})
            case "EMPTY_LIST":
                stack.append([])
            case "EMPTY_TUPLE":
                stack.append(())
            case "EMPTY_SET":
                stack.append(Skipped("set"))
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                count = int(name[-1])
                stack[-count:] = [tuple(stack[-count:])]
            case "TUPLE" | "LIST" | "DICT" | "FROZENSET":
                stack.append(_collection(name, self._since_mark()))
            case "SETITEM" | "SETITEMS" | "APPEND" | "APPENDS" | "ADDITEMS":
                plain = {"SETITEM": 2, "APPEND": 1}.get(name)
                items = self._since_mark() if plain is None else [stack.pop() for _ in range(plain)][::-1]
                if isinstance(stack[-1], dict):
                    stack[-1].update(_pairs(items))
                elif isinstance(stack[-1], list):
                    stack[-1].extend(items)
            case "BINPUT" | "LONG_BINPUT" | "PUT" | "MEMOIZE":
                self._memo[len(self._memo) if argument is None else argument] = stack[-1]
            case "BINGET" | "LONG_BINGET" | "GET":
                stack.append(self._memo[argument])
            case "POP":
                stack.pop()
            case "POP_MARK":
                self._since_mark()
            case "DUP":
                stack.append(stack[-1])
            case _ if isinstance(argument, bool | int | float | str | bytes) and name not in _OBJECTS:
                stack.append(argument)
            case _:
                self._object(name, argument)

    def _object(self, name: str, argument: Any) -> None:
        """One of the operations that would import, call or change an object."""
        stack = self._stack
        match name:
            case "GLOBAL":
                stack.append(Skipped(argument.replace(" ", ".", 1)))
            case "STACK_GLOBAL":
                attribute, module = stack.pop(), stack.pop()
                stack.append(Skipped(f"{module}.{attribute}"))
            case "REDUCE" | "NEWOBJ":
                arguments, called = stack.pop(), stack.pop()
                stack.append(self._result(called, arguments))
            case "NEWOBJ_EX":
                _, arguments, called = stack.pop(), stack.pop(), stack.pop()
                stack.append(self._result(called, arguments))
            case "OBJ":
                called, *arguments = self._since_mark()
                stack.append(self._result(called, tuple(arguments)))
            case "INST":
                stack.append(self._result(Skipped(argument.replace(" ", ".", 1)), tuple(self._since_mark())))
            case "BUILD":
                stack.pop()  # what an object would be made of
            case "BINPERSID":
                stack.append(self._storage(stack.pop()))
            case _:
                raise ValueError(f"the operation {name}")

    def _result(self, called: Any, arguments: Any) -> Any:
        """What a call stands for: a tensor, a mapping, or an object that is left out."""
        name = called.name if isinstance(called, Skipped) else ""
        if name in _TENSORS:
            storage, offset, size, stride = arguments[:4]
            if not isinstance(storage, _Storage):
                raise ValueError("a tensor without a storage")
            return StoredTensor(storage, offset, tuple(size), tuple(stride))
        if name in _PARAMETERS:
            return arguments[0]
        if name in _DICTS:
            pairs = arguments[0] if arguments and isinstance(arguments[0], list) else []
            return dict(pairs)
        if name == "torch.Size":
            return tuple(arguments[0])
        self._names[name or "an object"] = None
        return Skipped(name)

    def _storage(self, reference: Any) -> _Storage:
        word, kind, key, _, count = reference[:5]
        name = kind.name.rpartition(".")[2] if isinstance(kind, Skipped) else ""
        if word != "storage" or name not in _DTYPES or not isinstance(key, str) or not isinstance(count, int):
            raise ValueError(f"a storage of {name or 'an unknown type'}")
        self.storages[key] = _Storage(key, _DTYPES[name], count)
        return self.storages[key]

    def _since_mark(self) -> list[Any]:
        mark = self._marks.pop()
        items = self._stack[mark:]
        del self._stack[mark:]
        return items


_OBJECTS = ("GLOBAL", "INST", "PERSID", "EXT1", "EXT2", "EXT4", "NEXT_BUFFER")


def _collection(name: str, items: list[Any]) -> Any:
    match name:
        case "TUPLE":
            return tuple(items)
        case "LIST":
            return items
        case "DICT":
            return _pairs(items)
    return Skipped(name.lower())


def _pairs(items: list[Any]) -> dict[Any, Any]:
    return dict(zip(items[::2], items[1::2], strict=True))
