"""Reading and writing files. Files are written atomically: a reader finds the old content or the new, never a part."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import math
import os
import re
import shutil
import socket
import stat
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from io import BufferedReader
from pathlib import Path
from typing import Any, TypeVar

from pose.errors import InputError, first_problem, one_line

T = TypeVar("T")
DOCUMENT, LARGEST = 16 << 20, 8 << 30  # bytes of a text that a command reads, and of any file: weights, a program
_PART = 16 << 20
CARD_SUFFIX = ".card.yaml"  # of the card beside a file: `x.pte.card.yaml`


@contextlib.contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` to write to: it replaces `path` at the end of the block, and is removed on an error.

    A symbolic link stays one: what it points to is replaced. A file that is replaced keeps its permissions. A device or a
    pipe is written to.

    Raises:
        InputError: the folder cannot be written to, or the disk is full.
    """
    path = Path(path)
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(path.parent)
        special = path.exists() and not path.is_file() and not path.is_dir()
        target = resolved(path) if path.is_symlink() and not special else path
        if target.is_symlink():  # a loop
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        if _identity(target) in _read:
            raise _reads(path)
        folder = Path(tempfile.gettempdir()) if special else target.parent
        handle, name = tempfile.mkstemp(dir=folder, prefix=_temporary_prefix(target), suffix=target.suffix[-_SUFFIX:])
        os.close(handle)
        temporary = Path(name)
        yield temporary
        if special:
            from pose.terminal import open_special  # which takes longer to import than most files to write

            with open(temporary, "rb") as file, open_special(path) as sink:
                shutil.copyfileobj(file, sink)
            return
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        # mkstemp makes it private to its owner
        temporary.chmod(stat.S_IMODE(target.stat().st_mode) if target.exists() else 0o644)
        _results.discard(_identity(target))  # its number may be that of another file from now on
        temporary.replace(target)
    except OSError as error:
        raise _cannot_write(path, error) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """An empty folder beside `path` to fill: it replaces `path` at the end of the block, and is removed on an error.

    Raises:
        InputError: it cannot be written to, or the disk is full.
    """
    path = Path(path)
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(path.parent)
        temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=_temporary_prefix(path), suffix=path.suffix[-_SUFFIX:]))
        yield temporary
        for entry in (temporary, *temporary.rglob("*")):
            entry.chmod(0o755 if entry.is_dir() else 0o644)  # mkdtemp makes it private to its owner
        _replace_folder(path, temporary)
    except OSError as error:
        raise _cannot_write(path, error) from error
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)


def _replace_folder(path: Path, new: Path) -> None:
    """A folder that is not empty cannot be replaced: the old one goes aside first, and comes back if anything fails."""
    old = new.with_name(f"{new.name}.old")
    try:
        if path.exists():
            path.rename(old)
        new.rename(path)
    except BaseException:
        if old.exists() and not path.exists():
            old.rename(path)
        raise
    shutil.rmtree(old, ignore_errors=True)


_NAME, _SUFFIX = 40, 20  # characters of a name that its temporary file has: a name of 255 bytes leaves no room for more


_LEFTOVER = re.compile(r"\..{1,40}\.([0-9a-f]{8})-(\d{1,10})\..+", re.DOTALL)
_MACHINE = Path("/etc/machine-id")
_swept: set[tuple[int, Path]] = set()  # process and folder


def _temporary_prefix(path: Path) -> str:
    """With the computer and the process, whose end makes it a leftover."""
    return f".{path.name[:_NAME]}.{_computer()}-{os.getpid()}."


def _computer() -> str:
    """Of a name, a number, and its processes' numbers: two boards of one share may be called `raspberrypi`, containers may
    share the name, and none sees the processes of another."""
    parts = [socket.gethostname()]
    for read in (lambda: str(Path("/proc/self/ns/pid").readlink()), _MACHINE.read_text):
        with contextlib.suppress(OSError):  # not on Linux, or in a container
            parts.append(read())
    return f"{zlib.crc32(' '.join(parts).encode()):08x}"


def _remove_leftovers(folder: Path) -> None:
    """Remove the temporary files and folders of killed processes, the first time that this process writes to a folder."""
    key = os.getpid(), folder.absolute()
    if key in _swept or os.name != "posix":
        return
    _swept.add(key)
    for entry in list(folder.iterdir()):
        match = _LEFTOVER.fullmatch(entry.name)
        if match is None or match[1] != _computer() or _is_running(int(match[2])):
            continue
        with contextlib.suppress(OSError):
            shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:  # of another user
        return True
    return True


def require_apart(writes: Iterable[Path], reads: Iterable[Path]) -> None:
    """Raises InputError where a command would write over what it reads, or write two results to one file.

    Args:
        reads: files, each with the card beside it. A folder stands for the files in it; results in json may lie in a folder
            of photos or programs, but not in a package (a folder with a suffix).
    """
    written: set[Path] = set()
    sources = [resolved(path) for path in reads]
    files = {*sources, *(path.with_name(path.name + CARD_SUFFIX) for path in sources if path.name)}
    folders = [path for path in sources if path.is_dir()]
    for path in writes:
        place = resolved(path)
        around = [folder for folder in folders if folder in place.parents and (place.suffix != ".json" or folder.suffix)]
        if (place in files and not place.is_dir()) or (place.exists() and around):
            raise _reads(path)
        if place in written:
            raise InputError(f"{path} is named for two results, and one would write over the other; give it another name")
        written.add(place)


_results: set[tuple[int, int] | None] = set()  # device and number of the files that the running command will replace
_read: set[tuple[int, int] | None] = set()  # those of them that it tried to read


@contextlib.contextmanager
def results_apart(writes: Iterable[Path]) -> Iterator[None]:
    """Within the block, InputError is raised where one of these files is read before it is written.

    `require_apart` knows what the options name; this guards what those files lead to: photos, twins, cards, labels.
    """
    _results.update(map(_identity, writes))
    _results.discard(None)
    try:
        yield
    finally:
        _results.clear()
        _read.clear()


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return (status.st_dev, status.st_ino) if stat.S_ISREG(status.st_mode) else None


def resolved(path: Path) -> Path:
    """The path without symbolic links; of a loop of them, which Path.resolve refuses by a RuntimeError, what there is."""
    return Path(os.path.realpath(path))


def _reads(path: Path) -> InputError:
    return InputError(f"{path} is read by this command, which would write over it; give the result another name")


def require_writable(path: Path) -> None:
    """Raises InputError unless a file can be written there: to be checked before the work whose result it will hold."""
    place = Path(path).absolute()
    folder = next((parent for parent in place.parents if parent.exists()), place)
    try:
        with contextlib.suppress(FileNotFoundError):
            Path(path).stat()  # of a loop of links, for one
        if Path(path).is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if not Path(path).exists() or Path(path).is_file():  # a device or a pipe needs no room in its folder
            with tempfile.TemporaryFile(dir=folder):
                pass
    except OSError as error:
        raise _cannot_write(path, error) from error


def _cannot_write(path: Path, error: OSError) -> InputError:
    return InputError(f"cannot write {path}: {error.strerror or error}; choose another folder or free some space")


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically, in UTF-8; bytes of a name that are no UTF-8 are escaped."""
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def write_json(path: Path, value: Any) -> None:
    """Write json atomically, indented; a number that is not finite is written as null."""
    write_text(path, json.dumps(finite(value), indent=2, allow_nan=False) + "\n")


def finite(value: Any) -> Any:
    """`value`, nested lists and dictionaries included, with None for every number that is NaN or infinite."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


@contextlib.contextmanager
def open_regular(path: Path, most: int = LARGEST) -> Iterator[BufferedReader]:
    """A file to read from, for every file that others may have made; native readers get the path after `require_regular`.

    Args:
        most: bytes that it may have.

    Raises:
        InputError: there is none, it cannot be read, or it is larger. Or it is a folder, a pipe, a socket or a device: those
            have no end that is known before, and may never come to one.
    """
    try:
        number = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise InputError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error
    try:
        status = os.fstat(number)
        if not stat.S_ISREG(status.st_mode):
            kind = os.strerror(errno.EISDIR) if stat.S_ISDIR(status.st_mode) else "it is a pipe, socket or device"
            raise InputError(f"cannot read {path}: {kind}; give a file")
        if (status.st_dev, status.st_ino) in _results:
            _read.add((status.st_dev, status.st_ino))
            raise _reads(path)
        if status.st_size > most:
            raise InputError(f"cannot read {path}: it has {_megabytes(status.st_size)} MB, more than {_megabytes(most)} MB")
    except InputError:
        os.close(number)
        raise
    with open(number, "rb") as file:
        try:
            yield file
        except OSError as error:
            raise InputError(f"cannot read {path}: {error.strerror or error}") from error


def require_regular(path: Path, most: int = LARGEST) -> None:
    """Raises InputError unless a path is a file that `open_regular` opens."""
    with open_regular(path, most):
        pass


def opencv_name(path: Path | str) -> str:
    """A path for OpenCV, which ends the process on a name that is no UTF-8.

    Raises:
        InputError: it is no UTF-8.
    """
    name = os.fspath(path)
    if any("\ud800" <= character <= "\udfff" for character in name):
        raise InputError(f"{name}: a name that is no UTF-8, which OpenCV cannot open; rename it")
    return name


def read_bytes(path: Path, most: int = DOCUMENT) -> bytes:
    """The bytes of a file.

    Raises:
        InputError: see `open_regular`.
    """
    content = bytearray()
    with open_regular(path, most) as file:
        while part := file.read(_PART):
            content += part
            if len(content) > most:  # a file of the kernel has more than it says
                raise InputError(f"cannot read {path}: it has more than {_megabytes(most)} MB")
    return bytes(content)


def read_text(path: Path, most: int = DOCUMENT) -> str:
    """The text of a file in UTF-8.

    Raises:
        InputError: see `open_regular`; or it is not UTF-8.
    """
    try:
        return read_bytes(path, most).decode()
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not text in UTF-8 (byte {error.start}); is it another file?") from error


def _megabytes(count: int) -> str:
    return f"{count / 1e6:,.0f}"


def read_json(path: Path) -> Any:
    """The json in a file.

    Raises:
        InputError: see `read_text`; or it is not json.
    """
    try:
        return json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not valid json ({error}); is it truncated?") from error


def read_yaml(path: Path, model: type[T]) -> T:
    """A YAML file as the pydantic model or dataclass that describes it; an empty file has every default.

    Raises:
        InputError: it cannot be read, or a field is missing, unknown or wrong; the first one is named.
    """
    from pydantic import TypeAdapter, ValidationError

    value = read_yaml_value(path)
    try:
        return TypeAdapter(model).validate_python({} if value is None else value)
    except ValidationError as error:
        field, reason = first_problem(error, model)
        raise InputError(f"{path}: {field + ': ' if field else ''}{reason}") from error


def read_yaml_value(path: Path) -> Any:
    """The value in a YAML file; None of an empty one.

    Raises:
        InputError: see `read_text`; or it is not YAML, or more than `pose.yaml_text` reads.
    """
    from pose import yaml_text

    try:
        return yaml_text.parse(read_text(path))
    except ValueError as error:
        raise InputError(f"{path} is not valid YAML ({one_line(error, 200)}); correct that place") from error


def sha256(path: Path) -> str:
    """Hex digest of a file's bytes.

    Raises:
        InputError: see `open_regular`.
    """
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def size(path: Path) -> int:
    """Bytes of a file, or of all files in a folder."""
    return sum(part.stat().st_size for part in path.rglob("*") if part.is_file()) if path.is_dir() else path.stat().st_size


def plain(value: Any) -> Any:
    """`value` after a round trip through json: paths become strings, tuples lists."""
    return json.loads(json.dumps(value, default=str))
