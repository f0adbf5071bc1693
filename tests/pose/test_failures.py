"""Exceptions of Python and of libraries that are no bug become one line with an exit code; a bug stays one."""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path

import pytest

from pose import files, installed
from pose.cache import cache_folder
from pose.errors import InputError
from pose.failures import as_user_error

TORCH = (
    "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate "
    "4000000000000 bytes. Error code 12 (Cannot allocate memory)"
)


WORKER = "DataLoader worker (pid(s) 7, 8) exited unexpectedly"
KILLED = "DataLoader worker (pid 7) is killed by signal: Bus error. It is possible that"
SHARED = "unable to mmap 1024 bytes from file </torch_1>: Cannot allocate memory (12)"
LINES = [
    (MemoryError(), "out of memory; lower --limit, or close other programs"),
    (MemoryError("std::bad_alloc"), "out of memory; lower --limit"),
    (RuntimeError(TORCH), "out of memory: 4,000.0 GB at once is too much; lower --limit"),
    (RuntimeError("CUDA out of memory. Tried to allocate 2.50 GiB. GPU 0"), "out of memory: 2.50 GiB at once is too much"),
    (ValueError("array is too big; `arr.size * arr.dtype.itemsize` is larger"), "out of memory; lower --limit"),
    (OSError(errno.ENOMEM, "Cannot allocate memory"), "out of memory; lower --limit"),
    (RuntimeError(SHARED), "out of memory: 0.0 GB"),
    (RuntimeError("can't start new thread"), "the system starts no more threads; lower --limit"),
    (RuntimeError(KILLED), "a process that makes crops was killed; out of memory? lower --limit"),
    (RuntimeError(WORKER), "a process that makes crops was killed; out of memory? lower --limit"),
    (ModuleNotFoundError(name="accelerate"), "accelerate is not installed; pip install 'distilpose-edge[train]'"),
    (ModuleNotFoundError(name="litert_torch.x"), "litert_torch is not installed; pip install 'distilpose-edge[tflite]'"),
    (ModuleNotFoundError(name="markupsafe"), "markupsafe is not installed; pip install 'distilpose-edge[device]'"),
    (ModuleNotFoundError(name="cv2"), "cv2 is not installed; pip install distilpose-edge"),
    (ImportError("libGL.so.1: no file", name="cv2"), "cv2 is installed and cannot be imported (libGL.so.1: no file); pip"),
]


@pytest.mark.parametrize(("error", "line"), LINES, ids=str)
def test_what_is_no_bug_is_one_line_and_3(error: Exception, line: str) -> None:
    known = as_user_error(error, ["limit", "data"])
    assert known is not None
    assert known.exit_code == 3
    assert str(known).startswith(line)
    assert "\n" not in str(known)


def test_names_that_are_no_utf8_are_wrong_input() -> None:
    with pytest.raises(UnicodeEncodeError) as caught:
        "d\udcff/x.json".encode()
    pybind = TypeError("f(): incompatible function arguments. The\n1. (arg0: str)\n\nInvoked with: 'd\\udcff/x.pte', 1")
    for error in (caught.value, pybind):
        known = as_user_error(error)
        assert known is not None
        assert known.exit_code == 2
        assert "a name that is no UTF-8" in str(known)
        assert "\n" not in str(known)


@pytest.mark.parametrize(
    "error",
    [ZeroDivisionError(), TypeError("incompatible function arguments: 3"), ModuleNotFoundError("x", name="distill.lost"),
     RuntimeError("a graph"), KeyError("x"), ImportError("cannot import name 'x'", name="pose.files")],
)  # fmt: skip
def test_a_bug_stays_a_bug(error: Exception) -> None:
    assert as_user_error(error) is None


def test_where_nothing_is_installed_a_missing_module_is_a_bug(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installed, "__file__", "/nowhere/pose/installed.py")
    monkeypatch.setattr(installed, "PROJECT", "no-such-distribution")
    assert installed.install_command("accelerate") is None


def test_training_without_its_extra_names_it() -> None:
    """Of all three commands that train; one process, since torch takes seconds to import."""
    program = """
import runpy, sys
sys.modules["accelerate"] = None
for module in ("distill.student", "distill.teacher", "quantize.qat"):
    sys.argv = [module, "--people", "2", "--out", sys.argv[1] if len(sys.argv) == 2 else sys.argv[4]]
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        assert end.code == 3, end.code
"""
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", program, "/nowhere"]
    answer = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=120)
    assert answer.stderr.splitlines() == ["error: accelerate is not installed; pip install 'distilpose-edge[train]'"] * 3
    assert answer.returncode == 0


def test_a_user_without_a_home_is_asked_for_a_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    for name in ("XDG_CACHE_HOME", "DISTILPOSE_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", no_home)
    with pytest.raises(InputError, match="no home folder; name a folder for the cache with XDG_CACHE_HOME"):
        cache_folder()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "distilpose-edge"


@pytest.mark.parametrize("path", ["/", ".", ".."])
def test_a_folder_is_no_file_to_write(path: str) -> None:
    with pytest.raises(InputError, match="Is a directory"):
        files.require_writable(Path(path))
    with pytest.raises(InputError):
        files.require_apart([Path("/"), Path("/")], [Path(path)])
    files.require_apart([], [Path(path)])


def test_text_with_bytes_that_are_no_utf8_is_written(tmp_path: Path) -> None:
    files.write_text(tmp_path / "x.md", "a\udcff b\ud800")
    assert (tmp_path / "x.md").read_text("utf-8") == "a\\udcff b\\ud800"
