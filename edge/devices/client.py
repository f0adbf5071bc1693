"""The host's end of one command on a device: the ssh or adb process, and what comes back through it."""

from __future__ import annotations

import contextlib
import os
import re
import selectors
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from types import TracebackType
from typing import IO

LINE = 4 << 20  # bytes
COMPLAINTS = 64 << 20  # bytes of stderr: what is beyond them ends the client, and not the disk of this machine
GRACE = 10.0  # seconds for the device to report the end of a command


class Client:
    """A started client; leaving the block ends it.

    It has no terminal: Ctrl-C does not reach it, and it cannot prompt.

    Attributes:
        group: process group of the command on the device, once it runs.
        status: exit status of the command, once it has ended.
        last: the last line that is not blank, of the output or not.
    """

    def __init__(self, command: list[str], token: str, stdin: IO[bytes] | None) -> None:
        self.group: str | None = None
        self.status: int | None = None
        self.last = ""
        self._token = token
        self._blank = False
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115 - a pipe stays open as long as a shared connection does
        source = subprocess.DEVNULL if stdin is None else subprocess.PIPE
        self._process = subprocess.Popen(  # noqa: S603 - ssh or adb; the command for the device is quoted
            command, stdin=source, stdout=subprocess.PIPE, stderr=self._complaints, start_new_session=True
        )
        _limit_files(self._process.pid)
        self._feeder = threading.Thread(target=self._feed, args=(stdin,), daemon=True)
        self._feeder.start()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._process.kill()
        self._feeder.join()
        for pipe in (self._process.stdin, self._process.stdout, self._complaints):
            if pipe:
                with contextlib.suppress(OSError):
                    pipe.close()
        self._process.wait()

    def output(self, deadline: float) -> Iterator[str]:
        """Lines that the command writes, as they come, until it has ended or the connection has.

        Raises:
            TimeoutError: `deadline`, a time.monotonic(), has passed.
        """
        assert self._process.stdout is not None
        for line in lines(self._process.stdout, deadline):
            word = line.split(" ") if line.startswith("@device ") else []
            number = word[3] if len(word) == 4 and re.fullmatch(r"[0-9]{1,10}", word[3]) else ""
            if number and word[1:3] == ["begin", self._token]:
                self.group = number
                continue
            if number and word[1:3] == ["end", self._token]:
                self.status = int(number)
                return
            self.last = line if line.strip() else self.last
            if self.group is None:  # a banner, or output of a start-up file of the shell
                continue
            if self._blank:  # held back, as the last one is ours
                yield ""
            self._blank = not line
            if line:
                yield line

    def hang_up(self) -> None:
        """End the connection's input, which ends the command, and listen until it has ended."""
        if self._feeder.is_alive():  # it has not read all its input, so the device would not see the end of the input
            self._process.kill()
            return
        if self._process.stdin:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
        with contextlib.suppress(TimeoutError):
            for _ in self.output(time.monotonic() + GRACE):
                pass

    def end(self) -> tuple[int, str]:
        """Exit status of the client itself and the end of what it wrote to stderr."""
        try:
            code = self._process.wait(GRACE)
        except subprocess.TimeoutExpired:
            code = 0
        self._complaints.seek(max(0, self._complaints.seek(0, os.SEEK_END) - 4096))
        return code, self._complaints.read().decode(errors="replace").strip()

    def _feed(self, stdin: IO[bytes] | None) -> None:
        if stdin is None or self._process.stdin is None:
            return
        with contextlib.suppress(OSError, ValueError):  # it ended, or was ended, before it had read everything
            while chunk := stdin.read(1 << 16):
                self._process.stdin.write(chunk)
                self._process.stdin.flush()


def _limit_files(process: int) -> None:
    """Let a process, and those that it starts from now on, write no file of more than `COMPLAINTS`; on Linux only."""
    with contextlib.suppress(ImportError, AttributeError, OSError, ValueError):
        import resource

        resource.prlimit(process, resource.RLIMIT_FSIZE, (COMPLAINTS, COMPLAINTS))


def lines(pipe: IO[bytes], deadline: float) -> Iterator[str]:
    """Lines from a pipe as they come, until its end; old devices end them with a carriage return, too.

    What a line has beyond `LINE` bytes is dropped.

    Raises:
        TimeoutError: `deadline`, a time.monotonic(), has passed.
    """
    rest = b""
    with selectors.DefaultSelector() as ready:
        ready.register(pipe, selectors.EVENT_READ)
        while (left := deadline - time.monotonic()) > 0 and ready.select(left):  # also of one that never stops to write
            chunk = os.read(pipe.fileno(), 1 << 16)
            *whole, rest = (rest + chunk).split(b"\n")
            rest = rest[:LINE]
            for line in [*whole, *([rest] if rest and not chunk else [])]:
                yield line.decode(errors="replace").removesuffix("\r")
            if not chunk:
                return
    raise TimeoutError
