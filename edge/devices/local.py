"""This machine as a device: nothing is copied, commands are its own processes."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from edge.devices.base import NoSuchProgram, TimedOut, command_failed
from edge.devices.client import lines
from pose.cache import cache_folder
from pose.errors import InputError
from pose.files import atomic_file


class Local:
    """See `edge.devices.base.Device`."""

    name = "local"
    here = True

    @property
    def folder(self) -> str:
        """In the user's cache, in a folder that other commands do not use."""
        return str(cache_folder() / "device")

    def push(self, path: Path, digest: str) -> str:
        """The path of the file itself: nothing is copied."""
        if not Path(path).exists():
            raise InputError(f"cannot read {path}: no such file")
        return str(Path(path).resolve())

    def run(self, command: Sequence[str], *, stdin: bytes = b"", timeout: float) -> Iterator[str]:
        """See `Device.run`."""
        deadline = time.monotonic() + timeout
        with tempfile.TemporaryFile() as source, tempfile.TemporaryFile() as complaints:
            source.write(stdin)
            source.seek(0)
            try:
                process = subprocess.Popen(  # noqa: S603 - the harness's own commands
                    list(command), stdin=source, stdout=subprocess.PIPE, stderr=complaints, start_new_session=True
                )
            except OSError as error:
                why = f"{self.name}: cannot run {command[0]} ({error.strerror or error})"
                raise NoSuchProgram(why, 127) from error
            assert process.stdout is not None
            try:
                yield from lines(process.stdout, deadline)
                status = process.wait(max(0.1, deadline - time.monotonic()))
            except (TimeoutError, subprocess.TimeoutExpired) as error:
                message = f"{self.name}: {Path(command[0]).name} took longer than {timeout:.0f} s and was ended"
                raise TimedOut(message) from error
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                process.stdout.close()
            if status:
                complaints.seek(max(0, complaints.seek(0, os.SEEK_END) - 4096))
                complaint = complaints.read().decode(errors="replace")
                status = status if status > 0 else 128 - status
                raise command_failed(self, Path(command[0]).name, status, complaint)

    def pull(self, remote: str, to: Path) -> None:
        """See `Device.pull`."""
        with atomic_file(to) as temporary:
            shutil.copyfile(remote, temporary)

    def read(self, remote: str) -> str | None:
        """See `Device.read`."""
        try:
            with open(remote, encoding="utf-8", errors="replace") as file:
                return file.read(65536)
        except OSError:
            return None

    def clean(self) -> None:
        """See `Device.clean`."""
        shutil.rmtree(self.folder, ignore_errors=True)
