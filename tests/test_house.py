"""The rules of the house that no linter holds."""

from __future__ import annotations

import ast
import os
import re
import resource
import statistics
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from pose import console

ROOT = Path(__file__).parent.parent
PACKAGES = tuple(tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["root_packages"])
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


# Rooms whose names of values and functions are all plain: see `test_names_are_plain`.
PLAIN = ["pose", "calib_data", "distill", "quantize", "targets", "edge"]
VERBS = {"found", "told", "said", "there", "each", "mend", "ask", "settle", "claim"}
LINES, FUNCTION_LINES = 400, 60


def test_the_commands_are_those_of_the_console_script() -> None:
    assert set(COMMANDS) == set(console.COMMANDS)


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
    assert "--version" in answer.stdout


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
    assert "torch==2.13.0" in project["optional-dependencies"]["torch"]
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


def test_modules_are_short(record_property: pytest.RecordProperty) -> None:
    lengths = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in SOURCES}
    packages = [length for name, length in lengths.items() if not name.startswith("tests/") and length]
    median = statistics.median(packages)
    record_property("median module length", median)
    print(f"median length of a module: {median:g} lines, the longest: {max(packages)}")
    assert not {name for name, length in lengths.items() if length > LINES}


def test_functions_are_short() -> None:
    too_long = {
        f"{path.relative_to(ROOT)}: {node.name}"
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name != "main"
        if (node.end_lineno or 0) - node.lineno + 1 > FUNCTION_LINES
    }
    assert not too_long


def defined_names(path: Path) -> Iterator[tuple[int, str]]:
    """(line, name) of each function, class, argument, variable and attribute that a module defines."""
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield node.lineno, node.name
            case ast.arg():
                yield node.lineno, node.arg
            case ast.Name(ctx=ast.Store()):
                yield node.lineno, node.id
            case ast.Attribute(ctx=ast.Store()):
                yield node.lineno, node.attr
            case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                yield node.lineno, name


@pytest.mark.parametrize("package", PLAIN)
def test_names_are_plain(package: str) -> None:
    """A name has a noun: `twin_path`, not `found`; `round_biases`, not `settle`."""
    verbs = [
        f"{path.relative_to(ROOT)}:{line}: {name}"
        for path in sorted((ROOT / package).rglob("*.py"))
        for line, name in defined_names(path)
        if name.strip("_").lower() in VERBS or name.strip("_").startswith(("each_", "mend_", "settle_"))
    ]
    assert not verbs


def test_nothing_outside_the_repository_is_named() -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    outside = re.compile(rb"\.\./" + rb"shared|/work/" + rb"(main|shared)")
    named = [name for name in tracked if (ROOT / name).is_file() and outside.search((ROOT / name).read_bytes())]
    assert set(named) <= {".ci/run"}
