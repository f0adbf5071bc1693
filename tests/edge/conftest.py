"""A small network, exported once, and how the edge commands are run on it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge.export import export

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def exported(tiny_program: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An artefact folder; tests that damage it take `dist`."""
    folder = tmp_path_factory.mktemp("dist")
    export(tiny_program, "executorch", "int8", folder)
    return folder


@pytest.fixture(scope="session")
def lowered(exported: Path, tiny_program: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same for every runtime that a device may have; nobody may change it."""
    folder = Path(shutil.copytree(exported, tmp_path_factory.mktemp("lowered") / "dist"))
    for target in ("onnx", "tflite"):
        export(tiny_program, target, "int8", folder)
    return folder


@pytest.fixture
def dist(exported: Path, tmp_path: Path) -> Path:
    """A copy of the artefact folder."""
    return Path(shutil.copytree(exported, tmp_path / "dist"))


@pytest.fixture
def artefact(dist: Path) -> Path:
    return dist / "tiny-executorch-int8.pte"


Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def command() -> Command:
    """Run `python -m ...` from the root of the repository."""

    def run(*args: object, timeout: float = 600, **how: Any) -> subprocess.CompletedProcess[str]:
        line = [sys.executable, "-m", *map(str, args)]
        return subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=timeout, **how)

    return run
