"""The app's own code on a desktop JVM: its tests in Java, and its answers beside those of this package."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import cv2
import jvm
import numpy as np
import pytest

from android_demo import parts
from edge import agent
from edge.devices import events
from edge.devices.answers import _read_answers
from pose import card as cards
from targets import base

pytestmark = [pytest.mark.minutes, pytest.mark.xdist_group("android")]

JAVA = Path(__file__).parent / "java"
CLOSE = 1e-3  # pixels
VERSIONS = {"tflite": "2.", "executorch": "1."}


@pytest.fixture(params=parts.RUNTIMES)
def runtime(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def results(runtime: str, request: pytest.FixtureRequest) -> dict[str, str]:
    """Test of the app in Java -> "" or why it failed."""
    answers: dict[str, str] = request.getfixturevalue(f"{runtime}_results")
    return answers


@pytest.fixture
def work(runtime: str, results: dict[str, str], request: pytest.FixtureRequest) -> Path:
    """The folder in which those tests ran."""
    folder: Path = request.getfixturevalue(f"{runtime}_work")
    return folder


def test_in_java(runtime: str, results: dict[str, str]) -> None:
    for name in jvm.TESTS[runtime]:
        mine = [test for test in results if test.startswith(f"{name}.")]
        assert len(mine) == sum(path.read_text().count("@Test ") for path in JAVA.rglob(f"{name}.java"))
    assert not {test: problem for test, problem in results.items() if problem}


@pytest.mark.parametrize("precision", ["int8", "fp32"])
def test_the_apps_answers_are_those_of_its_column(
    precision: str, runtime: str, work: Path, record_property: pytest.RecordProperty
) -> None:
    """`edge.check` scores what this runner answers."""
    from edge.predict.student import artefact_path, twin_path

    int8 = artefact_path(target=runtime)
    path = int8 if precision == "int8" else twin_path(int8, "fp32")
    crops = np.load(work / "jobs" / "crops.npy")
    spec = cards.read(cards.card_path(path)).spec
    coords, scores = base.get(runtime).open(path).predict(crops)
    answers = _read_answers(work / "jobs" / f"{precision}.npz", len(crops), coords.shape[1])
    pixels = np.linalg.norm((answers.coords - coords) * spec.size, axis=-1)
    record_property(f"{runtime} {precision}: pixels, at most", float(pixels.max()))
    record_property(f"{runtime} {precision}: equal coordinates", float((answers.coords == coords).mean()))
    assert pixels.max() < CLOSE  # the int8 part is exact; the read is float, and its last bits are those of another version
    assert np.abs(answers.scores - scores).max() < 1e-4


@pytest.mark.parametrize("job", ["load", "time", "infer-int8"])
def test_the_hosts_side_reads_the_apps_events(job: str, runtime: str, work: Path) -> None:
    lines = (work / "jobs" / f"{job}.events").read_text().splitlines()
    assert all(line.startswith(agent.MARK) for line in lines)
    parsed = [events.parse(line) for line in lines]
    kinds = [event["event"] for event in parsed if event]
    assert len(kinds) == len(lines)
    assert kinds[-1] == "result"
    assert kinds.count("golden") == len(json.loads((work / "jobs" / f"{job}.json").read_text())["artefacts"])
    started = next(event for event in parsed if event and event["event"] == "runtime")
    assert list(started["versions"]) == [runtime]
    assert started["versions"][runtime].startswith(VERSIONS[runtime])
    if job == "time":
        times = [len(event["ms"]) for event in parsed if event and event["event"] == "times"]
        assert sum(times) == sum(parsed[-1]["runs"])  # type: ignore[index]
        assert {event["artefact"] for event in parsed if event and event["event"] == "stages"} == {"fp32", "int8"}


@pytest.mark.parametrize(
    ("processor", "problem"),
    {
        "i686": r"does not run on this phone's processor \(i686\): the app is built for arm64-v8a, take a phone with .*",
        "aarch64": r"cannot be loaded; install the app again \(.*",
    }.items(),
)
def test_a_phone_whose_processor_has_no_library(
    processor: str, problem: str, runtime: str, work: Path, tmp_path: Path
) -> None:
    """Without ExecuTorch's libraries, and with JavaCPP looking for those of another processor."""
    jobs = shutil.copytree(work / "jobs", tmp_path / "jobs")
    command = jvm.phone_command(work, runtime, f"-Dos.arch={processor}")
    for job in ("load", "infer-int8"):
        subprocess.run([*command, str(jobs), job, "False"], check=True, timeout=300, capture_output=True)
        (line,) = (jobs / f"{job}.events").read_text().splitlines()
        event = events.parse(line)
        assert event is not None
        assert event["kind"] == "runtime"
        assert re.fullmatch(f"(ExecuTorch|TensorFlow Lite) {problem}", event["message"])


def test_the_picture_of_the_readme_is_what_the_app_draws(tflite_work: Path, tflite_results: dict[str, str]) -> None:
    """The colours of the kept picture and of a new one agree, but for the bundled student's keypoints."""
    kept = cv2.imread(str(Path(__file__).parents[2] / "docs" / "android.png"))
    drawn = cv2.imread(str(tflite_work / "android.png"))
    assert kept.shape == drawn.shape
    assert (np.abs(kept.astype(int) - drawn).max(-1) > 8).mean() < 0.05
