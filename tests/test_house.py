"""The rules of the house that no linter holds."""

from __future__ import annotations

import os
import re
import resource
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("pose", "calib_data", "quantize", "targets", "edge")
SOURCES = sorted(path for package in (*PACKAGES, "tests") for path in (ROOT / package).rglob("*.py"))
# every file that ends in `cli.run(...)` under `if __name__ == "__main__":` is a command
COMMANDS = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__main__")
    for path in SOURCES
    if path.parent != ROOT / "tests" and re.search(r"^    (cli\.)?run\(", path.read_text(), re.MULTILINE)
)
HEAVY = {
    "torch",
    "torchao",
    "executorch",
    "onnx",
    "onnxruntime",
    "ai_edge_litert",
    "litert_torch",
    "coremltools",
    "onnxscript",
    "accelerate",
    "cv2",
    "pycocotools",
    "numpy",
}


def python(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *args], cwd=ROOT, capture_output=True, text=True, timeout=60)


def test_the_commands_are_found() -> None:
    commands = ("edge.export", "edge.check", "edge.bench", "edge.demo", "distill.teacher", "distill.student", "quantize.qat")
    assert {*commands} <= set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_is_quick_and_shows_an_example(command: str) -> None:
    seconds = []
    for _ in range(5):  # the best of five, of its processor time: this is about the command, not about what else runs here
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        answer = python("-m", command, "--help")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        if min(seconds) < 0.5:
            break
    assert answer.returncode == 0
    assert min(seconds) < 0.5
    assert f"python -m {command}" in answer.stdout.partition("Example:")[2]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_imports_nothing_heavy(command: str) -> None:
    answer = python("-X", "importtime", "-m", command, "--help")
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in answer.stderr.splitlines()}
    assert "typer" in imported
    assert not imported & HEAVY


@pytest.mark.parametrize("package", PACKAGES)
def test_importing_a_package_imports_no_torch(package: str) -> None:
    answer = python("-c", f"import {package}, sys; print('torch' in sys.modules)")
    assert answer.stdout.strip() == "False", answer.stderr


def test_torch_is_pinned_exactly() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert "torch==2.13.0" in project["dependencies"]
    assert project["license"] == "Apache-2.0"
    assert "Version 2.0, January 2004" in (ROOT / "LICENSE").read_text()


@pytest.mark.parametrize("target", ["demo", "test"])
def test_make_installs_before_it_runs(target: str, tmp_path: Path) -> None:
    for name in ("Makefile", "pyproject.toml"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    fresh = subprocess.run(["make", "-n", target], cwd=tmp_path, capture_output=True, text=True, check=True)
    steps = fresh.stdout
    first = {"demo": "-m quantize.qat", "test": "bin/ruff"}[target]
    assert steps.index("-m venv .venv") < steps.index("pip install") < steps.index(first)
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / ".installed").touch()
    again = subprocess.run(["make", "-n", target], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "pip" not in again.stdout


def test_ci_runs_the_test_command() -> None:
    script = (ROOT / ".ci" / "run").read_text()
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
    assert script.rstrip().endswith("make test")


def test_files_are_small() -> None:
    lengths = {path: len(path.read_text().splitlines()) for path in SOURCES}
    assert not {path: length for path, length in lengths.items() if length > 500}


def test_nothing_outside_the_repository_is_named() -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    outside = re.compile(rb"\.\./" + rb"shared|/work/" + rb"(main|shared)")
    named = [name for name in tracked if (ROOT / name).is_file() and outside.search((ROOT / name).read_bytes())]
    assert set(named) <= {".ci/run"}
