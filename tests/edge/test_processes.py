"""Work shared among processes: answers, errors and an end that reaches all of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edge import processes
from edge.processes import run_in_subprocesses
from pose.errors import BackendError, InputError
from pose.files import atomic_file


def own_number(value: int) -> list[int]:
    return [value, os.getpid()]


def refuse(reason: str) -> None:
    raise InputError(reason)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def work(what: str, path: Path) -> None:
    """Refuses once the other has begun to write; the other then writes for longer than a test may take."""
    deadline = time.monotonic() + 30
    while what == "refuse" and time.monotonic() < deadline:
        if list(path.parent.glob(f".{path.name}*")):
            raise InputError("enough")
        time.sleep(0.05)
    with atomic_file(path) as file:
        file.write_text("half")
        time.sleep(60)


def test_each_call_has_a_process_of_its_own() -> None:
    answers = dict(run_in_subprocesses(own_number, {"one": (1,), "two": (2,)}))
    assert {name: value for name, (value, _) in answers.items()} == {"one": 1, "two": 2}
    assert len({os.getpid(), *(number for _, number in answers.values())}) == 3


def test_what_one_raises_is_raised_here() -> None:
    with pytest.raises(InputError, match=r"^no such thing$"):
        list(run_in_subprocesses(refuse, {"one": ("no such thing",)}))


def test_a_process_that_is_killed_is_reported() -> None:
    with pytest.raises(BackendError, match="killed; out of memory"):
        list(run_in_subprocesses(die, {"one": ()}))


def compute() -> None:
    while True:
        pass


def test_a_process_that_computes_for_ever_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "_PROCESSOR_SECONDS", 2)
    with pytest.raises(BackendError, match="took more than 2 s of processor time"):
        list(run_in_subprocesses(compute, {"one": ()}))


def test_the_others_end_and_leave_nothing_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "_processors", lambda: 2)
    began = time.monotonic()
    with pytest.raises(InputError, match="enough"):
        list(run_in_subprocesses(work, {what: (what, tmp_path / "file") for what in ("write", "refuse")}))
    assert time.monotonic() - began < 50
    assert list(tmp_path.iterdir()) == []


SCRIPT = """
import os, sys, time
from pathlib import Path
from edge import processes

def work(path):
    Path(path).write_text(str(os.getpid()))
    while True:
        time.sleep(0.01)

if __name__ == "__main__":
    processes._processors = lambda: 2
    list(processes.run_in_subprocesses(work, {name: (name,) for name in sys.argv[1:]}))
"""


def test_they_end_when_this_process_is_killed(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    files = [tmp_path / "one", tmp_path / "two"]
    environment = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    with subprocess.Popen([sys.executable, str(tmp_path / "script.py"), *map(str, files)], env=environment) as process:
        deadline = time.monotonic() + 60
        while not all(file.exists() and file.read_text() for file in files):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
    while [file for file in files if Path(f"/proc/{file.read_text()}").exists()]:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def crash() -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def test_a_process_that_crashes_is_reported() -> None:
    with pytest.raises(BackendError, match=r"the process for one crashed \(SIGSEGV\)"):
        list(run_in_subprocesses(crash, {"one": ()}))


def break_off() -> None:
    raise KeyError("a bug")


def test_a_bug_keeps_its_traceback() -> None:
    with pytest.raises(RuntimeError, match="KeyError: 'a bug'") as error:
        list(run_in_subprocesses(break_off, {"one": ()}))
    assert "in break_off" in error.value.__notes__[0]
