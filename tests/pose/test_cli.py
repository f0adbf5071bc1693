"""How a command ends, whatever happens in it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = """
import logging, os, sys, time, warnings
from pathlib import Path
from typing import Annotated
import typer
from pose import cli
from pose.errors import BackendError, GateError, InputError

def command(what: str, count: Annotated[int, typer.Option(min=1)] = 1, json: cli.Json = None, seed: cli.Seed = 0) -> None:
    'Do what is asked.'
    warnings.warn("a library's")
    logging.getLogger("library").warning("a library's")
    if what == "native":
        with cli.quiet():
            os.write(2, b"a library's")
    if what == "sleep":
        cli.note("asleep")
        time.sleep(30)
    if what == "open":
        open("/nowhere/file")
    if what == "many":
        for i in range(20_000):
            cli.console().print(f"line {i}")
        raise GateError("still fails")
    if what == "track":
        assert list(cli.track(range(3), "Counting", 3)) == [0, 1, 2]
    errors = {"input": InputError("wrong:\\n here"), "gate": GateError("too much"), "backend": BackendError("no"),
              "memory": MemoryError(), "bug": ZeroDivisionError("a bug")}
    if what in errors:
        raise errors[what]
    cli.console().print(f"{what} {count} {seed} {json}")

cli.run(command, "test.command", "python -m test.command hello")
"""


def call(*args: str, **how: object) -> subprocess.CompletedProcess[str]:
    how = {"stdout": subprocess.PIPE, **how}
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, *args], cwd=ROOT, stderr=subprocess.PIPE, text=True, timeout=60, **how
    )


@pytest.mark.parametrize(
    ("args", "code", "complaint"),
    [
        (["input"], 2, "error: wrong: here"),
        (["gate"], 1, "error: too much"),
        (["backend"], 3, "error: no"),
        (["memory"], 3, "error: out of memory; close other programs"),
        (["open"], 2, "error: /nowhere/file: No such file or directory"),
        ([], 2, "error: Missing argument 'what'. (python -m test.command --help)"),
        (["x", "--nothing"], 2, "error: No such option: --nothing (python -m test.command --help)"),
    ],
)
def test_one_line_and_the_exit_code(args: list[str], code: int, complaint: str) -> None:
    answer = call(*args)
    assert (answer.returncode, answer.stdout, answer.stderr) == (code, "", complaint + "\n")


def test_a_bug_shows_where() -> None:
    answer = call("bug")
    assert answer.returncode == 3
    assert "ZeroDivisionError: a bug" in answer.stderr
    assert answer.stderr.splitlines()[-1].startswith("error: this is a bug")


@pytest.mark.parametrize("what", ["hello", "native", "track"])
def test_what_goes_well_says_only_its_result(what: str) -> None:
    answer = call(what, "--count", "3", "--seed", "7", "--json", "out.json")
    assert (answer.returncode, answer.stdout, answer.stderr) == (0, f"{what} 3 7 out.json\n", "")


def test_help_keeps_its_example_on_a_line() -> None:
    answer = call("--help")
    assert answer.returncode == 0
    assert "\n    python -m test.command hello\n" in answer.stdout


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_interrupted(how: signal.Signals) -> None:
    with subprocess.Popen([sys.executable, "-c", PROGRAM, "sleep"], cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "asleep\n"
        start = time.monotonic()
        process.send_signal(how)
        assert process.stderr.read() == "error: interrupted; nothing half-written is left\n"
    assert process.returncode == 2
    assert time.monotonic() - start < 10


def test_a_reader_that_leaves_does_not_change_the_verdict() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    answer = call("many", stdout=writer)
    os.close(writer)
    assert (answer.returncode, answer.stderr) == (1, "error: still fails\n")


def test_a_full_disk_behind_standard_output() -> None:
    with open("/dev/full", "w") as full:
        answer = call("hello", stdout=full)
    assert (answer.returncode, answer.stderr) == (2, "error: No space left on device\n")
