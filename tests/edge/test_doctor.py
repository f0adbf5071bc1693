"""Diagnoses of this machine, and of an invented device."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from fake_board import Fake, diagnosis_of, look
from hypothesis import given
from hypothesis import strategies as st
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from edge.devices import diagnose
from edge.devices.base import CommandFailed, Unreachable
from edge.evaluate.diagnoses import Diagnosis
from pose import installed

release = st.lists(st.integers(0, 30), min_size=1, max_size=3).map(lambda parts: ".".join(map(str, parts)))
clause = st.builds("".join, st.tuples(st.sampled_from(["==", ">=", "<", "<=", ">"]), release))
wanted = st.lists(clause | release.map(lambda version: f"=={version}.*"), max_size=3).map(",".join)


@given(release, wanted)
def test_versions_fit_as_pip_says(version: str, wanted: str) -> None:
    assert installed.fits(version, wanted) == SpecifierSet(wanted).contains(version)


def test_the_requirements_are_those_of_the_project() -> None:
    seen = installed.extras()
    assert {package.name for package in seen["base"]} >= {"onnxruntime", "numpy", "pydantic"}
    assert {package.name for package in seen["torch"]} <= {package.name for package in seen["onnx"]}  # which names it
    assert "dev" not in seen
    assert seen["tensorrt"] == seen["onnx"]  # the extra names the other
    assert "pillow" not in {package.name for package in seen["coreml"]}  # a Mac's
    for package in seen["base"]:
        assert Requirement(f"{package.name}{package.wanted}").specifier.contains(package.version) == package.fits


def test_an_installed_project_names_the_requirements_of_a_clone(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = ["numpy>=2", "jinja2>=3.1; extra == 'device'", "distilpose-edge[device]; extra == 'all'"]
    monkeypatch.setattr(installed, "__file__", "/nowhere/pose/installed.py")
    monkeypatch.setattr(installed.metadata, "requires", lambda name: lines)
    monkeypatch.setattr(installed.metadata, "metadata", lambda name: {"Requires-Python": ">=3.11,<3.12"})
    names = {extra: [package.name for package in packages] for extra, packages in installed.extras().items()}
    assert names == {"base": ["numpy"], "device": ["jinja2"]}
    assert installed.python() == ">=3.11,<3.12"


def test_a_missing_package_is_an_error_only_for_the_target_that_needs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    gone = installed.Package("ai-edge-litert", "==2.3.*", "")
    old = installed.Package("onnx", "==1.23.*", "1.20.0")
    monkeypatch.setattr(installed, "extras", lambda: {"tflite": [gone], "onnx": [old]})
    seen = {diagnosis.what.partition(":")[0]: diagnosis for diagnosis in diagnose.host("tflite", [])}
    assert seen["tflite"] == diagnosis_of(
        "error", "tflite: ai-edge-litert is missing", "pip install 'distilpose-edge[tflite]'"
    )
    assert (seen["onnx"].severity, seen["onnx"].what) == ("warn", "onnx: onnx 1.20.0 is not ==1.23.*")


def test_a_client_is_needed_by_the_devices_that_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnose.shutil, "which", lambda name: None)
    severities = [f.severity for f in diagnose.host(None, ["adb:1"]) if "out of reach" in f.what]
    assert severities == ["warn", "error"]


def test_a_good_board_runs_the_artefact(monkeypatch: pytest.MonkeyPatch, artefact: Path) -> None:
    seen = look(monkeypatch, Fake(), artefact)
    pairs = [(diagnosis.severity, diagnosis.what) for diagnosis in seen]
    assert pairs[0] == ("ok", "Raspberry Pi 4 Model B Rev 1.4, 1 x Cortex-A72, aarch64; board pi4: Raspberry Pi 4")
    assert ("warn", "no dot-product instruction: int8 may be no faster than float") in pairs
    assert any(f.severity == "warn" and "governor" in f.what and f.fix.startswith("sudo cpupower") for f in seen)
    assert ("ok", "/usr/bin/python3 (Python 3.11.2): numpy 1.26.4, tflite-runtime 2.14.0") in pairs
    assert pairs[-1] == ("ok", f"{artefact.name} runs there: 0.500 px from its card's answer to the golden crop")
    assert {diagnosis.severity for diagnosis in seen} == {"ok", "warn"}


def test_without_a_runtime_the_fix_is_one_command(monkeypatch: pytest.MonkeyPatch, artefact: Path) -> None:
    seen = look(monkeypatch, Fake(wheels="numpy 2.0.0"), artefact)
    assert diagnosis_of(
        "error", "tflite needs ai-edge-litert there", "python -m edge.bench --device ssh://pi@fake --setup"
    ) in seen  # fmt: skip
    assert not any("runs there" in diagnosis.what for diagnosis in seen)


def test_a_full_disk_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = look(monkeypatch, Fake(free=120_000))
    assert diagnosis_of("error", "120 MB free for /home/pi/.cache/distilpose-edge", "free 300 MB there") in seen


def test_a_target_that_the_board_has_no_use_for_is_a_warning(monkeypatch: pytest.MonkeyPatch, artefact: Path) -> None:
    seen = look(monkeypatch, Fake(wheels="numpy 2.0.0\nonnxruntime 1.20.0"), artefact, "tensorrt")
    assert any(f.what.startswith("tensorrt is no choice for Raspberry Pi 4; it has tflite, executorch, onnx") for f in seen)


@pytest.mark.parametrize(
    ("failure", "diagnosis"),
    [
        (Unreachable("ssh://pi@fake: no connection; is it on?"), diagnosis_of("error", "no connection", "is it on?")),
        (CommandFailed("ssh://pi@fake: sh ended with status 1", 1), diagnosis_of("error", "sh ended with status 1")),
    ],
)
def test_a_device_that_fails_is_one_diagnosis(
    monkeypatch: pytest.MonkeyPatch, failure: Exception, diagnosis: Diagnosis
) -> None:
    class Dead(Fake):
        def run(self, command: Sequence[str], *, stdin: bytes = b"", timeout: float) -> Iterator[str]:
            raise failure
            yield ""

    monkeypatch.setattr("edge.devices.session.PAUSE", 0.0)
    assert look(monkeypatch, Dead()) == [diagnosis]


def test_the_command_tries_the_artefact_here(command: Callable[..., Any], artefact: Path, tmp_path: Path) -> None:
    answer = command("edge.doctor", "--artefact", artefact, "--json", tmp_path / "doctor.json")
    assert answer.returncode == 0, answer.stdout + answer.stderr
    result = json.loads((tmp_path / "doctor.json").read_text())
    assert [place["device"] for place in result["devices"]] == ["host", "local"]
    last = result["devices"][1]["findings"][-1]
    assert (last["severity"], last["mend"]) == ("ok", "")
    assert last["what"].startswith("tiny-executorch-int8.pte runs there: 0.")
    assert last["what"] in answer.stdout


def test_the_command_reports_what_is_wrong(command: Callable[..., Any], artefact: Path, tmp_path: Path) -> None:
    artefact.write_bytes(artefact.read_bytes()[:-1])
    damaged = command("edge.doctor", "--artefact", artefact)
    assert (damaged.returncode, damaged.stderr.count("\n")) == (2, 1)
    assert "sha256 differs" in damaged.stderr
    wrong = command("edge.doctor", "--device", "serial:1")
    assert wrong.returncode == 2
    assert "is not a device" in wrong.stderr
    dead = command("edge.doctor", "--device", "ssh://nobody@127.0.0.1:1", "--json", tmp_path / "dead.json")
    assert dead.returncode == 3
    assert "1 error found; the first: no connection" in dead.stderr
    assert json.loads((tmp_path / "dead.json").read_text())["devices"][1]["findings"][0]["severity"] == "error"
