"""Which Python of a board runs the agent, and whether pip finds wheels for it; each board is a folder of programs."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from edge.devices.base import NoSuchProgram
from edge.devices.interpreter import Interpreter, find_interpreter, system_obstacle, wheel_obstacle
from edge.devices.local import Local
from edge.evaluate.timings import Facts
from pose.errors import BackendError
from targets.base import get_spec

ARM = Facts(architecture="aarch64", bits=64, libc="glibc 2.36")


class Elsewhere(Local):
    """This machine with other programs."""

    name, here = "ssh://board", False

    def run(self, command: Sequence[str], *, stdin: bytes = b"", timeout: float) -> Iterator[str]:
        return super().run(["/bin/sh", *command[1:]] if command[0] == "sh" else command, stdin=stdin, timeout=timeout)


Pythons = Callable[..., Local]


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pythons:
    """A board with Pythons of these versions, "bin/python3=3.6.9", in the order of its search path."""

    def make(
        *programs: str, system: str = "aarch64-linux-gnu", flags: str = "-", kind: str = "cpython", bits: int = 64
    ) -> Local:
        folders: dict[str, None] = {}
        for program in programs:
            place, _, version = program.partition("=")
            file = tmp_path / place
            file.parent.mkdir(parents=True, exist_ok=True)
            suits = 9 <= int(version.split(".")[1]) <= 14
            answer = f"python {version} {kind} {bits} {system} {flags}"
            file.write_text(f"#!/bin/sh\necho {answer}\nexit {0 if suits else 9}\n")
            file.chmod(0o755)
            folders[str(file.parent)] = None
        monkeypatch.setenv("PATH", ":".join(folders) or "/nowhere")
        monkeypatch.setenv("HOME", str(tmp_path))
        return Elsewhere()

    return make


def test_a_second_python_beside_an_old_one(board: Pythons, tmp_path: Path) -> None:
    """JetPack 4 has Python 3.6, and its owner installs python3.9 beside it."""
    found = find_interpreter(board("bin/python3=3.6.9", "bin/python3.9=3.9.5"))
    assert (found.path, found.version, found.bits) == (str(tmp_path / "bin/python3.9"), "3.9.5", 64)


@pytest.mark.parametrize(
    ("programs", "chosen"),
    [
        (["bin/python3=3.11.2", "bin/python3.12=3.12.1"], "bin/python3"),  # the system's own, where it suits
        (["bin/python3=3.8.2", "bin/python3.9=3.9.1", "bin/python3.11=3.11.0"], "bin/python3.11"),
        (["bin/python3=3.15.0", "bin/python3.12=3.12.1"], "bin/python3.12"),  # wheels come later than Pythons
        (["bin/python3=3.15.0"], "bin/python3"),
        (["a/python3=3.6.9", "b/python3.10=3.10.1"], "b/python3.10"),
        (["a/python3=3.6.9", "a/python3.9=3.9.1", "b/python3.13=3.13.0"], "a/python3.9"),  # the first folder that has one
        (["bin/python3=3.6.9", ".local/bin/python3.12=3.12.0"], ".local/bin/python3.12"),
        (["bin/python3=3.6.9", "miniforge3/bin/python3=3.10.14"], "miniforge3/bin/python3"),
        (["bin/python3=3.6.9", "miniconda3/bin/python3.11=3.11.5"], "miniconda3/bin/python3.11"),
        (
            ["bin/python3=3.6.9", ".pyenv/versions/3.8.1/bin/python3=3.8.1", ".pyenv/versions/3.12.3/bin/python3=3.12.3"],
            ".pyenv/versions/3.12.3/bin/python3",
        ),
    ],
)
def test_the_first_one_that_suits(
    board: Pythons, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, programs: list[str], chosen: str
) -> None:
    device = board(*programs)
    after_login = (".local", "mini", ".pyenv")  # in folders where the shell of a board looks only then
    folders = [folder for folder in os.environ["PATH"].split(":") if not any(part in folder for part in after_login)]
    monkeypatch.setenv("PATH", ":".join(folders))
    assert find_interpreter(device).path == str(tmp_path / chosen)


def test_the_environment_of_our_own_comes_first(board: Pythons, tmp_path: Path) -> None:
    device = board("bin/python3=3.12.0", "venv/bin/python=3.11.2")
    assert find_interpreter(device, str(tmp_path / "venv/bin/python")).version == "3.11.2"
    assert find_interpreter(device, str(tmp_path / "none/bin/python")).version == "3.12.0"


def test_boards_without_a_python_that_suits(board: Pythons, tmp_path: Path) -> None:
    with pytest.raises(
        BackendError, match=r"python3 is Python 3\.6\.9, older than Python 3\.9, and there is no other; install"
    ):
        find_interpreter(board("bin/python3=3.6.9"))
    (tmp_path / "bin/python3").write_text("#!/bin/sh\necho SyntaxError >&2; exit 1\n")
    with pytest.raises(BackendError, match=r"python3 is older than Python 3\.9, and there is no other"):
        find_interpreter(Elsewhere())
    (tmp_path / "bin/python3").write_bytes(b"\x7fELF\x02" + bytes(80))
    with pytest.raises(NoSuchProgram, match="python3 is made for another architecture there"):
        find_interpreter(Elsewhere())
    with pytest.raises(BackendError, match="ssh://board: no Python there; install it there: sudo apt install python3"):
        find_interpreter(board())
    phone = Elsewhere()
    phone.name = "adb:1"  # type: ignore[misc]
    with pytest.raises(BackendError, match="sshd in Termux"):
        find_interpreter(phone)


def test_this_machine_answers_about_itself(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    here = find_interpreter(Local())
    assert (here.path, here.version) == (sys.executable, ".".join(map(str, sys.version_info[:3])))
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent))
    asked = find_interpreter(Elsewhere())  # the same by the script that boards run
    assert (asked.version, asked.kind, asked.bits, asked.free_threaded) == (here.version, here.kind, here.bits, False)


@pytest.mark.parametrize(
    ("facts", "what"),
    [
        (ARM, None),
        (Facts(), None),  # nothing is known
        (Facts(architecture="aarch64", bits=32), "a 32-bit system under a 64-bit kernel"),
        (Facts(architecture="armv7l", bits=32), "a 32-bit system, for which"),
        (Facts(architecture="armv7l"), "a 32-bit system, for which"),
        (Facts(architecture="x86_64", bits=32), "a 32-bit system under a 64-bit kernel"),
        (Facts(architecture="aarch64", bits=64, libc="musl"), "its C library is musl"),
    ],
)
def test_systems_without_wheels(facts: Facts, what: str | None) -> None:
    obstacle = system_obstacle(facts)
    assert obstacle is None if what is None else obstacle and obstacle[0].startswith(what)


@pytest.mark.parametrize(
    ("target", "python", "what"),
    [
        ("tflite", {"bin/python3": "3.9.2"}, ""),
        ("executorch", {"bin/python3": "3.9.2"}, "is Python 3.9.2, and executorch has wheels for >=3.10,<3.15"),
        ("onnx", {"bin/python3": "3.15.0"}, "is Python 3.15.0, and onnx has wheels for >=3.9,<3.15"),
        ("onnx", {"bin/python3": "3.13.1", "flags": "t"}, "is free-threaded, for which there are no wheels of onnx"),
        ("onnx", {"bin/python3": "3.11.1", "kind": "pypy"}, "is pypy, for which there are no wheels of onnx"),
        ("onnx", {"bin/python3": "3.11.1", "system": "aarch64-linux-musl"}, "its C library is musl"),
        ("onnx", {"bin/python3": "3.11.1", "bits": 32, "system": "arm-linux-gnueabihf"}, "a 32-bit system under a 64-bit"),
    ],
)
def test_pythons_without_wheels(board: Pythons, target: str, python: dict[str, str], what: str) -> None:
    device = board(f"bin/python3={python.pop('bin/python3')}", **python)
    obstacle = wheel_obstacle(ARM, find_interpreter(device), get_spec(target))
    assert (obstacle is None) if not what else (obstacle and what in obstacle[0])
    assert wheel_obstacle(ARM, Interpreter("/usr/bin/python3", "3.12.3"), get_spec(target)) is None
