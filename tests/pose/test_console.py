"""`distilpose package command` is `python -m package.command`, and answers for what is no command."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pose import __version__, console

ROOT = Path(__file__).parents[2]


def distilpose(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pose.console", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("arguments", [[], ["--help"]])
def test_help_lists_every_command(arguments: list[str]) -> None:
    answer = distilpose(*arguments)
    assert (answer.returncode, answer.stderr) == (0, "")
    for module, text in console.COMMANDS.items():
        assert f"  distilpose {module.replace('.', ' ')} " in answer.stdout
        assert text in answer.stdout


@pytest.mark.parametrize("arguments", [["edge"], ["edge", "--help"]])
def test_a_package_alone_lists_its_commands(arguments: list[str]) -> None:
    answer = distilpose(*arguments)
    assert (answer.returncode, answer.stderr) == (0, "")
    assert "distilpose edge check " in answer.stdout
    assert "distilpose quantize" not in answer.stdout


@pytest.mark.parametrize("arguments", [["--version"], ["edge", "check", "--version"]])
def test_version(arguments: list[str]) -> None:
    answer = distilpose(*arguments)
    assert (answer.returncode, answer.stdout, answer.stderr) == (0, f"distilpose-edge {__version__}\n", "")


def test_a_command_gets_its_options_and_keeps_its_exit_code() -> None:
    answer = distilpose("edge", "check", "--artefact", "missing.pte")
    assert (answer.returncode, answer.stdout) == (2, "")
    assert answer.stderr.startswith("error: no artefact missing.pte")


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["edge", "chek"], "did you mean 'distilpose edge check'? "),
        (["edge.check"], "did you mean 'distilpose edge check'? "),
        (["fly"], ""),
    ],
)
def test_an_unknown_command_is_wrong_input(arguments: list[str], hint: str) -> None:
    answer = distilpose(*arguments)
    command = " ".join(arguments)
    message = f"error: no command 'distilpose {command}'; {hint}distilpose --help lists them all\n"
    assert (answer.returncode, answer.stdout, answer.stderr) == (2, "", message)


def test_the_console_script_itself_imports_nothing_heavy() -> None:
    program = "import sys; from pose import console; console.listing(); print({'typer', 'numpy', 'torch'} & {*sys.modules})"
    answer = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (answer.returncode, answer.stdout) == (0, "set()\n")
