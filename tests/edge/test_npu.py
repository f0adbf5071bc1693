"""`edge.npu`: what Arm's compiler says of a `.tflite` adds up; a missing compiler and a bad file are one line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from edge.evaluate import npu
from edge.npu import estimate_table
from pose.errors import BackendError, InputError
from pose.files import read_json
from pose.weights import bundled

ARTEFACT = bundled() / "distilpose_edge-tflite-int8.tflite"
NO_INDEX = ("No matching distribution", "Could not fetch", "Temporary failure", "Connection")
ESTIMATE = npu.NpuEstimate(
    artefact="x.tflite",
    sha256="0" * 64,
    compiler="ethos-u-vela 5.2.0",
    accelerator="ethos-u85-256",
    system="Ethos_U85_SYS_DRAM_Mid",
    memory="Dedicated_Sram_384KB",
    operators=10,
    cpu=[npu.CpuOperators(operator="add", reason="float", count=4)],
    macs=1000,
    cpu_macs=100,
    cycles=2_500_000,
    sram_bytes=2048,
)


@pytest.fixture(scope="session")
def vela_on_path(request) -> str:
    """A PATH with Arm's compiler, which is installed apart and kept between runs."""
    folder = request.config.cache.mkdir("ethos-u-vela-5.2") / "venv"
    vela = folder / "bin" / "vela"
    if not vela.exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", "--without-pip", folder], check=True)
        python = folder / "bin" / "python"
        install = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "ethos-u-vela==5.2.*"]
        done = subprocess.run(install, capture_output=True, text=True)
        if done.returncode and any(sign in done.stderr for sign in NO_INDEX):
            pytest.skip("no package index to install ethos-u-vela from")
        assert done.returncode == 0, done.stderr
    return f"{folder / 'bin'}:{os.environ['PATH']}"


def test_the_bundled_artefact_is_partly_on_the_npu(vela_on_path: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "edge.npu", "--artefact", str(ARTEFACT), "--json", str(tmp_path / "npu.json")]
    done = subprocess.run(command, env={**os.environ, "PATH": vela_on_path}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "estimated, Ethos-U85-256" in done.stdout
    (row,) = [npu.NpuEstimate.model_validate(row) for row in read_json(tmp_path / "npu.json")]
    assert row.compiler.startswith("ethos-u-vela 5.2.")
    assert 0 < row.cpu_operators < row.operators
    assert 0 < row.cpu_macs < 0.1 * row.macs
    assert {"softmax", "log"} <= {group.operator for group in row.cpu}
    assert all("Float32" in group.reason or group.operator == "dequantize" for group in row.cpu)
    assert row.cycles > 1e6
    assert row.sram_bytes > 100_000


def test_without_the_compiler_the_extra_is_named(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "ethosu", None)
    monkeypatch.setattr(npu, "find_spec", lambda name: None)
    with pytest.raises(BackendError, match=r"needs Arm's compiler Vela; pip install 'distilpose-edge\[vela\]'"):
        npu.estimate(ARTEFACT, "ethos-u85-256")


def test_a_file_that_is_no_tflite_is_refused_before_it_is_compiled(tmp_path: Path) -> None:
    (tmp_path / "x.tflite").write_bytes(b"no network")
    with pytest.raises(InputError, match=r"x\.tflite is not a whole \.tflite file"):
        npu.estimate(tmp_path / "x.tflite", "ethos-u85-256")


def test_a_compiler_that_fails_is_one_line(monkeypatch, tmp_path: Path) -> None:
    vela = tmp_path / "vela"
    vela.write_text("#!/bin/sh\necho line one >&2\necho 'Error: no such operator' >&2\nexit 1\n")
    vela.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(npu, "find_spec", lambda name: None)
    with pytest.raises(BackendError, match=r"^Vela refuses .*int8\.tflite: Error: no such operator$"):
        npu.estimate(ARTEFACT, "ethos-u85-256")


def test_counts_that_disagree_are_no_estimate() -> None:
    for wrong in ({"operators": 3}, {"cpu_macs": 1001}, {"cycles": -1}):
        with pytest.raises(ValidationError):
            npu.NpuEstimate.model_validate({**ESTIMATE.model_dump(), **wrong})


def test_a_file_that_the_npu_does_not_take_has_no_cycles() -> None:
    nothing = ESTIMATE.model_copy(update={"operators": 4, "cpu_macs": 1000})
    rows = [list(column.cells) for column in estimate_table([ESTIMATE, nothing]).columns]
    assert rows[1:] == [["10", "4"], ["4 (40%)", "4 (100%)"], ["90.0%", "0.0%"], ["2.50 M", ""], ["2", ""]]
