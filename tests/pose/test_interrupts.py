"""Ctrl-C at any time is one line and exit code 130, for every command; a process of somebody else keeps its handlers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pose.console import COMMANDS
from pose.interrupts import PACKAGES

ROOT = Path(__file__).parents[2]
LINE = "error: interrupted; nothing half-written is left\n"
PRESSED = "import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(30)\n"


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Of a process in which Ctrl-C is pressed when typer is imported, as every command does before it runs."""
    (tmp_path / "typer.py").write_text(PRESSED)
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}


def call(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, cwd=ROOT, env=environment, timeout=120
    )


@pytest.mark.parametrize("name", COMMANDS)
def test_while_a_command_is_imported(environment: dict[str, str], name: str) -> None:
    answer = call(environment, "-m", name, "--help")
    assert (answer.returncode, answer.stdout, answer.stderr) == (130, "", LINE)


def test_while_the_console_script_is_at_it(environment: dict[str, str], tmp_path: Path) -> None:
    script = tmp_path / "distilpose"
    script.write_text("import sys\nfrom pose.console import main\nsys.exit(main())\n")
    answer = call(environment, str(script), "edge", "check", "--help")
    assert (answer.returncode, answer.stdout, answer.stderr) == (130, "", LINE)


def test_a_second_one_adds_no_traceback(tmp_path: Path) -> None:
    program = """
import os, signal, sys, time
sys.argv[1:] = []
from pose import cli
def main() -> None:
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(30)
class Again:
    def flush(self): os.kill(os.getpid(), signal.SIGINT)
    def write(self, text): pass
    def fileno(self): return 1
sys.stdout = Again()
cli.run(main, "a.b", "c")
"""
    answer = call({**os.environ, "PYTHONPATH": str(ROOT)}, "-c", program)
    assert answer.stderr == LINE
    assert answer.returncode in (-2, 130)


def test_a_process_of_somebody_else_keeps_its_handler() -> None:
    imports = ", ".join(PACKAGES)
    program = f"import signal, {imports}; assert signal.getsignal(signal.SIGINT) is signal.default_int_handler"
    answer = call({**os.environ, "PYTHONPATH": str(ROOT)}, "-c", program)
    assert (answer.returncode, answer.stderr) == (0, "")
