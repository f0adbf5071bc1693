"""What tests do to devices."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from edge.devices import client, local, remote
from edge.devices.base import Device
from pose.errors import UserError

if TYPE_CHECKING:
    from emulated.boards import Board


def run(device: Device, *command: str, stdin: bytes = b"", timeout: float = 300) -> list[str]:
    return list(device.run(command, stdin=stdin, timeout=timeout))


def failure(action: Callable[[], object], kind: type[UserError]) -> str:
    """The message, which is one line that names the device."""
    with pytest.raises(kind) as caught:
        action()
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(("ssh://", "adb:127.0.0.1:"))
    return message


def soon(condition: Callable[[], bool], seconds: float = 120) -> None:
    """Wait until it holds: as long as an emulated board on a busy machine may take."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)


def quiet(*boards: Board) -> None:
    """Wait until nothing runs there any more."""
    for board in boards:
        soon(lambda board=board: board.processes() == [])  # type: ignore[misc]


def an_hour_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waits for a command's output has now waited for an hour."""
    for module in (client, local, remote):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: time.monotonic() + 3600))


class Cable:
    """What lies between here and a board, and can be cut."""

    def __init__(self, port: int) -> None:
        self.to = port
        self.carried = 0
        self.ends: list[socket.socket] = []
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = self.server.getsockname()[1]
        self.spec = f"ssh://pi@127.0.0.1:{self.port}"
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        for end in self.ends:
            end.shutdown(socket.SHUT_RDWR)
        self.ends.clear()

    def _accept(self) -> None:
        while True:
            here, there = self.server.accept()[0], socket.create_connection(("127.0.0.1", self.to))
            self.ends += [here, there]
            for source, target in ((here, there), (there, here)):
                threading.Thread(target=self._carry, args=(source, target), daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket) -> None:
        try:
            while data := source.recv(1 << 16):
                self.carried += len(data)
                target.sendall(data)
        except OSError:
            pass
