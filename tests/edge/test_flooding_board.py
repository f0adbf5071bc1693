"""A board that never stops to write ends its own measurement: neither the memory nor the disk of this machine."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from edge.devices import client, remote
from edge.devices.base import DeviceFailure


class Flooding(remote.Remote):
    """This machine, as a board whose connection is a shell."""

    carries_stdin = True
    install = ""
    folder = "unused"  # type: ignore[assignment]

    def _client(self, line: str) -> list[str]:
        return ["sh", "-c", f"sleep 0.5; {line}"]  # as long as ssh takes to connect

    def _unreachable(self, status: int, complaint: str) -> DeviceFailure:
        return DeviceFailure(f"{self.name}: {status} {complaint}")

    def _send(self, path: Path, remote: str) -> None:
        raise NotImplementedError


def test_output_that_never_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "OUTPUT", 100_000)
    with pytest.raises(DeviceFailure, match="yes never stops to write"):
        list(Flooding("board").run(["yes"], timeout=30))


@pytest.mark.skipif(sys.platform != "linux", reason="needs prlimit")
def test_complaints_that_never_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "COMPLAINTS", 100_000)
    with pytest.raises(DeviceFailure, match="sh was killed"):
        list(Flooding("board").run(["sh", "-c", "exec yes >&2"], timeout=30))
