"""This machine as a device, and the installation of a runtime on any device."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from edge.devices.base import CommandFailed, DiskFull, NoSuchProgram, TimedOut
from edge.devices.local import Local
from edge.devices.python import setup
from edge.evaluate.timings import Facts
from pose.errors import BackendError, InputError


def test_lines_come_as_they_are_written(tmp_path: Path) -> None:
    script = 'echo first; cat; printf last; until [ -e "$1" ]; do sleep 0.05; done'
    lines = Local().run(["sh", "-c", script, "sh", str(tmp_path / "go")], stdin=b"in 'between'\n", timeout=60)
    assert [next(lines), next(lines)] == ["first", "in 'between'"]
    (tmp_path / "go").touch()
    assert list(lines) == ["last"]


@pytest.mark.parametrize(
    ("command", "kind", "words"),
    [
        (["no-such-program"], NoSuchProgram, "cannot run no-such-program"),
        (
            ["sh", "-c", "echo 'sh: error while loading shared libraries: libx.so.1: no file' >&2; echo >&2; exit 127"],
            NoSuchProgram,
            r"sh does not start \(sh: error while loading shared libraries: libx.so.1: no file\); install that library",
        ),
        (["sh", "-c", "echo why >&2; exit 7"], CommandFailed, "sh ended with status 7: why"),
        (["sh", "-c", "exit 7"], CommandFailed, "it printed no reason"),
        (["sh", "-c", "kill -KILL $$"], CommandFailed, "killed by signal 9; is there enough memory"),
        (["sh", "-c", "echo cp: No space left on device >&2; exit 1"], DiskFull, "disk is full"),
    ],
)
def test_what_can_go_wrong(command: list[str], kind: type[CommandFailed], words: str) -> None:
    with pytest.raises(kind, match=words) as caught:
        list(Local().run(command, timeout=30))
    assert "\n" not in str(caught.value)


def test_what_takes_too_long_is_ended_with_its_children(tmp_path: Path) -> None:
    script = f"(while sleep 0.1; do date >>'{tmp_path}/alive'; done) & echo on; wait"
    lines = Local().run(["sh", "-c", script], timeout=1.0)
    with pytest.raises(TimedOut, match="longer than 1 s"):
        list(lines)
    quiet = (tmp_path / "alive").read_text()
    time.sleep(0.5)
    assert (tmp_path / "alive").read_text() == quiet


def test_a_command_without_a_listener_is_ended(tmp_path: Path) -> None:
    alive = tmp_path / "alive"
    lines = Local().run(["sh", "-c", f"echo on; while sleep 0.1; do date >>'{alive}'; done"], timeout=30)
    next(lines)
    while not alive.exists():
        time.sleep(0.05)
    lines.close()  # type: ignore[attr-defined]
    quiet = alive.read_text()
    time.sleep(0.5)
    assert alive.read_text() == quiet


def test_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "a cache"))
    device, file = Local(), tmp_path / "it's a file"
    file.write_text("text")
    assert device.push(file, "0" * 64) == str(file)
    assert device.read(str(file)) == "text"
    assert device.read(str(tmp_path / "nothing")) is None
    device.pull(str(file), tmp_path / "copy")
    assert (tmp_path / "copy").read_text() == "text"
    Path(device.folder).mkdir(parents=True)
    device.clean()
    assert not Path(device.folder).exists()
    device.clean()
    with pytest.raises(InputError, match="no such file"):
        device.push(tmp_path / "nothing", "0" * 64)


class Board:
    """Has an answer for each word in a command: its output, its exit status, or its output and complaint where it fails."""

    name = "ssh://board"
    here = False
    folder = "/home/pi/ours"

    def __init__(self, **answers: str | int | tuple[str, str]) -> None:
        self.answers, self.commands = answers, []  # type: ignore[var-annotated]

    def run(self, command: Sequence[str], *, stdin: bytes = b"", timeout: float) -> Iterator[str]:
        self.commands.append(list(command))
        line = " ".join(command)
        answer = next((answer for word, answer in self.answers.items() if word in line), "")
        if isinstance(answer, int):
            raise CommandFailed(f"{self.name}: failed", answer, "its last words")
        output, complaint = answer if isinstance(answer, tuple) else (answer, None)
        yield from output.splitlines()
        if complaint is not None:
            raise CommandFailed(f"{self.name}: failed", 1, complaint)


def pythons(path: str, version: str = "3.11.2") -> str:
    return f"@@ {path}\npython {version} cpython 64 aarch64-linux-gnu -"


SYSTEM, OWN = pythons("/usr/bin/python3"), pythons("/home/pi/ours/venv/bin/python")


def test_the_runtime_is_installed_once() -> None:
    missing = Board(suits=SYSTEM, **{"import numpy": 1})
    setup(missing, "tflite", Facts())
    assert missing.commands[-2] == ["/usr/bin/python3", "-m", "venv", "--clear", "/home/pi/ours/venv"]
    assert missing.commands[-1][:4] == ["/home/pi/ours/venv/bin/python", "-m", "pip", "install"]
    assert missing.commands[-1][-2:] == ["numpy", "ai-edge-litert"]
    again = Board(suits=OWN, **{"import numpy": 1})
    setup(again, "onnx", Facts())
    assert not any("venv" in command[1:] for command in again.commands)
    cut = Board(**{"probe=$1 own=$2; shift 2": OWN, "import numpy": 1, "--version": 1})
    setup(cut, "onnx", Facts())
    assert cut.commands[-2][1:] == ["-m", "venv", "--clear", "/home/pi/ours/venv"]  # it was made in part
    present = Board(suits=SYSTEM)
    setup(present, "onnx", Facts())
    assert present.commands[-1][-1] == "import numpy, onnxruntime"


def test_what_cannot_be_installed() -> None:
    with pytest.raises(BackendError, match=r"cannot install numpy, ai-edge-litert there \(its last words\)"):
        setup(Board(suits=SYSTEM, **{"import numpy": 1, "pip": 1}), "tflite", Facts())
    with pytest.raises(BackendError, match=r"\(its last words\)"):
        setup(Board(suits=SYSTEM, **{"import numpy": 1, "-m venv": 1}), "tflite", Facts())
    with pytest.raises(InputError, match=r"pip install 'distilpose-edge\[tflite\]'"):
        setup(Local(), "tflite", Facts())


DEBIAN = """The virtual environment was not created successfully because ensurepip is not
available.  On Debian/Ubuntu systems, you need to install the python3-venv
package using the following command.

    apt install python3.9-venv

Failing command: /home/pi/ours/venv/bin/python
"""


@pytest.mark.parametrize("complaint", ["", "a locale is missing", "Failing command: /home/pi/ours/venv/bin/python"])
@pytest.mark.parametrize(
    ("path", "version", "package"),
    [
        ("/usr/bin/python3", "3.11.2", "python3.11-venv"),
        ("/usr/bin/python3", "3.9.18", "python3.9-venv"),
        ("/usr/bin/python3.9", "3.9.18", "python3.9-venv"),  # JetPack 4, whose python3 is 3.6
    ],
)
def test_the_package_is_that_of_the_python_that_was_chosen(path: str, version: str, package: str, complaint: str) -> None:
    board = Board(suits=pythons(path, version), **{"import numpy": 1, "-m venv": (DEBIAN, complaint)})
    with pytest.raises(BackendError, match=rf"{path} makes no environment; sudo apt install {package} there$"):
        setup(board, "tflite", Facts())


def test_nothing_is_downloaded_for_a_system_without_wheels() -> None:
    board = Board(suits=SYSTEM, **{"import numpy": 1})
    with pytest.raises(
        BackendError, match=r"cannot install .* there: a 32-bit system under a 64-bit kernel, .*; install a 64"
    ):
        setup(board, "onnx", Facts(architecture="aarch64", bits=32))
    assert not any("pip" in command or "venv" in command for command in board.commands)
