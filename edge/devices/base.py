"""What a device is: a place that takes files, runs commands and gives files back."""

from __future__ import annotations

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
    """

    name: str

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
