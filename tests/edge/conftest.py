"""A small network, exported once, and how the edge commands are run on it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from report_examples import bench, check, column, device
from tiny_onnx import write_tiny_onnx

from edge.export import export

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def exported(tiny_program: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An artefact folder; tests that damage it take `dist_folder`."""
    folder = tmp_path_factory.mktemp("dist")
    export(tiny_program, "executorch", "int8", folder)
    return folder


@pytest.fixture(scope="session")
def lowered(exported: Path, tiny_program: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same for every runtime that a device may have; tests must not change it."""
    folder = Path(shutil.copytree(exported, tmp_path_factory.mktemp("lowered") / "dist"))
    for target in ("onnx", "tflite"):
        export(tiny_program, target, "int8", folder)
    return folder


@pytest.fixture(scope="session")
def tiny_onnx(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An artefact that finds somebody in every picture; its float twin beside it answers 0.1 of the crop farther right."""
    folder = tmp_path_factory.mktemp("onnx")
    write_tiny_onnx(folder, "fp32", shift=0.1)
    return write_tiny_onnx(folder)


@pytest.fixture
def dist_folder(exported: Path, tmp_path: Path) -> Path:
    """A copy of the artefact folder."""
    return Path(shutil.copytree(exported, tmp_path / "dist"))


@pytest.fixture
def artefact(dist_folder: Path) -> Path:
    return dist_folder / "tiny-executorch-int8.pte"


Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def command() -> Command:
    """Run `python -m ...` from the root of the repository."""

    def run(*args: object, timeout: float = 600, **how: Any) -> subprocess.CompletedProcess[str]:
        line = [sys.executable, "-m", *map(str, args)]
        return subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=timeout, **how)

    return run


@pytest.fixture
def measured(tmp_path: Path) -> Path:
    """Measurements as the commands write them."""
    pixels = {"keypoint_px": {"median": 0.25, "p99": 1.5}, "persons": 5}
    for kind, ap in (("ptq", 70.0), ("qat", 79.5)):
        (tmp_path / kind).mkdir()
        columns = {
            "fp32": column(80.0, 90.0, **pixels),
            "fake_quant": column(ap, 90.0, **pixels),
            "lowered": column(ap, 90.0, **pixels, fake_quant_px={"median": 0.1, "p99": 0.5}),
        }
        sizes = {"persons": 5, "bytes": 1_000_000, "float_twin": {"bytes": 4_000_000}}
        (tmp_path / kind / "check.json").write_text(json.dumps(check("executorch", **sizes, **columns)))
        timed = device()
        for name, p50 in (("fp32", 20.0), ("int8", 5.0)):
            timed[name]["latency_ms"] |= {"p50": p50, "p90": p50 + 1, "p99": p50 + 2}
        (tmp_path / kind / "bench.json").write_text(json.dumps(bench(timed)))
    return tmp_path
