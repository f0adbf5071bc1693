"""A foreign network that crashes its runtime is one line, not the end of the process that would use it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from pose import trial
from pose.errors import BackendError, InputError
from pose.sessions import open_session

RUNTIMES = {
    ".tflite": ("ai_edge_litert/interpreter.py", "class Interpreter:\n    def __init__(self, **_):\n        {}\n"),
    ".onnx": ("onnxruntime.py", "class SessionOptions:\n    def __init__(self):\n        {}\n"),
}


def with_runtime(folder: Path, suffix: str, does: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A network whose runtime, in another process than this, does that."""
    name, text = RUNTIMES[suffix]
    module = folder / "modules" / name
    module.parent.mkdir(parents=True)
    (module.parent / "__init__.py").write_text("")
    module.write_text(text.format(f"import os, signal, time; {does}"))
    monkeypatch.setattr(sys, "path", [str(folder / "modules"), *sys.path])
    path = folder / f"network{suffix}"
    path.write_bytes(b"")
    return path


@pytest.mark.parametrize("suffix", RUNTIMES)
def test_a_crash(suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = with_runtime(tmp_path, suffix, "os.kill(os.getpid(), signal.SIGSEGV)", monkeypatch)
    with pytest.raises(BackendError, match=rf"network\{suffix} crashed its runtime \(SIGSEGV\): it is damaged") as error:
        open_session(path)
    assert "\n" not in str(error.value)


def test_a_file_that_never_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "_SECONDS", 3)
    path = with_runtime(tmp_path, ".tflite", "time.sleep(60)", monkeypatch)
    with pytest.raises(BackendError, match="took longer than 3 s"):
        open_session(path)


def test_what_the_runtime_refuses_is_refused_here(tmp_path: Path) -> None:
    path = tmp_path / "network.tflite"
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(InputError, match="as a model"):
        open_session(path)
