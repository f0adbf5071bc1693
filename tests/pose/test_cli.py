"""How a command ends, whatever happens in it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = r"""
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
    if what == "notes":
        for i in range(3):
            cli.note(f"note {i} \x1b[31m \xfc \u202e [/b] " + "x" * 70_000)
        cli.console().print("done")
        raise GateError("fails after all")
    if what == "bar":
        for _ in cli.track(range(2), "[bold]x[/b]\x1b[41m \xfc :dog:", 2):
            time.sleep(0.2)
        return
    if what == "names":
        from rich.table import Table
        name = "[/b] \x1b[31m\x07 \u202e\r\nerror: \xfc :dog: [fe80::1] \udcff"
        table = Table(name, "b", title=name)
        table.add_row(name, "x")
        cli.console().print(table)
        cli.console().print(name, soft_wrap=True)
        raise InputError(name)
    if what == "track":
        assert list(cli.track(range(3), "Counting", 3)) == [0, 1, 2]
    errors = {"input": InputError("wrong:\n here"), "gate": GateError("too much"), "backend": BackendError("no"),
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
    assert process.returncode == 130
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


NAME = r"[/b] \x1b[31m\x07 \u202e\r\nerror: ü :dog: [fe80::1] \xff"


@pytest.mark.parametrize(
    "encoding",
    [{}, {"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}],
    ids=["utf-8", "ascii", "C"],
)
def test_names_are_shown_and_never_obeyed(encoding: dict[str, str]) -> None:
    """Markup, terminal escapes, bells, changes of direction, new lines, and bytes that are no UTF-8, in whatever prints."""
    answer = call("names", env=os.environ | encoding)
    shown = NAME.replace("ü", "\\xfc") if encoding else NAME
    assert answer.returncode == 2
    assert answer.stderr == f"error: {shown.replace(chr(92) + 'r' + chr(92) + 'n', ' ')}\n"
    *table, line = answer.stdout.splitlines()
    assert line == shown
    assert sum(shown in row for row in table) == 3  # title, heading, cell
    assert len(table) < 10


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_a_progress_bar_shows_names_as_text(encoding: str) -> None:
    reader, terminal = os.openpty()
    command = [sys.executable, "-c", PROGRAM, "bar"]
    environment = os.environ | {"PYTHONIOENCODING": encoding, "TERM": "xterm", "COLUMNS": "100"}
    with subprocess.Popen(command, cwd=ROOT, stderr=terminal, env=environment) as process:
        os.close(terminal)
        shown = b""
        with contextlib.suppress(OSError):  # EIO at its end
            while chunk := os.read(reader, 4096):
                shown += chunk
    os.close(reader)
    assert process.returncode == 0
    assert rb"[bold]x[/b]\x1b[41m" in shown
    assert b":dog:" in shown
    assert b"\x1b[41m" not in shown


@pytest.mark.parametrize(
    ("what", "code", "closed"),
    [
        ("hello", 0, ">&-"),
        ("hello", 0, "2>&-"),
        ("hello", 0, "<&- >&- 2>&-"),
        ("input", 2, "<&-"),
        ("input", 2, ">&-"),
        ("input", 2, ">&- 2>&-"),
    ],
)
def test_closed_streams_do_not_change_the_exit_code(what: str, code: int, closed: str, tmp_path: Path) -> None:
    done = subprocess.run(
        ["sh", "-c", f'"$0" -c "$1" "$2" {closed}; echo $? >"$3"', sys.executable, PROGRAM, what, str(tmp_path / "code")],
        cwd=ROOT, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (tmp_path / "code").read_text() == f"{code}\n"
    expected = {"hello": ("hello 1 0 None\n", ""), "input": ("", "error: wrong: here\n")}[what]
    wanted = ("" if ">&-" in closed.replace("2>&-", "") else expected[0], "" if "2>&-" in closed else expected[1])
    assert (done.stdout, done.stderr) == wanted


def test_notes_that_nobody_reads_do_not_end_the_command() -> None:
    line = '"$0" -c "$1" notes 2>&1 >/dev/null | head -c 6; exit ${PIPESTATUS[0]}'
    done = subprocess.run(
        ["bash", "-c", line, sys.executable, PROGRAM], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout) == (1, "note 0")


@pytest.mark.parametrize("arguments", [["hello", "--json", ""], ["hello", "--json="], [""], ["hello", "--seed", ""]])
def test_an_empty_value_is_refused(arguments: list[str]) -> None:
    answer = call(*arguments)
    assert answer.returncode == 2
    assert answer.stderr.endswith("has an empty value; name something, or leave it out\n")
    assert answer.stderr.startswith("error: " + (arguments[1].rstrip("=") if len(arguments) > 1 else "an argument"))
