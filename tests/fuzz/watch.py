"""What reading a file may not do: raise anything but the project's errors, hang, take memory, write or start something."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pose.errors import UserError

SECONDS, MEGABYTES = 30.0, 2_000
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_CHANGES = ("os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate", "os.chmod", "shutil.")
_STARTS = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "socket.connect", "ctypes.dlopen")
_watched: list[Path] = []  # the folder, while something is watched
_seen: list[str] = []


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if not _watched:
        return
    writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & _WRITING
    if event.startswith(_STARTS):
        _seen.append(f"{event} {arguments[:1]}")
    elif writes or event.startswith(_CHANGES):
        place = arguments[0]
        inside = isinstance(place, int) or Path(os.fsdecode(place)).resolve().is_relative_to(_watched[0])
        if not inside:
            _seen.append(f"{event} {arguments[:2]}")


sys.addaudithook(_audit)


@contextlib.contextmanager
def harmless(folder: Path) -> Iterator[None]:
    """A block that may raise the project's errors, of one line; anything else that it may not do is an AssertionError."""
    _forget_peak()
    resident = megabytes("VmRSS")
    began, _seen[:], _watched[:] = time.process_time(), [], [folder.resolve()]
    message = ""
    try:
        yield
    except UserError as error:
        message = str(error)
    finally:
        _watched.clear()
    assert "\n" not in message
    assert len(message) < 4_000
    assert not _seen, _seen
    assert time.process_time() - began < SECONDS  # other processes have the processor, too
    assert megabytes("VmHWM") - resident < MEGABYTES  # other tests of this process may hold more


def _forget_peak() -> None:
    """Let the peak of this process's memory start from what it has now."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def megabytes(kind: str) -> float:
    """Memory that this process has (VmRSS), or has had at most (VmHWM)."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.is_file() else []
    return next((int(line.split()[1]) / 1000 for line in lines if line.startswith(f"{kind}:")), 0.0)
