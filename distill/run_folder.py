"""The folder of a training run: one process at a time, its settings, its log."""

from __future__ import annotations

import atexit
import contextlib
import csv
import os
import re
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from distill import processes
from distill.run_files import CHECKPOINT, LOCK, RUN_FILES, SETTINGS
from pose import files
from pose.errors import InputError

_locks: dict[Path, IO[str]] = {}  # of this process; the kernel releases them when it ends, however it ends
_TEMPORARY = tuple(f".{name}." for name in RUN_FILES)  # what `pose.files.atomic_file` calls theirs begins with these


def require_new_run_dir(folder: Path, resume: bool) -> None:
    """Take a folder for this process: no other one trains in it until this one ends.

    Raises:
        InputError: the folder holds a run and `resume` is not given, another process uses it, or it cannot be written to.
    """
    if not resume and (folder / CHECKPOINT).exists():
        raise InputError(f"{folder} holds a run already; add --resume to go on with it, or take another --out")
    files.require_writable(folder / CHECKPOINT)
    if processes.state().is_main_process:
        _lock(folder)


def check_resume_settings(folder: Path, settings: Mapping[str, Any], resume: bool) -> None:
    """Compare a run's settings with those that its folder records; a folder with neither record nor checkpoint is empty.

    Raises:
        InputError: `resume` with other settings; the first that differs is named, by its path (`recipe.lr`). Or there is a
            checkpoint and no record.
    """
    record = folder / SETTINGS
    if not resume:
        return
    if not record.exists():
        if (folder / CHECKPOINT).exists():
            raise InputError(f"{record} is missing, so --resume cannot tell what {CHECKPOINT} is of; take another --out")
        return
    before, now = _flat(files.read_json(record)), _flat(files.plain(dict(settings)))
    for key in sorted(set(before) | set(now)):
        if before.get(key) != now.get(key):
            raise InputError(
                f"--resume with another '{key}' than {record} has: {now.get(key)} instead of {before.get(key)}; "
                "give the same settings, or another --out"
            )


def cut_log(path: Path, step: int) -> float:
    """Drop the rows logged after a step: they are logged again. Rows that are damaged or incomplete are dropped, too.

    Returns:
        Seconds from the beginning of the run to the last row that is kept; 0 if none is.
    """
    if step == 0 or not path.exists():
        path.unlink(missing_ok=True)
        return 0.0
    lines = path.read_text(encoding="utf-8", errors="replace").replace("\0", "").splitlines()
    header, *rows = list(csv.reader(lines)) or [[]]
    kept = [row for row in rows if len(row) == len(header) and _is_row(row) and int(row[0]) <= step]
    files.write_text(path, "".join(",".join(row) + "\n" for row in [header, *kept]))
    return float(kept[-1][1]) if kept else 0.0


def _is_row(row: list[str]) -> bool:
    """Whether a row begins with a step and seconds."""
    return len(row) > 1 and row[0].isdecimal() and re.fullmatch(r"\d+(\.\d+)?", row[1]) is not None


def _lock(folder: Path) -> None:
    path = files.resolved(folder / LOCK)
    if path in _locks:
        return
    try:
        import fcntl
    except ImportError:  # not on Windows
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    file = open(path, "a+", encoding="utf-8")  # noqa: SIM115 - open as long as the process lives
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.seek(0)
        holder = file.read(200).strip() or "another process"
        file.close()
        raise InputError(f"{folder} is used by {holder}; wait for its end, or take another --out") from error
    if not _is_at(path, file):  # its holder ended, and removed it, after we had opened it
        file.close()
        _lock(folder)
        return
    file.truncate(0)
    file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
    file.flush()
    _locks[path] = file
    atexit.register(path.unlink, missing_ok=True)
    for leftover in folder.iterdir():  # of killed runs: nobody else writes here now
        if leftover.name.startswith(_TEMPORARY):
            with contextlib.suppress(OSError):
                leftover.unlink()


def _is_at(path: Path, file: IO[str]) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    return False


def _flat(value: Any, path: str = "") -> dict[str, Any]:
    """Leaves of nested mappings by their dotted path."""
    if not isinstance(value, dict):
        return {path: value}
    return {key: leaf for name, inner in value.items() for key, leaf in _flat(inner, f"{path}.{name}".lstrip(".")).items()}
