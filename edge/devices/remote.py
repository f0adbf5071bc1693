"""A device behind a connection with a shell: what ssh and adb have in common.

A command runs in a session of its own on the device, so that all of it can be ended: by the end of the connection (where
that carries stdin), by the host, and in any case by a timer of its own. Two lines of ours frame its output: banners outside
them are no output, and the second one holds the exit status, so that a cut connection is no success.
"""

from __future__ import annotations

import base64
import contextlib
import io
import math
import secrets
import shlex
import tarfile
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from edge.devices.base import (
    CommandFailed,
    ConnectionCut,
    DeviceFailure,
    TimedOut,
    Unreachable,
    command_failed,
    last_line,
)
from edge.devices.client import GRACE, Client
from pose.errors import InputError
from pose.files import atomic_file, sha256

SHORT = 60.0  # seconds for a command of ours that ends at once
SLOWEST = 50e3  # bytes a second
LARGEST = 256 << 20  # bytes of a file that comes back
OUTPUT, OF_LINE = 1 << 30, 64  # bytes of memory that the output of one command may take, and those of a line beside its text

# One line each and no "!", so that any login shell passes them on. The inner shell reports the status and ends its group;
# where something else has ended the group, the outer shell reports that.
_OUTER = (
    'inner=$1; shift; exec 3<&0; setsid sh -c "$inner" sh "$@" <&3 3<&- & exec 2>/dev/null; wait $!; status=$?; '
    r"""printf '\n@device end %s %s\n' "$1" $status"""
)
_INNER = (
    r"""token=$1 size=$2 seconds=$3; shift 3; exec 3<&0; printf '\n@device begin %s %s\n' "$token" $$; """
    r"""{ sleep "$seconds"; kill -s KILL 0; } >/dev/null 2>&1 3<&- & """
)
_END = r"""printf '\n@device end %s %s\n' "$token" $?; kill -s KILL 0"""
_FROM_CONNECTION = '{ head -c "$size" <&3; exec >/dev/null 2>&1; cat <&3; kill -s KILL 0; } | { "$@" 3<&-; ' + _END + "; }"
_FROM_FILE = 'from=$1; shift; "$@" <"$from" 3<&-; ' + _END

_FINGERPRINT = (
    'if command -v sha256sum >/dev/null; then now=$(sha256sum <"$1"); now=${now%% *}; want=$2; '
    'else now=$(($(wc -c <"$1"))); want=$3; fi; '
)
_HAVE = '[ -e "$1" ] && { [ "$2" = folder ] && exit; ' + _FINGERPRINT + '[ "$now" = "$want" ]; } || { echo absent; }'
_PLACE = (
    _FINGERPRINT + 'if [ "$now" != "$want" ]; then rm -f "$1"; echo "it arrived damaged" >&2; exit 1; fi; '
    'mkdir -p "${4%/*}" && if [ "$5" = folder ]; '
    'then rm -rf "$1.d" "$4" && mkdir "$1.d" && tar -xf "$1" -C "$1.d" && mv "$1.d" "$4"; else mv -f "$1" "$4"; fi; '
    'status=$?; rm -rf "$1" "$1.d"; exit $status'
)


class Remote(ABC):
    """A device whose every action is a shell command; subclasses implement the transport.

    Attributes:
        name: as the user wrote it.
        carries_stdin: whether the connection takes input and the device sees its end.
        install: the command that installs the client on this machine.
    """

    here = False
    carries_stdin: bool
    install: str

    def __init__(self, name: str) -> None:
        self.name = name
        self._token = secrets.token_hex(8)

    @property
    @abstractmethod
    def folder(self) -> str:
        """Our own directory on the device."""

    @abstractmethod
    def _client(self, line: str) -> list[str]:
        """The host's command that lets the device's shell run `line`."""

    @abstractmethod
    def _unreachable(self, status: int, complaint: str) -> DeviceFailure:
        """The error for a client that ended before anything ran on the device."""

    @abstractmethod
    def _send(self, path: Path, remote: str) -> None:
        """Copy a file to a path in a folder that may not exist yet."""

    def run(self, command: Sequence[str], *, stdin: bytes = b"", timeout: float) -> Iterator[str]:
        """See `Device.run`."""
        return self._run(command, io.BytesIO(stdin), len(stdin), timeout)

    def push(self, path: Path, digest: str) -> str:
        """See `Device.push`."""
        remote = f"{self.folder}/{digest[:16]}/{path.name}"
        kind = "folder" if path.is_dir() else "file"
        try:
            size = path.stat().st_size
            if not self._shell(_HAVE, remote, digest if kind == "file" else kind, str(size)):
                return remote
            part = f"{self.folder}/.part/{digest[:16]}-{self._token}"
            with _packed(path) as file:
                size, content = file.stat().st_size, digest if file is path else sha256(file)
                self._send(file, part)
            self._shell(_PLACE, part, content, str(size), remote, kind, timeout=SHORT + size / SLOWEST)
        except OSError as error:
            raise InputError(f"cannot read {path}: {error.strerror or error}") from error
        return remote

    def pull(self, remote: str, to: Path) -> None:
        """See `Device.pull`."""
        with atomic_file(to) as temporary, open(temporary, "wb") as file:
            for line in self.run(["base64", remote], timeout=SHORT * 10):
                try:
                    file.write(base64.b64decode(line))
                except ValueError as error:
                    raise DeviceFailure(f"{self.name}: {remote} arrived damaged ({error}); try again") from error
                if file.tell() > LARGEST:
                    raise DeviceFailure(
                        f"{self.name}: {remote} has more than {LARGEST >> 20} MB, which no job of ours writes"
                    )

    def read(self, remote: str) -> str | None:
        """See `Device.read`."""
        try:
            return "\n".join(self.run(["head", "-c", "65536", remote], timeout=SHORT))
        except CommandFailed:
            return None

    def clean(self) -> None:
        """See `Device.clean`."""
        self._shell('rm -rf "$1"', self.folder)

    def _shell(self, script: str, *arguments: str, timeout: float = SHORT) -> str:
        return "\n".join(self.run(["sh", "-c", script, "sh", *arguments], timeout=timeout)).strip()

    def _run(self, command: Sequence[str], stdin: IO[bytes], size: int, timeout: float) -> Iterator[str]:
        deadline = time.monotonic() + timeout
        token = secrets.token_hex(8)
        rest = [str(size), str(math.ceil(timeout + GRACE)), *command]
        with contextlib.ExitStack() as stack:
            inner = _INNER + _FROM_CONNECTION
            if not self.carries_stdin:
                inner = _INNER + _FROM_FILE
                rest.insert(2, stack.enter_context(self._kept(stdin, size)))
            line = shlex.join(["sh", "-c", _OUTER, "sh", inner, token, *rest])
            try:
                client = stack.enter_context(Client(self._client(line), token, stdin if self.carries_stdin else None))
            except FileNotFoundError as error:
                raise Unreachable(
                    f"{self.name}: {error.filename} is not installed on this machine; {self.install}"
                ) from error
            late, used = False, 0
            try:
                for answer in client.output(deadline):
                    used += len(answer) + OF_LINE
                    if used > OUTPUT:
                        raise DeviceFailure(
                            f"{self.name}: {_program(command)} never stops to write; is it the program that its name says?"
                        )
                    yield answer
            except TimeoutError:
                late = True
            finally:
                if client.group and client.status is None:
                    self._end(client)
            if late:
                raise self._late(command, client, timeout)
            if client.status == 0:
                return
            code, complaint = client.end()
        if client.group is None:
            raise self._unreachable(code, complaint or client.last)
        if client.status is None:
            raise ConnectionCut(
                f"{self.name}: the connection was cut while {_program(command)} ran "
                f"({last_line(complaint) or 'no reason given'}); see that the board has power and network, then try again"
            )
        raise command_failed(self, _program(command), client.status, complaint if self.carries_stdin else client.last)

    @contextlib.contextmanager
    def _kept(self, stdin: IO[bytes], size: int) -> Iterator[str]:
        """A file on the device that holds `stdin`."""
        if not size:
            yield "/dev/null"
            return
        remote = f"{self.folder}/.part/{secrets.token_hex(8)}-stdin"
        with tempfile.NamedTemporaryFile() as file:
            file.write(stdin.read())
            file.flush()
            self._send(Path(file.name), remote)
        try:
            yield remote
        finally:
            with contextlib.suppress(DeviceFailure):
                self._shell('rm -f "$1"', remote)

    def _end(self, client: Client) -> None:
        """End the command on the device."""
        client.hang_up()

    def _late(self, command: Sequence[str], client: Client, timeout: float) -> DeviceFailure:
        if client.group is None:
            return self._unreachable(255, f"no answer within {timeout:.0f} s")
        end = "was ended there" if client.status is not None else "ends there by its own clock, as it does not answer"
        return TimedOut(
            f"{self.name}: {_program(command)} took longer than {timeout:.0f} s and {end}; is the board busy or hung? "
            "Give it more time, or restart it"
        )


@contextlib.contextmanager
def _packed(path: Path) -> Iterator[Path]:
    """The file itself, a folder as a tar file."""
    if not path.is_dir():
        yield path
        return
    with tempfile.NamedTemporaryFile(suffix=".tar") as file:
        with tarfile.open(file.name, "w") as tar:
            for member in sorted(path.rglob("*")):
                tar.add(member, member.relative_to(path), recursive=False)
        yield Path(file.name)


def _program(command: Sequence[str]) -> str:
    return command[0].rpartition("/")[2]
