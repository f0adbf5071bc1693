"""The protocol of a device, which stores files, runs commands and gives files back, and the ways in which it fails."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from pydantic import ValidationError

from pose.errors import BackendError, UserError, first_problem, one_line

FOLDER = "distilpose-edge"  # our own directory on a device
# what the loaders of glibc and of musl say, with status 127, of a program that lacks a library
_LOADER = re.compile(r".*(?:while loading shared libraries|Error loading shared library).*")


class DeviceFailure(BackendError):  # noqa: N818 - subclasses are named after what happened
    """An action on a device failed; the message is one line that begins with the device's name."""


class Unreachable(DeviceFailure):
    """No connection: refused, unknown host, key not accepted, adb unauthorised or offline, ssh or adb not installed."""


class HostKeyRefused(Unreachable):
    """The device is not the one, or not yet one, that known_hosts knows."""


class ConnectionCut(DeviceFailure):
    """The connection ended before the command did, and the device ended the command. Another attempt may succeed."""


class TimedOut(DeviceFailure):
    """The command took longer than its timeout; the device ended it."""


class CommandFailed(DeviceFailure):
    """The command ended with a status other than 0.

    Attributes:
        status: its exit status, 128 + the signal's number where a signal ended it.
        complaint: the last line that it wrote to stderr (to either, over adb), "" if it was silent.
    """

    def __init__(self, message: str, status: int, complaint: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.complaint = complaint


class NoSuchProgram(CommandFailed):
    """The device has no such program, or it is made for another architecture, or it lacks a library."""


class DiskFull(CommandFailed):
    """The device has no space left; no half-written file stays."""


class Device(Protocol):
    """A board, a phone, or this machine.

    Attributes:
        name: as the user wrote it: "local", "ssh://pi@host:2222", "adb:SERIAL".
        here: whether it is this machine, where files stay where they are and Python is the user's own.
    """

    name: str
    here: bool

    @property
    def folder(self) -> str:
        """Absolute path of our own directory on the device; read from the device once, so it may raise what `run` raises."""
        ...

    def push(self, path: Path, digest: str) -> str:
        """Copy a file or a folder to the device, once, atomically.

        Args:
            path: on the host.
            digest: sha256 of the file, which the device verifies; of a folder any name for its content.

        Returns:
            Its path on the device: `folder/digest[:16]/path.name`.

        Raises:
            DeviceFailure: as `run`.
        """
        ...

    def run(self, command: Sequence[str], *, stdin: bytes = b"", timeout: float) -> Iterator[str]:
        """Lines of the command's stdout, as they are written; nothing is started before the first one is requested.

        The device ends the command when the timeout is over, the connection ends, or the iterator is closed.

        Args:
            command: program and arguments; no shell interprets them.
            timeout: seconds for the whole command.

        Raises:
            DeviceFailure: one of the kinds above, after the lines that came until then.
        """
        ...

    def pull(self, remote: str, to: Path) -> None:
        """Copy a file of the device to `to`, atomically.

        Raises:
            DeviceFailure: as `run`.
            InputError: `to` cannot be written.
        """
        ...

    def read(self, remote: str) -> str | None:
        """Content of a small text file of the device (up to 64 KiB); None if it cannot be read.

        Raises:
            DeviceFailure: as `run`.
        """
        ...

    def clean(self) -> None:
        """Remove `folder` and all in it.

        Raises:
            DeviceFailure: as `run`.
        """
        ...


def command_failed(device: Device, program: str, status: int, complaint: str) -> CommandFailed:
    """The error for a command that ended with that status, 128 + the signal's number if one ended it.

    Args:
        complaint: what it wrote to stderr, or the end of it.
    """
    reason, place = last_line(complaint), "" if device.here else " there"
    if "No space left on device" in complaint or "quota exceeded" in complaint:
        fix = "free some space, or remove our files with --clean"
        return DiskFull(f"{device.name}: the disk is full{place}; {fix}", status, reason)
    # where the system refuses a program, some shells interpret it as a script
    foreign = "Exec format error" in complaint or (program != "sh" and re.search(rf"{re.escape(program)}: \d+: ", complaint))
    if foreign or status in (126, 127):
        if loader := _LOADER.search(complaint):
            fix = "install that library, or add its folder to /etc/ld.so.conf.d and run sudo ldconfig"
            message = f"{device.name}: {program} does not start{place} ({loader[0].strip()[:200]}); {fix}"
            return NoSuchProgram(message, status, reason)
        why = "is made for another architecture" if foreign else "is not installed, or not executable"
        return NoSuchProgram(f"{device.name}: {program} {why}{place} ({reason or f'status {status}'})", status, reason)
    if status > 128:
        why = {
            132: ": an illegal instruction; a wheel there is built for a newer processor, install an older version of it",
            137: "; is there enough memory?",
        }.get(status, "")
        return CommandFailed(f"{device.name}: {program} was killed{place} by signal {status - 128}{why}", status, reason)
    return CommandFailed(
        f"{device.name}: {program} ended with status {status}: {reason or 'it printed no reason'}", status, reason
    )


def failure_line(device: Device, error: Exception) -> str:
    """The error as one line that begins with the device's name, for the record of that device.

    It takes any exception: whatever one device sends, the results of the others are kept.
    """
    if isinstance(error, UserError):
        text = one_line(error)
    elif isinstance(error, MemoryError):
        text = "this machine has no memory left for it; measure fewer devices at a time"
    elif isinstance(error, OSError):
        text = f"{error.filename}: {error.strerror}" if error.filename else error.strerror or one_line(error)
    elif isinstance(error, ValidationError):
        text = f"it reported something impossible: {one_line(': '.join(first_problem(error)), 200)}"
    else:
        text = f"its answer is not understood ({type(error).__name__}: {one_line(error, 200)})"
    return text if text.startswith(device.name) else f"{device.name}: {text}"


def require_all(failures: Mapping[str, str], count: int) -> None:
    """Raises BackendError, with the first failure and the names of the other devices, if any of `count` devices failed.

    Args:
        failures: device -> `failure_line`.
    """
    if failures:
        (name, line), *others = failures.items()
        more = f"; {', '.join(other for other, _ in others)} failed, too" if others else ""
        raise BackendError(f"{len(failures)} of {count} devices failed; {line if name in line else f'{name}: {line}'}{more}")


def last_line(text: str) -> str:
    """The last line with anything in it, "" if there is none."""
    return text.strip().splitlines()[-1].strip()[:200] if text.strip() else ""
