"""`calib_data.inspect`: what it says of a file, the hints, and its picture."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from people_file import Sample, person, write_people

from calib_data.coco import CocoPeople, open_data, read_data
from calib_data.hints import hints
from calib_data.inspect import COLUMNS, HEIGHT, SHOWN, WIDTH, main, picture, summary
from calib_data.sources import content_digest
from calib_data.synthetic import SyntheticPeople
from pose.skeleton import COCO_17, LSP_14, Skeleton

SIZE = (100, 140)  # width, height
BOX = (20, 20, 60, 100)


def facing(joints: Skeleton = COCO_17) -> dict[str, tuple[float, float]]:
    """Somebody who faces the camera: the left side is on the right of the picture."""
    places = {}
    for place, joint in enumerate(joints.joints):
        side = {"left": 14, "right": -14}.get(joint.partition("_")[0], 0)
        places[joint] = (50.0 + side + place % 2, 30.0 + 80 * place / len(joints))
    return places


def people(
    folder: Path, count: int = 8, joints: Skeleton = COCO_17, box: tuple[float, ...] = BOX, swap: bool = False
) -> CocoPeople:
    places = facing(joints)
    order = [joints.joints[place] for place in (joints.flip if swap else range(len(joints)))]
    image = np.full((SIZE[1], SIZE[0], 3), 40, np.uint8)
    everybody: list[Sample] = [person(image, box, [places[joint] for joint in order])] * count
    return read_data(write_people(folder / "people.json", folder / "images", everybody, joints))


@pytest.mark.parametrize("joints", [COCO_17, LSP_14], ids=str)
def test_a_good_file_gives_no_hint(joints: Skeleton, tmp_path: Path) -> None:
    assert not list(hints(people(tmp_path, joints=joints)))


@pytest.mark.parametrize("joints", [COCO_17, LSP_14], ids=str)
def test_swapped_sides(joints: Skeleton, tmp_path: Path) -> None:
    (sentence,) = hints(people(tmp_path, joints=joints, swap=True))
    assert sentence.startswith("left and right look swapped: only 0% of the people")


def test_tight_boxes(tmp_path: Path) -> None:
    points = np.array(list(facing().values()))
    low, high = points.min(0), points.max(0)
    (sentence,) = hints(people(tmp_path, box=(*low, *(high - low))))
    assert sentence.startswith("boxes are tight")
    assert "--boxes keypoints" in sentence


def test_boxes_as_corners(tmp_path: Path) -> None:
    held = people(tmp_path, box=(30, 25, 85, 125))
    assert held.labels(0).box.tolist() == [30, 25, 55, 100]
    assert [sentence for sentence in held.file.repairs if "boxes as (left, top, right, bottom) in 8 annotations" in sentence]
    assert not list(hints(held))


@pytest.mark.parametrize(
    ("box", "corners"), [((30, 25, 85, 125), True), ((30, 25, 55, 100), False), ((2, 2, 90, 130), False)]
)
def test_boxes_without_joints(box: tuple[float, ...], corners: bool, tmp_path: Path) -> None:
    """Read as widths and heights, corners reach out of the picture."""
    people(tmp_path, box=box)
    path = tmp_path / "people.json"
    held = json.loads(path.read_text())
    for annotation in held["annotations"]:
        annotation.update(keypoints=[0] * 51, num_keypoints=0)
        del annotation["area"]
    path.write_text(json.dumps(held))
    boxed = read_data(path, min_keypoints=0)
    assert boxed.labels(0).box.tolist() == ([30, 25, 55, 100] if corners else list(box))
    assert any("boxes as (left, top, right, bottom)" in sentence for sentence in boxed.file.repairs) == corners


@pytest.mark.parametrize("box", [None, [0, 0, 0, 0], [5, 5, -4, 9], [float("nan")] * 4])
def test_people_without_joints_and_box_are_said_to_have_none(box: list[float] | None, tmp_path: Path) -> None:
    people(tmp_path)
    path = tmp_path / "people.json"
    held = json.loads(path.read_text())
    held["annotations"][1].update(keypoints=[0] * 51, num_keypoints=0, bbox=box)
    path.write_text(json.dumps(held))
    (sentence,) = read_data(path, min_keypoints=0).file.repairs
    assert "left out: 1 annotation (2) without a box of a pixel or more" in sentence


@pytest.mark.parametrize("box", [(30, 33, 85, 125), (30, 25, 85, 102)])
@pytest.mark.parametrize("count", [3, 8])
def test_boxes_as_corners_that_some_joints_leave(count: int, box: tuple[float, ...], tmp_path: Path) -> None:
    held = people(tmp_path, count, box=box)
    y = held.labels(0).keypoints[:, 1]
    assert ((y < box[1] - 1) | (y > box[3] + 1)).any()
    assert held.labels(0).box.tolist() == [*box[:2], box[2] - box[0], box[3] - box[1]]


@pytest.mark.parametrize("labelled", [17, 11])
@pytest.mark.parametrize("count", [3, 30])
def test_boxes_with_room_beside_the_joints_are_no_corners(count: int, labelled: int, tmp_path: Path) -> None:
    """An outstretched arm, or joints of the upper body alone: read as corners, the boxes would hold nearly all joints."""
    random = np.random.default_rng(0)
    image = np.zeros((1280, 720, 3), np.uint8)
    across = [0.3, 0.33, 0.27, 0.37, 0.23, 0.45, 0.15, 0.62, 0.1, 0.85, 0.08, 0.38, 0.2, 0.38, 0.2, 0.38, 0.2]
    down = [0.08, 0.06, 0.06, 0.08, 0.08, 0.2, 0.2, 0.22, 0.36, 0.22, 0.5, 0.52, 0.52, 0.74, 0.74, 0.95, 0.95]
    everybody: list[Sample] = []
    for left, top in random.normal((150, 30) if labelled == 17 else (20, 300), 3, (count, 2)):
        width, height = (420, 1200) if labelled == 17 else (600, 800)
        places = [(left + width * x, top + height * y) for x, y in zip(across, down, strict=True)]
        everybody.append(person(image, (left, top, width, height), places))
    path = write_people(tmp_path / "people.json", tmp_path / "images", everybody, COCO_17)
    held = json.loads(path.read_text())
    for annotation in held["annotations"]:
        annotation["keypoints"][3 * labelled :] = [0, 0, 0] * (17 - labelled)
        annotation["num_keypoints"] = labelled
    path.write_text(json.dumps(held))
    assert read_data(path).labels(0).box[2:].tolist() == [width, height]


@pytest.mark.parametrize("box", [(30, 25, 55, 100), (2, 2, 90, 130), (0, 0, 99, 139)])
def test_boxes_with_width_and_height_stay_as_they_are(box: tuple[float, ...], tmp_path: Path) -> None:
    assert people(tmp_path, box=box).labels(0).box.tolist() == list(box)


def test_what_looks_wrong_is_said_to_whoever_scores_people(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    people(tmp_path, swap=True)
    open_data(tmp_path / "people.json", tmp_path / "images")
    assert "hint: people.json: left and right look swapped" in capsys.readouterr().err


def test_boxes_elsewhere(tmp_path: Path) -> None:
    (sentence,) = hints(people(tmp_path, box=(60, 20, 35, 100)))
    assert "of the joints lie outside their person's box" in sentence


def test_photos_smaller_than_those_that_were_annotated(tmp_path: Path) -> None:
    people(tmp_path)
    held = json.loads((tmp_path / "people.json").read_text())
    for entry in held["images"]:
        del entry["width"], entry["height"]
    for annotation in held["annotations"]:
        annotation["bbox"] = [2 * number for number in annotation["bbox"]]
        annotation["keypoints"] = [n if place % 3 == 2 else 2 * n for place, n in enumerate(annotation["keypoints"])]
    (tmp_path / "people.json").write_text(json.dumps(held))
    (sentence,) = hints(read_data(tmp_path / "people.json"))
    assert "of the joints lie outside their photo" in sentence


def test_few_people_give_no_hint(tmp_path: Path) -> None:
    assert not list(hints(people(tmp_path, count=4, swap=True)))


def test_the_summary_says_what_was_repaired(tmp_path: Path) -> None:
    people(tmp_path, count=3)
    held = json.loads((tmp_path / "people.json").read_text())
    del held["annotations"][0]["area"]
    held["annotations"][1]["keypoints"][2] = 7
    held["annotations"][2]["keypoints"][:3] = [0, 0, 0]
    (tmp_path / "people.json").write_text(json.dumps(held))
    report = summary(read_data(tmp_path / "people.json"))
    assert (report["images"], report["annotations"], report["people"], report["crowds"]) == (3, 2, 2, 0)
    assert report["labelled"]["nose"] == 0.5
    assert [sentence.partition(": ")[2][:8] for sentence in report["repairs"]] == ["no area ", "another ", "left out"]


@pytest.mark.parametrize(("count", "rows"), [(1, 1), (12, 2), (30, 2)])
def test_the_picture_shows_twelve_people(count: int, rows: int, tmp_path: Path) -> None:
    sheet = picture(people(tmp_path, count=count))
    assert sheet.shape[0] // HEIGHT == rows
    assert sheet.shape[1] // WIDTH == COLUMNS
    assert SHOWN == 2 * COLUMNS
    assert (sheet == (0, 200, 255)).all(-1).sum() > 20, "the left side is drawn in blue"


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    people(tmp_path)
    main(tmp_path / "people.json", out=tmp_path / "sheet.png", json=tmp_path / "out.json")
    out = capsys.readouterr().out
    assert "8 people with labelled joints in 8 images; 8 annotations of person, 0 of them crowds" in out
    assert "left_ankle" in out
    assert cv2.imread(str(tmp_path / "sheet.png")) is not None
    assert json.loads((tmp_path / "out.json").read_text())["hints"] == []


@pytest.mark.parametrize(
    ("flags", "message"), [(["none.json"], "cannot read none.json"), (["people.json", "--out", "sheet.gif"], ".jpg or .png")]
)
def test_wrong_input_is_one_line(flags: list[str], message: str, tmp_path: Path) -> None:
    people(tmp_path, count=1)
    command = [sys.executable, "-m", "calib_data.inspect", *flags]
    answer = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert answer.returncode == 2
    assert len(answer.stderr.splitlines()) == 1
    assert message in answer.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["images", "people.json"]


def test_the_name_of_the_picture_may_be_no_utf_8(tmp_path: Path) -> None:
    people(tmp_path)
    out = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.jpg"))
    main(tmp_path / "people.json", out=out)
    assert out.read_bytes().startswith(b"\xff\xd8")


def test_the_digest_of_people_covers_annotations_photos_and_boxes(tmp_path: Path) -> None:
    before = content_digest(people(tmp_path))
    assert content_digest(people(tmp_path)) == before
    keypoints = read_data(tmp_path / "people.json", boxes="keypoints")
    assert content_digest(keypoints) != before
    photo = tmp_path / "images" / "3.png"
    cv2.imwrite(str(photo), cv2.imread(str(photo)) + 1)
    assert content_digest(read_data(tmp_path / "people.json")) != before
    assert content_digest(people(tmp_path, box=(21, 20, 60, 100))) != before
    assert content_digest(SyntheticPeople(3, 1)) != content_digest(SyntheticPeople(3, 2))
    assert content_digest(SyntheticPeople(3, 1)) != content_digest(SyntheticPeople(4, 1))
