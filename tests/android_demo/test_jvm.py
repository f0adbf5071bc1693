"""The app's own code on a desktop JVM: its tests in Java, and its answers beside those of this package."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge import agent
from edge.devices import events
from edge.devices.answers import _read_answers
from pose import card as cards
from targets import base

pytestmark = [pytest.mark.minutes, pytest.mark.xdist_group("android")]

JAVA = Path(__file__).parent / "java"
TESTS = sorted(path.stem for path in JAVA.rglob("*Test.java"))
CLOSE = 1e-3  # pixels


@pytest.mark.parametrize("name", TESTS)
def test_in_java(name: str, jvm_results: dict[str, str]) -> None:
    mine = {test: problem for test, problem in jvm_results.items() if test.startswith(f"{name}.")}
    count = sum(path.read_text().count("@Test ") for path in JAVA.rglob(f"{name}.java"))
    assert len(mine) == count
    assert not {test: problem for test, problem in mine.items() if problem}


@pytest.mark.parametrize("precision", ["int8", "fp32"])
def test_the_apps_answers_are_those_of_the_tflite_column(
    precision: str, jvm_work: Path, jvm_results: dict[str, str], record_property: pytest.RecordProperty
) -> None:
    """`edge.check` scores what this runner answers."""
    from edge.predict.student import artefact_path, twin_path

    int8 = artefact_path(target="tflite")
    path = int8 if precision == "int8" else twin_path(int8, "fp32")
    crops = np.load(jvm_work / "jobs" / "crops.npy")
    spec = cards.read(cards.card_path(path)).spec
    coords, scores = base.get("tflite").open(path).predict(crops)
    answers = _read_answers(jvm_work / "jobs" / f"{precision}.npz", len(crops), coords.shape[1])
    pixels = np.linalg.norm((answers.coords - coords) * spec.size, axis=-1)
    record_property(f"{precision}: pixels, at most", float(pixels.max()))
    assert pixels.max() < CLOSE  # the int8 part is exact; the read is float, and its last bits are those of another version
    assert np.abs(answers.scores - scores).max() < 1e-4


@pytest.mark.parametrize("job", ["load", "time", "infer-int8"])
def test_the_hosts_side_reads_the_apps_events(job: str, jvm_work: Path, jvm_results: dict[str, str]) -> None:
    lines = (jvm_work / "jobs" / f"{job}.events").read_text().splitlines()
    assert all(line.startswith(agent.MARK) for line in lines)
    parsed = [events.parse(line) for line in lines]
    kinds = [event["event"] for event in parsed if event]
    assert len(kinds) == len(lines)
    assert kinds[-1] == "result"
    assert kinds.count("golden") == len(json.loads((jvm_work / "jobs" / f"{job}.json").read_text())["artefacts"])
    runtime = next(event for event in parsed if event and event["event"] == "runtime")
    assert runtime["versions"]["tflite"].startswith("2.")
    if job == "time":
        times = [len(event["ms"]) for event in parsed if event and event["event"] == "times"]
        assert sum(times) == sum(parsed[-1]["runs"])  # type: ignore[index]
        assert {event["artefact"] for event in parsed if event and event["event"] == "stages"} == {"fp32", "int8"}


def test_the_picture_of_the_readme_is_what_the_app_draws(jvm_work: Path, jvm_results: dict[str, str]) -> None:
    """The colours of the kept picture and of a new one agree, but for the bundled student's keypoints."""
    kept = cv2.imread(str(Path(__file__).parents[2] / "docs" / "android.png"))
    drawn = cv2.imread(str(jvm_work / "android.png"))
    assert kept.shape == drawn.shape
    assert (np.abs(kept.astype(int) - drawn).max(-1) > 8).mean() < 0.05
