"""Any file in a known format, with any value anywhere: read with numbers that mean something, or refused in one line."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import published
import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from published import FORMATS, H, W

from calib_data.coco import CocoPeople
from calib_data.scored_people import people_of
from pose import scoring
from pose.errors import InputError

NAN, INF = float("nan"), float("inf")
NEAR = 0.003  # of the root of a box's area: predictions so near the truth are right
SHARES = (0.0099, 1.501)  # of width x height that an area has


def places(value: Any, path: tuple = ()) -> list[tuple]:
    """The path of every value inside a json value; of long lists only the first and the last."""
    children = list(value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ())
    children = children[:6] + children[-1:] if isinstance(value, list) else children
    return [path, *(place for key, child in children for place in places(child, (*path, key)))]


def with_another(held: Any) -> Any:
    """The file with a second person, who is there when the first is left out."""
    people = held if isinstance(held, list) else held["annotations"]
    people.append(copy.deepcopy(people[0]))
    if isinstance(held, dict):
        people[-1]["id"] = 77
    return held


HELD = [with_another(make()) for make in FORMATS]
PLACES = [(number, place) for number, held in enumerate(HELD) for place in places(held)[1:]]
numbers = (
    st.integers() | st.floats() | st.sampled_from([0, -1, 1, 2, 3, 0.5, 1e-9, 2**63, 10**400, 1e308, -0.0, NAN, INF, 150.0])
)
words = st.text(max_size=8) | st.sampled_from(["1", "1.0", "", "person", "left_eye", "../x", "C:\\1.png", "1.png"])
values = st.recursive(
    st.none() | st.booleans() | numbers | words,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words, inner, max_size=3),
    max_leaves=5,
)
places_of_joints = st.sampled_from([-30, 0, 0.2, 1, 2, 30, 60, 90, 115, 150, 170])
triple = st.tuples(places_of_joints, places_of_joints, st.sampled_from([0, 1, 2]))
triples = st.lists(triple, min_size=17, max_size=17).map(lambda joints: [number for joint in joints for number in joint])
boxes = st.lists(st.sampled_from([-50, 0, 0.3, 0.9, 1, 20, 80, 140, 500, 1e6]), min_size=4, max_size=4)
slow = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("any")
    (folder / "images").mkdir()
    for name in ("1.png", "1.jpg"):
        cv2.imwrite(str(folder / "images" / name), published.photo())
    return folder


def changed(held: Any, changes: list[tuple[tuple, Any]]) -> Any:
    held = copy.deepcopy(held)
    for path, value in changes:
        inner = held
        try:
            for step in path[:-1]:
                inner = inner[step]
            inner[path[-1]] = copy.deepcopy(value)
        except (TypeError, KeyError, IndexError):
            continue  # an earlier change has taken this place away
    return held


@st.composite
def files(draw: st.DrawFn) -> Any:
    number, place = draw(st.sampled_from(PLACES))
    more = draw(st.lists(st.sampled_from([place for other, place in PLACES if other == number]), max_size=2))
    return changed(HELD[number], [(place, draw(values)), *((place, draw(values)) for place in more)])


@given(files())
@settings(slow, max_examples=150)
def test_any_value_anywhere(folder: Path, held: Any) -> None:
    read_or_refused(folder, held)


@given(triples, boxes, st.sampled_from([..., None, 0, 1, 0.3, 500, 11200, 1e9]), st.lists(triples, max_size=3))
@example([1e6, 1e6, 2] * 17, [1e6] * 4, 1, [])
@settings(slow, max_examples=80)
def test_any_place_of_joints_and_box(folder: Path, numbers: list[float], box: list[float], area: Any, others: list) -> None:
    held = published.humanart()
    people = [{**held["annotations"][0], "id": number, "keypoints": one} for number, one in enumerate([numbers, *others])]
    people[0] |= {"bbox": box, "area": area}
    if area is ...:
        del people[0]["area"]
    read_or_refused(folder, {**held, "annotations": people})


@given(
    st.lists(
        st.lists(st.sampled_from(["0", "0.5", "0.2", "1", "2", "nan", "-1", "a", "1e400", "3"]), max_size=60), max_size=4
    )
)
@settings(slow, max_examples=30)
def test_any_lines_of_yolo(folder: Path, lines: list[list[str]]) -> None:
    data = folder / "data.yaml"
    data.write_text(yaml.safe_dump({"val": "images", "kpt_shape": [17, 3], "names": ["person"], "kpt_names": ["a"]}))
    (folder / "labels").mkdir(exist_ok=True)
    numbers = [" ".join([*line, *["0.4"] * 56][:56]) for line in lines]
    (folder / "labels" / "1.txt").write_text("\n".join([" ".join(line) for line in lines] + numbers))
    outcome(data, folder / "images", "annotation")


def read_or_refused(folder: Path, held: Any) -> None:
    (folder / "people.json").write_text(json.dumps(held))
    for kind in ("annotation", "keypoints"):
        outcome(folder / "people.json", folder / "images", kind)


def outcome(data: Path, images: Path, kind: str) -> None:
    """Read, and check what came of it."""
    refusal = None
    try:
        people = CocoPeople(data, images, boxes=kind)
    except InputError as error:
        refusal = str(error)
    if refusal is not None:
        assert "\n" not in refusal
        assert refusal.encode()  # printable everywhere
        return
    assert all(sentence.encode() and "\n" not in sentence for sentence in people.file.repairs)
    samples = [people.labels(index) for index in range(len(people))]
    truth = {entry["id"]: entry for entry in people.annotations}
    for index, sample in enumerate(samples):
        assert np.isfinite(sample.keypoints).all()
        assert np.isfinite(sample.box).all()
        assert (sample.box[2:] >= 0).all()
        assert sample.box[2:].max() > 0
        left, top, width, height = truth[sample.person_id]["bbox"]
        assert SHARES[0] * width * height <= sample.area <= SHARES[1] * width * height
        assert min(width, height) >= 1
        assert left < W
        assert top < H
        assert people.image(index).shape == (H, W, 3)
    sides = [np.sqrt(np.prod(truth[sample.person_id]["bbox"][2:])) for sample in samples]
    coords = np.stack([sample.keypoints[:, :2] + NEAR * side for sample, side in zip(samples, sides, strict=True)])
    scored = scoring.score(people_of(people, samples), coords, np.ones(coords.shape[:2]), people.skeleton)
    assert scored.ap is None or scored.ap > 0, "no silent AP 0"
