"""An invented board, and what `edge.doctor` finds out about it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from edge import devices, dist
from edge.devices import diagnose
from edge.devices.base import command_failed
from edge.dist import Artefact
from edge.evaluate.diagnoses import Diagnosis


def diagnosis_of(severity: str, what: str, fix: str = "") -> Diagnosis:
    return Diagnosis(severity=severity, what=what, fix=fix)


FACTS = """@@ model
Raspberry Pi 4 Model B Rev 1.4
@@ kernel
Linux 6.6.20 aarch64
@@ cpuinfo
processor : 0
Features : fp asimd
CPU part : 0xd08
@@ governor
ondemand
"""


PYTHON = "@@ /usr/bin/python3\npython 3.11.2 cpython 64 aarch64-linux-gnu -\n"


class Fake:
    """A Raspberry Pi 4 with prepared answers.

    Attributes:
        commands: that were run there.
    """

    name = "ssh://pi@fake"
    here = False
    folder = "/home/pi/.cache/distilpose-edge"

    def __init__(
        self,
        *,
        wheels: str = "numpy 1.26.4\ntflite-runtime 2.14.0",
        free: int = 9_000_000,
        facts: str = FACTS,
        pythons: str = PYTHON,
        banner: str = "",
        status: int = 0,
    ) -> None:
        self._wheels, self._free, self._facts, self._pythons = wheels, free, facts, pythons
        self._banner, self._status = banner, status  # of `trtexec --help`
        self.commands: list[Sequence[str]] = []

    def run(self, command: Sequence[str], *, stdin: bytes = b"", timeout: float) -> Iterator[str]:
        line = " ".join(command)
        self.commands.append(command)
        if "suits()" in line:
            yield from self._pythons.splitlines()
        elif "--help" in line:
            yield self._banner
            if self._status:
                raise command_failed(self, "sh", self._status, "")
        elif "df -Pk" in line:
            yield from ("Filesystem 1024-blocks Used Available Capacity Mounted", f"/dev/root 1 1 {self._free} 1% /")
        elif "@@" in line:
            yield from self._facts.splitlines()
        elif "importlib.metadata" in line:
            yield from self._wheels.splitlines()
        else:
            for event in ({"event": "golden", "artefact": "int8", "max_px": 0.5}, {"event": "result"}):
                yield f"noise @dpe {json.dumps(event)}"

    def push(self, path: Path, digest: str) -> str:
        return f"{self.folder}/{path.name}"

    def read(self, remote: str) -> str | None:
        return None


def for_target(artefact: Path, target: str) -> Artefact:
    seen = dist.find(artefact)
    return Artefact(seen.path, seen.card.model_copy(update={"target": target}), seen.dist)


def look(
    monkeypatch: pytest.MonkeyPatch, device: Any, artefact: Path | None = None, target: str = "tflite"
) -> list[Diagnosis]:
    monkeypatch.setattr(devices, "open", lambda spec, apk=None: device)
    return list(diagnose.examine(device.name, for_target(artefact, target) if artefact else None))
