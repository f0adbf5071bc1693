"""The process that opens artefacts for `targets.isolated`: it imports runtimes, and forks before it opens a file.

    python -m targets.isolated_host FD

FD is its end of a socket, on which each request is a line of JSON, with the socket of a new artefact beside it.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import resource
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from pose.errors import BackendError, UserError, one_line
from pose.lifetime import end_with_parent
from targets import base
from targets.isolated import MESSAGE


def serve(control: socket.socket) -> None:
    """Answer requests until the other end is closed. The artefacts' processes end with this one."""
    running: set[int] = set()
    ended: dict[int, int] = {}  # process -> exit status
    while (received := _receive(control)) is not None:
        request, channel = received
        for pid in [pid for pid in running if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)]:
            ended[pid] = _end(pid)
            running.remove(pid)
        if "open" in request:
            answer = _open(request["open"], channel, control)
            running |= {answer["number"]} if "number" in answer else set()
        else:
            pid = request["end"]
            answer = {"number": _end(pid) if pid in running else ended.pop(pid, 0)}
            running.discard(pid)
        control.sendall(json.dumps(answer).encode() + b"\n")


def _receive(control: socket.socket) -> tuple[dict[str, Any], socket.socket | None] | None:
    line, channel = b"", None
    while not line.endswith(b"\n"):
        part, descriptors, _, _ = socket.recv_fds(control, 1 << 16, 1)
        if not part:
            return None
        line += part
        channel = socket.socket(fileno=descriptors[0]) if descriptors else channel
    return json.loads(line), channel


def _open(request: dict[str, Any], channel: socket.socket | None, control: socket.socket) -> dict[str, Any]:
    assert channel is not None
    try:
        base.get(request["target"])  # imported before the fork: the next artefact of this target has it, too
    except UserError as error:
        return {"error": str(error), "code": error.exit_code}
    parent = os.getpid()
    if request["forks"]:
        pid = os.fork()
        if pid:
            channel.close()
            return {"number": pid}
        control.close()
        end_with_parent(parent)
    else:
        control.sendall(json.dumps({"number": parent}).encode() + b"\n")
    return _serve_artefact(request, channel)


def _end(pid: int) -> int:
    """Kill a process, or learn how it ended by itself: its exit status, negative for a signal."""
    os.kill(pid, signal.SIGKILL)  # changes nothing about one that has ended, or is ending
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _serve_artefact(request: dict[str, Any], channel: socket.socket) -> NoReturn:
    """Open one artefact and answer crops until the other end is closed. No line of this process is trusted by the other."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _limit_memory(request["memory"])
    path, stream = Path(request["path"]), channel.makefile("rb")
    try:
        with _reported(path, channel):
            os.chdir(request["folder"])
            runner = base.get(request["target"]).open(path, request["threads"])
            shape = runner.card.spec.height, runner.card.spec.width, 3
            channel.sendall(b"\0")
        while count := int.from_bytes(stream.read(4), "little"):
            crops = np.frombuffer(stream.read(count * math.prod(shape)), np.uint8).reshape(count, *shape)
            with _reported(path, channel):
                answer = b"".join(np.ascontiguousarray(part, "<f4").tobytes() for part in runner.predict(crops))
                channel.sendall(b"\0" + answer)
    finally:  # neither returns to the host's loop nor runs its exit handlers
        os._exit(0)


@contextlib.contextmanager
def _reported(path: Path, channel: socket.socket) -> Iterator[None]:
    """Send an exception's line to the other end instead."""
    try:
        yield
    except UserError as error:
        _report(channel, error)
    except MemoryError:
        _report(channel, BackendError(f"{path} needs more memory than such a file may take; export it again"))
    except Exception as error:  # a runtime may raise anything on a file that was made by hand
        _report(channel, BackendError(f"{path} does not run: {type(error).__name__}: {one_line(error, 200)}"))


def _report(channel: socket.socket, error: UserError) -> None:
    message = one_line(error).encode(errors="replace")[:MESSAGE]
    with contextlib.suppress(OSError):  # nobody listens any more
        channel.sendall(bytes([error.exit_code]) + len(message).to_bytes(4, "little") + message)


def _limit_memory(more: int) -> None:
    """Let this process allocate so many bytes beyond what the imports took; only Linux says what they took."""
    status = Path("/proc/self/status")
    if status.is_file():
        used = next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmData:"))
        resource.setrlimit(resource.RLIMIT_DATA, (used * 1024 + more,) * 2)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    serve(socket.socket(fileno=int(sys.argv[1])))
