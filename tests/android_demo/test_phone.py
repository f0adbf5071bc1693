"""A phone as a device of the harness: the app's own Java code runs jobs on an emulated device, over the real adb client."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
from emulated.boards import Board, Lab
from emulated.tools import failure, run

from edge import bench as benching
from edge import devices, dist
from edge.devices import answers, app
from edge.devices.base import CommandFailed, DeviceFailure, DiskFull
from edge.devices.parallel import open_all
from edge.devices.session import Plan, Session
from edge.predict.student import artefact_path, twin_path
from pose.errors import InputError
from targets import base

pytestmark = [pytest.mark.minutes, pytest.mark.xdist_group("android")]

JOBS = app.FOLDER


@pytest.fixture(scope="session")
def phone_command(jvm_work: Path, jvm_results: dict[str, str]) -> list[str]:
    """The command that runs the app; made before `lab` gives tests another home folder and cache."""
    import jvm

    return jvm.phone_command(jvm_work)


@pytest.fixture(scope="session")
def artefacts() -> dict[str, dist.Artefact]:
    """The bundled student for TFLite and its float twin."""
    int8 = artefact_path(target="tflite")
    return {"fp32": dist.find(twin_path(int8, "fp32")), "int8": dist.find(int8)}


@pytest.fixture
def phone(lab: Lab, phone_command: list[str]) -> Board:
    """An emulated phone that has no Python with a runtime, and no app yet."""
    return lab.android(wheels=(), app=phone_command)


@pytest.fixture
def apk(tmp_path: Path) -> Path:
    path = tmp_path / "demo.apk"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("AndroidManifest.xml", "")
    return path


def test_the_app_measures_and_answers(phone: Board, apk: Path, artefacts: dict[str, dist.Artefact], jvm_work: Path) -> None:
    (device,) = open_all([phone.spec], apk)
    plan = Plan(artefacts, "quick", 200, 0.0)  # type: ignore[arg-type]
    (measured,) = benching.bench(plan, [device]).devices
    assert measured.error is None
    assert device.folder == JOBS
    for precision in ("fp32", "int8"):
        timing = measured.timing(precision)  # type: ignore[arg-type]
        assert timing is not None
        assert (timing.golden_px, timing.accelerator) == (0, "XNNPACK")
        assert timing.emulated_ms is not None
        assert timing.emulated_ms.runs == 3
        assert timing.latency_ms is None  # an emulated device has none
    assert measured.facts.before is not None
    assert list(measured.facts.before.runtime) == ["tflite"]
    assert "No such file" not in phone.console(f"ls {JOBS}")

    crops = np.load(jvm_work / "jobs" / "crops.npy")[:3]
    ((there,),) = answers.collect([device], [artefacts["fp32"]], list(crops))
    assert not isinstance(there, str), there
    coords, scores = base.get("tflite").open(artefacts["fp32"].path).predict(crops)
    np.testing.assert_allclose(there.coords, coords, atol=1e-5)
    np.testing.assert_allclose(there.scores, scores, atol=1e-5)
    assert phone.console(f"find {JOBS} -name '*.json' -o -name '*.events'") == ""
    device.clean()
    assert phone.console("ls /sdcard/Android/data/*/files").strip() == ""


def test_what_android_does_to_an_app(phone: Board, apk: Path, artefacts: dict[str, dist.Artefact]) -> None:
    device = devices.open(phone.spec)
    assert device.folder.startswith("/data/local/tmp/")  # not installed: Python runs the jobs, as on a board
    for reason, fix in {
        "INSTALL_FAILED_NO_MATCHING_ABIS: Failed to extract native libraries": "arm64-v8a only",
        "INSTALL_FAILED_UPDATE_INCOMPATIBLE: signatures do not match": "adb uninstall org.distilpose.demo",
        "INSTALL_FAILED_OLDER_SDK": "Android 8",
        "INSTALL_FAILED_MEDIA_UNAVAILABLE": "INSTALL_FAILED_MEDIA_UNAVAILABLE",
    }.items():
        phone.console(f"echo '{reason}' > /run/app/refuse")
        assert fix in failure(lambda: devices.open(phone.spec, apk).folder, DeviceFailure)
    phone.console("echo INSTALL_FAILED_INSUFFICIENT_STORAGE > /run/app/refuse")
    assert "no space for the app" in failure(lambda: devices.open(phone.spec, apk).folder, DiskFull)
    phone.console("rm /run/app/refuse")

    session = Session(devices.open(phone.spec, apk))
    session.open()
    described = session.push("int8", artefacts["int8"].path, artefacts["int8"].card)
    job = {"job": "load", "artefacts": [described]}
    phone.console("touch /run/app/kill")
    text = failure(lambda: list(session.run(job, 100)), DeviceFailure)  # type: ignore[arg-type]
    assert "Android ended the app in the middle (I lowmemorykiller: Kill 'org.distilpose.demo'" in text
    phone.console("rm /run/app/kill; touch /run/app/denied")
    text = failure(lambda: list(session.run(job, 100)), DeviceFailure)  # type: ignore[arg-type]
    assert "the app does not start (java.lang.SecurityException: Permission Denial" in text
    phone.console("rm /run/app/denied")
    other = {**job, "artefacts": [{**described, "runtime": "executorch"}]}
    text = failure(lambda: list(session.run(other, 100)), Exception)  # type: ignore[arg-type]
    assert text.endswith("install the app with --runtime executorch")
    outside = {**job, "artefacts": [{**described, "path": "/etc/passwd"}]}
    text = failure(lambda: list(session.run(outside, 100)), Exception)  # type: ignore[arg-type]
    assert "/etc/passwd is not in the app's own folder" in text
    assert list(session.run(job, 100))[-1]["event"] == "result"  # type: ignore[arg-type]
    phone.small_disk(JOBS, 1)
    text = failure(lambda: session.push("int8", artefacts["int8"].path, artefacts["int8"].card), DiskFull)
    assert "disk is full" in text
    with pytest.raises(CommandFailed):
        run(session.device, "pidof", "org.distilpose.demo")  # nothing is left running


def test_a_file_that_is_no_apk(tmp_path: Path, apk: Path) -> None:
    (tmp_path / "x.apk").write_text("x")
    with pytest.raises(InputError, match=r"x\.apk: it is no apk; make one with python -m android_demo\.build"):
        open_all(["adb"], tmp_path / "x.apk")
    with pytest.raises(InputError, match=r"none\.apk: No such file"):
        open_all(["adb"], tmp_path / "none.apk")
    with pytest.raises(InputError, match="--apk is for phones over adb; add --device adb"):
        open_all(["local"], apk)
