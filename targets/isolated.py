"""Artefacts opened in processes of their own: one that crashes its runtime, hangs or takes all memory is a one-line error.

A runtime parses and runs an artefact in native code, so a damaged or crafted one can end the process that opens it. One
process, the host (`targets.isolated_host`), imports the runtimes, which takes seconds, and forks for each artefact, which
takes milliseconds. A fork answers with raw numbers of the shapes that the card says, or with one line of text: nothing that
comes from it is unpickled. Where forking is not safe (macOS), each artefact has a host of its own.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pose.errors import BackendError, UserError, from_exit_code, one_line
from pose.files import size
from targets import base

if TYPE_CHECKING:
    import numpy as np

    from pose.card import Card

OPEN_SECONDS, CROP_SECONDS = 180.0, 30.0  # for opening, the runtime's import included, and for one crop
MEMORY, MEMORY_PER_BYTE, MEMORY_PER_THREAD = 3 << 30, 8, 16 << 20  # bytes of one process: fixed, of the file, of a thread
FORKS = sys.platform == "linux"
MESSAGE = 4096  # bytes of an error's text


class IsolatedRunner:
    """A `targets.base.Runner` whose artefact is open in another process, which ends with it.

    Threads may share it: their calls take turns. A fork of this process may not.
    """

    def __init__(self, path: Path, target: str, card: Card, threads: int) -> None:
        """Open the artefact; see `open_isolated`."""
        self.card = card
        self._path, self._process_id, self._lock = path, os.getpid(), threading.Lock()
        self._ended = ""  # why no further call is possible
        self._host = _host()
        self._channel, theirs = socket.socketpair()
        with theirs:
            memory = MEMORY + MEMORY_PER_BYTE * size(path) + MEMORY_PER_THREAD * threads
            request = {
                "target": target, "path": str(path), "folder": str(Path.cwd()),  # of the host, it may be another one
                "threads": threads, "memory": memory, "forks": FORKS,
            }  # fmt: skip
            self._pid: int = self._host.send({"open": request}, theirs)
        with self._exchange(OPEN_SECONDS) as deadline:
            error = self._reported(deadline)
        if error is not None:
            raise error

    def predict(self, crops: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See `targets.base.Runner`.

        Raises:
            BackendError: also where the process crashed, ran out of memory, or took longer than `CROP_SECONDS` a crop.
        """
        import numpy as np

        from targets.common import check_crops, check_values

        check_crops(crops, self.card)
        keypoints = len(self.card.skeleton)
        shapes = [(len(crops), keypoints, 2), (len(crops), keypoints)]
        if not len(crops):
            return np.zeros(shapes[0], np.float32), np.zeros(shapes[1], np.float32)
        with self._exchange(CROP_SECONDS * len(crops)) as deadline:
            self._channel.settimeout(deadline - time.monotonic())
            self._channel.sendall(len(crops).to_bytes(4, "little") + np.ascontiguousarray(crops).tobytes())
            error = self._reported(deadline)
            parts = [] if error else [self._receive(4 * int(np.prod(shape)), deadline) for shape in shapes]
        if error is not None:
            raise error
        coords, scores = (
            np.frombuffer(part, "<f4").reshape(shape).astype(np.float32) for part, shape in zip(parts, shapes, strict=True)
        )
        for index in range(len(crops)):
            check_values((coords[index : index + 1], scores[index : index + 1]), self.card, index)
        return coords, scores

    @contextlib.contextmanager
    def _exchange(self, seconds: float) -> Iterator[float]:
        """One request and its whole answer, until a deadline. What breaks it off, Ctrl-C too, ends the process.

        Raises:
            BackendError: the process is of another one than this, or has ended, now or before.
        """
        if os.getpid() != self._process_id:  # before the lock, which a fork may have copied closed
            raise BackendError(f"{self._path} was opened by process {self._process_id}; open it again in this one")
        with self._lock:
            if self._ended:
                raise BackendError(self._ended)
            self._seconds = seconds
            self._ended = f"an earlier call of {self._path} was broken off; open it again"
            try:
                yield time.monotonic() + seconds
            except (OSError, EOFError, ValueError) as error:
                failure = self._failure(error)
                self._ended = str(failure)
                raise failure from error
            except BaseException:
                with contextlib.suppress(BackendError):
                    self._end()
                raise
            self._ended = ""

    def _reported(self, deadline: float) -> UserError | None:
        """The error that the process reports, if it does."""
        code = self._receive(1, deadline)[0]
        if code == 0:
            return None
        length = min(int.from_bytes(self._receive(4, deadline), "little"), MESSAGE)
        return from_exit_code(code, one_line(self._receive(length, deadline).decode(errors="replace")))

    def _receive(self, count: int, deadline: float) -> bytes:
        data = bytearray(count)
        view = memoryview(data)
        while view:
            self._channel.settimeout(max(1e-3, deadline - time.monotonic()))
            received = self._channel.recv_into(view)
            if not received:
                raise EOFError
            view = view[received:]
        return bytes(data)

    def _end(self) -> int:
        """Ends the process; returns its exit status, negative for a signal."""
        self._channel.close()
        return self._host.end(self._pid)

    def _failure(self, error: Exception) -> BackendError:
        """Ends the process; returns how it ended."""
        status = self._end()
        if isinstance(error, TimeoutError):
            return BackendError(f"{self._path} took longer than {self._seconds:.1f} s to answer and was ended")
        if status == -signal.SIGKILL:
            return BackendError(f"the process that ran {self._path} was killed; out of memory? close other programs")
        how = signal.Signals(-status).name if status < 0 else f"exit status {status}"
        return BackendError(
            f"{self._path} crashed its runtime ({how}): it is damaged, or needs more memory than such a file may take; "
            "export it again"
        )


class _Host:
    """The started `targets.isolated_host`. It ends when this process does, however that ends."""

    def __init__(self) -> None:
        self.process_id, self.backends = os.getpid(), os.environ.get(base.VARIABLE)
        self._lock, self._is_broken = threading.Lock(), False
        self._control, theirs = socket.socketpair()
        here = str(Path(__file__).parents[1])
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([here, *(path or str(Path.cwd()) for path in sys.path)])}
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 - our own module
                [sys.executable, "-P", "-m", "targets.isolated_host", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,  # ExecuTorch reports on the processor, a crash on itself
                start_new_session=True,  # Ctrl-C ends it through this process
            )
        weakref.finalize(self, _end, self._control, self._process, os.getpid())

    def send(self, request: dict[str, Any], channel: socket.socket | None = None) -> int:
        """The number that the host answers: of a process it started, or its exit status.

        Raises:
            InputError, BackendError: the backend cannot be imported, or the host has ended.
        """
        with self._lock:
            ended = "the process that opens artefacts has ended; out of memory? close other programs"
            if self._is_broken:
                raise BackendError(ended)
            self._is_broken = True  # until the answer is here: it stays so if anything breaks this off
            try:
                line = json.dumps(request).encode() + b"\n"
                socket.send_fds(self._control, [line], [channel.fileno()] if channel else [])
                self._control.settimeout(OPEN_SECONDS)
                with self._control.makefile("rb") as answers:
                    answer = json.loads(answers.readline())
            except (OSError, ValueError) as error:
                raise BackendError(ended) from error
            self._is_broken = False
        if "error" in answer:
            raise from_exit_code(answer["code"], answer["error"])
        return int(answer["number"])

    def end(self, pid: int) -> int:
        """Kill an artefact's process, or learn how it ended by itself: its exit status, negative for a signal."""
        if pid != self._process.pid:
            return self.send({"end": pid})
        self._process.kill()
        return self._process.wait()

    def is_usable(self) -> bool:
        """Whether further artefacts can be opened by it: it is of this process, lives, and knows the same backends."""
        same = (self.process_id, self.backends) == (os.getpid(), os.environ.get(base.VARIABLE))
        if not (FORKS and same):
            return False
        with self._lock:
            return not self._is_broken and self._process.poll() is None


def _end(control: socket.socket, process: subprocess.Popen[bytes], process_id: int) -> None:
    control.close()
    if process_id == os.getpid():  # not in a fork of this process
        process.kill()  # its forks end with it
        process.wait()


_shared: list[_Host] = []  # none or one


def _host() -> _Host:
    if not (_shared and _shared[0].is_usable()):
        _shared[:] = [_Host()]
    return _shared[0]


def open_isolated(path: Path, card: Card, threads: int = 1) -> base.Runner:
    """Open an artefact, or a program's graph, in a process of its own.

    A backend that was added by `targets.base.register` is known in this process only, and opens its artefacts here.

    Args:
        card: the artefact's own; of a program's graph see `pose.program.graph_card`.

    Raises:
        InputError, BackendError: see `targets.base.Target.open`; a process that crashed or hung is a BackendError, too.
    """
    target = "torch" if path.suffix == ".pt2" else card.target
    if target != "torch":
        card.verify_artefact(path)  # before seconds of imports
    if base.is_of_this_process(target):
        return base.get(target).open(path, threads)
    return IsolatedRunner(path, target, card, threads)
