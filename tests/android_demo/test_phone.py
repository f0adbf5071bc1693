"""A phone as a device of the harness: the app's own Java code runs jobs on an emulated device, over the real adb client."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
from emulated.boards import Board, Lab
from emulated.tools import failure, run

from edge import devices, dist
from edge.devices import answers, app
from edge.devices.base import CommandFailed, DeviceFailure, DiskFull
from edge.devices.measure import measure
from edge.devices.parallel import open_all
from edge.devices.session import Plan, Session
from edge.predict.student import artefact_path
from pose.errors import BackendError, InputError
from targets import base

pytestmark = [pytest.mark.minutes, pytest.mark.xdist_group("android")]

JOBS = app.FOLDER
CLOSE = 1.0  # pixels: see test_jvm.py


@pytest.fixture(scope="session")
def phone_command(tflite_work: Path, tflite_results: dict[str, str]) -> list[str]:
    """The command that runs the app; made before `lab` gives tests another home folder and cache."""
    import jvm

    return jvm.phone_command(tflite_work, "tflite")


@pytest.fixture(scope="session")
def artefact() -> dist.Artefact:
    """The bundled student for TFLite; without its float twin, whose 16 MB take long over an emulated cable."""
    return dist.find(artefact_path(target="tflite"))


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


def test_the_app_measures_and_answers(phone: Board, apk: Path, artefact: dist.Artefact, tflite_work: Path) -> None:
    (device,) = open_all([phone.spec], apk)
    measured = measure(device, Plan({"int8": artefact}, "quick", 200, 0.0))
    assert measured.error is None
    assert device.folder == JOBS
    timing = measured.int8
    assert timing is not None
    assert timing.golden_px is not None
    assert timing.golden_px < CLOSE
    assert timing.accelerator == "XNNPACK"
    assert timing.emulated_ms is not None
    assert timing.emulated_ms.runs == 3
    assert timing.latency_ms is None  # an emulated device has none
    assert measured.facts.before is not None
    assert list(measured.facts.before.runtime) == ["tflite"]

    crops = np.load(tflite_work / "jobs" / "crops.npy")[:3]
    ((there,),) = answers.collect([device], [artefact], list(crops))
    assert not isinstance(there, str), there
    coords, _ = base.get("tflite").open(artefact.path).predict(crops)
    assert (np.linalg.norm((there.coords - coords) * artefact.card.spec.size, axis=-1) < CLOSE).all()
    assert phone.console(f"find {JOBS} -name '*.json' -o -name '*.events'") == ""
    device.clean()
    assert phone.console("ls /sdcard/Android/data/*/files").strip() == ""


def test_what_android_does_to_an_app(phone: Board, apk: Path, artefact: dist.Artefact) -> None:
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
    described = session.push("int8", artefact.path, artefact.card)
    job = {"job": "load", "artefacts": [described]}
    phone.console("touch /run/app/kill")
    text = failure(lambda: list(session.run(job, 100)), DeviceFailure)  # type: ignore[arg-type]
    assert "Android ended the app in the middle (I lowmemorykiller: Kill 'org.distilpose.demo'" in text
    phone.console("rm /run/app/kill; touch /run/app/denied")
    text = failure(lambda: list(session.run(job, 100)), DeviceFailure)  # type: ignore[arg-type]
    assert "the app does not start (java.lang.SecurityException: Permission Denial" in text
    phone.console("rm /run/app/denied")
    phone.console("echo i686 > /run/app/processor")
    text = failure(lambda: list(session.run(job, 100)), BackendError)  # type: ignore[arg-type]
    assert text.startswith(
        f"{phone.spec}: TensorFlow Lite does not run on this phone's processor (i686): the app is built for"
    )
    assert "\n" not in text
    phone.console("rm /run/app/processor")
    other = {**job, "artefacts": [{**described, "runtime": "executorch"}]}
    text = failure(lambda: list(session.run(other, 100)), Exception)  # type: ignore[arg-type]
    assert text.endswith("install the app with --runtime executorch")
    outside = {**job, "artefacts": [{**described, "path": "/etc/passwd"}]}
    text = failure(lambda: list(session.run(outside, 100)), Exception)  # type: ignore[arg-type]
    assert "/etc/passwd is not in the app's own folder" in text
    assert list(session.run(job, 100))[-1]["event"] == "result"  # type: ignore[arg-type]
    phone.small_disk(JOBS, 1)
    text = failure(lambda: session.push("int8", artefact.path, artefact.card), DiskFull)
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
