"""What `edge.doctor` says of systems on which something would fail later: before pip, before an engine is built."""

from __future__ import annotations

from pathlib import Path

import pytest
from fake_board import FACTS, PYTHON, Fake, diagnosis_of, look

from edge.devices.base import command_failed
from edge.devices.local import Local

SETUP = "python -m edge.bench --device ssh://pi@fake --setup"
NO_RUNTIME = "numpy 2.0.0"


def test_a_32_bit_system_under_a_64_bit_kernel(monkeypatch: pytest.MonkeyPatch, artefact: Path) -> None:
    for more in ("@@ bits\n32\n", "@@ debian\narmhf\n"):
        seen = look(monkeypatch, Fake(wheels=NO_RUNTIME, facts=FACTS + more), artefact)
        what = "a 32-bit system under a 64-bit kernel, for which no runtime has wheels"
        assert diagnosis_of("error", what, "install a 64-bit system") in seen
        assert diagnosis_of("error", "tflite needs ai-edge-litert there", "install a 64-bit system") in seen
        assert not any(SETUP in diagnosis.fix for diagnosis in seen)


def test_a_system_with_musl(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = look(monkeypatch, Fake(facts=FACTS + "@@ libc\nmusl libc (aarch64)\nVersion 1.2.4\n"))
    assert any(one.severity == "error" and "musl" in one.what and "glibc" in one.fix for one in seen)


def test_a_python_without_wheels(monkeypatch: pytest.MonkeyPatch, artefact: Path) -> None:
    new = PYTHON.replace("3.11.2", "3.15.0")
    seen = look(monkeypatch, Fake(wheels=NO_RUNTIME, pythons=new), artefact)
    what = "no wheels: /usr/bin/python3 is Python 3.15.0, and tflite has wheels for >=3.9,<3.15"
    fix = "install a CPython of >=3.9,<3.15 beside it, as python3.12: it is found by that name"
    assert diagnosis_of("error", what, fix) in seen
    assert not any(SETUP in diagnosis.fix for diagnosis in seen)
    quiet = look(monkeypatch, Fake(pythons=new), artefact)  # the runtime is there already
    assert not any("no wheels" in diagnosis.what for diagnosis in quiet)
    without = look(monkeypatch, Fake(wheels="", pythons=new))
    assert any(one.severity == "warn" and one.what.startswith("no wheels: ") for one in without)


@pytest.mark.parametrize(
    ("features", "warned"), [("fp asimd evtstrm crc32 cpuid", True), ("fp asimd crc32 atomics asimddp", False)]
)
def test_processors_without_atomics(monkeypatch: pytest.MonkeyPatch, features: str, warned: bool) -> None:
    seen = look(monkeypatch, Fake(facts=FACTS.replace("fp asimd", features)))
    assert any(one.severity == "warn" and "SIGILL" in one.what for one in seen) == warned


def test_an_illegal_instruction_is_explained() -> None:
    assert "killed by signal 4: an illegal instruction; a wheel there" in str(command_failed(Local(), "python3", 132, ""))


TRTEXEC = FACTS + "@@ trtexec\n/usr/src/tensorrt/bin/trtexec\n"
BANNER = "&&&& RUNNING TensorRT.trtexec [TensorRT v{}] # trtexec --help"
BANNER_7 = "&&&& RUNNING TensorRT.trtexec # trtexec --help"


@pytest.mark.parametrize(
    ("banner", "version"),
    [
        (BANNER.format("8502"), "8.5.2"),
        (BANNER.format("8201"), "8.2.1"),
        (BANNER.format("8601"), "8.6.1"),
        (BANNER_7, "before 8"),
    ],
)
@pytest.mark.parametrize("status", [0, 1])
def test_an_old_tensorrt_is_said_before_anything_is_built(
    monkeypatch: pytest.MonkeyPatch, artefact: Path, banner: str, version: str, status: int
) -> None:
    device = Fake(facts=TRTEXEC, banner=banner, status=status)
    seen = look(monkeypatch, device, artefact, "tensorrt")
    (old,) = (one for one in seen if one.what.startswith("TensorRT"))
    assert (old.severity, old.what) == ("error", f"TensorRT {version} is too old: 10 is needed (JetPack 6.1)")
    assert not any("builds and times it there" in one.what for one in seen)
    assert not any("--onnx" in " ".join(command) for command in device.commands)
    (other,) = (one for one in look(monkeypatch, device, artefact) if one.what.startswith("TensorRT"))
    assert other.severity == "warn"  # an artefact for another target does not need it


LOADER = "trtexec: error while loading shared libraries: libnvinfer.so.10: cannot open shared object file"


@pytest.mark.parametrize(
    ("printed", "status", "what", "fix"),
    [
        (LOADER, 127, f"trtexec does not start there ({LOADER})", "install that library, or add its folder to"),
        ("Cuda failure: 35", 1, "trtexec ended with status 1: Cuda failure: 35", ""),
        ("", 139, "trtexec was killed there by signal 11", ""),
    ],
)
def test_a_trtexec_that_does_not_start(
    monkeypatch: pytest.MonkeyPatch, artefact: Path, printed: str, status: int, what: str, fix: str
) -> None:
    device = Fake(facts=TRTEXEC, banner=printed, status=status)
    seen = look(monkeypatch, device, artefact, "tensorrt")
    assert any((one.severity, one.what) == ("error", what) and one.fix.startswith(fix) for one in seen)
    assert not any("builds and times it there" in one.what for one in seen)
    others = look(monkeypatch, device, artefact)  # an artefact for another target does not need it
    assert any((one.severity, one.what) == ("warn", what) for one in others)
    assert any("runs there" in one.what for one in others)


def test_a_new_tensorrt(monkeypatch: pytest.MonkeyPatch, artefact: Path) -> None:
    for number, version in (("100300", "10.3.0"), ("101300", "10.13.0")):
        seen = look(monkeypatch, Fake(facts=TRTEXEC, banner=BANNER.format(number)), artefact, "tensorrt")
        assert diagnosis_of("ok", f"TensorRT {version}: /usr/src/tensorrt/bin/trtexec") in seen
        assert any("builds and times it there" in one.what for one in seen)
    silent = look(monkeypatch, Fake(facts=TRTEXEC), artefact, "tensorrt")
    assert any(one.what.startswith("TensorRT of an unknown version") for one in silent)
