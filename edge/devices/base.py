"""What a device is: a place that takes files, runs commands and gives files back."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from pose.errors import BackendError

FOLDER = "distilpose-edge"  # our own directory on a device


class DeviceFailure(BackendError):  # noqa: N818 - its kinds are named after what happened
    """A device could not do what it was asked; the message is one line that begins with the device's name."""


class Unreachable(DeviceFailure):
    """No connection: refused, unknown host, key not accepted, adb unauthorised or offline, ssh or adb not installed."""


class HostKeyRefused(Unreachable):
    """The device is not the one, or not yet one, that known_hosts knows."""


class ConnectionCut(DeviceFailure):
    """The connection ended before the command did; what ran there is ended there. Worth another try."""


class TimedOut(DeviceFailure):
    """The command took longer than it was given; it is ended there."""


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
    """There is no such program there, or it is made for another architecture."""


class DiskFull(CommandFailed):
    """No space is left there; nothing half-written stays."""


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
        """Our own directory there, absolute; asked of the device once, so it may raise what `run` raises."""
        ...

    def push(self, path: Path, digest: str) -> str:
        """Put a file or a folder there, once, whole or not at all.

        Args:
            path: on the host.
            digest: sha256 of the file (checked there); of a folder any name for its content.

        Returns:
            Its path there: `folder/digest[:16]/path.name`.

        Raises:
            DeviceFailure: as `run`.
        """
        ...

    def run(self, command: Sequence[str], *, stdin: bytes = b"", timeout: float) -> Iterator[str]:
        """Lines of the command's stdout, as they come; nothing is started before the first one is asked for.

        The command is ended there when the time is over, the connection ends, or the iterator is closed.

        Args:
            command: program and arguments; no shell reads them.
            timeout: seconds for all of it.

        Raises:
            DeviceFailure: one of the kinds above, after the lines that came until then.
        """
        ...

    def pull(self, remote: str, to: Path) -> None:
        """Bring a file from there to `to`, whole or not at all.

        Raises:
            DeviceFailure: as `run`.
            InputError: `to` cannot be written.
        """
        ...

    def read(self, remote: str) -> str | None:
        """A small text file there (up to 64 KiB), None if there is none or it cannot be read.

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
    """What it means that a command on the device ended with that status, 128 + the signal's number if one ended it.

    Args:
        complaint: what it wrote to stderr, or the end of that.
    """
    said, there = last_line(complaint), "" if device.here else " there"
    if "No space left on device" in complaint or "quota exceeded" in complaint:
        mend = "free some space, or remove our files with --clean"
        return DiskFull(f"{device.name}: the disk is full{there}; {mend}", status, said)
    # where the system refuses a program, some shells read it as a script of theirs
    foreign = "Exec format error" in complaint or (program != "sh" and re.search(rf"{re.escape(program)}: \d+: ", complaint))
    if foreign or status in (126, 127):
        why = "is made for another architecture" if foreign else "is not installed, or not executable"
        return NoSuchProgram(f"{device.name}: {program} {why}{there} ({said or f'status {status}'})", status, said)
    if status > 128:
        why = "; is there enough memory?" if status == 137 else ""
        return CommandFailed(f"{device.name}: {program} was killed{there} by signal {status - 128}{why}", status, said)
    return CommandFailed(f"{device.name}: {program} ended with status {status}: {said or 'it said nothing'}", status, said)


def last_line(text: str) -> str:
    """The last line with anything in it, "" if there is none."""
    return text.strip().splitlines()[-1].strip()[:200] if text.strip() else ""
