"""What is repaired in a file of people, what is left out of it, and what is said about both."""

from __future__ import annotations

import codecs
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_coco import W, change, folder, good, keypoints, opened  # noqa: F401 - the fixture

from calib_data.coco import CocoPeople
from pose.errors import LONGEST, InputError
from pose.terminal import note

FIRST = good()["annotations"][0]
JOINTS = [[10, 10, 2], [20, 30, 1]]  # of person 1, whose box is [10, 5, 20, 30] and whose area is 300


def sentences(people: CocoPeople) -> list[str]:
    return [sentence.removeprefix("people.json: ") for sentence in people.file.repairs]


# change -> what is said, box and area of person 1 afterwards
REPAIRED = {
    "area missing": (change("annotations.0.area", ...), "no area in 1 annotation (1)", None, 600),
    "area zero": (change("annotations.0.area", 0), "no area in 1 annotation (1)", None, 600),
    "area null": (change("annotations.0.area", None), "no area in 1 annotation (1)", None, 600),
    "area negative": (change("annotations.0.area", -4), "no area in 1 annotation (1)", None, 600),
    "area nan": (change("annotations.0.area", float("nan")), "no area in 1 annotation (1)", None, 600),
    "area as text": (change("annotations.0.area", "250"), None, None, 250),
    "area 1": (change("annotations.0.area", 1), "area far from width x height", None, 600),
    "area of the image": (change("annotations.0.area", 2400), "area far from width x height", None, 600),
    "box missing": (change("annotations.0.bbox", ...), "no usable box in 1 annotation (1)", [9, 8, 12, 24], 300),
    "box null": (change("annotations.0.bbox", None), "no usable box in 1 annotation (1)", [9, 8, 12, 24], 300),
    "box empty": (change("annotations.0.bbox", []), "no usable box in 1 annotation (1)", [9, 8, 12, 24], 300),
    "box short": (change("annotations.0.bbox", [1, 2, 3]), "no usable box in 1 annotation (1)", [9, 8, 12, 24], 300),
    "box zero": (change("annotations.0.bbox", [0, 0, 0, 0]), "no usable box in 1 annotation (1)", [9, 8, 12, 24], 300),
    "box flat": (change("annotations.0.bbox.2", 0), "no usable box in 1 annotation (1)", [9, 8, 12, 24], 300),
    "box negative": (change("annotations.0.bbox.3", -5), "no usable box in 1 annotation (1)", [9, 8, 12, 24], 300),
    "box nan": (change("annotations.0.bbox.0", float("nan")), "no usable box in 1 annotation", [9, 8, 12, 24], 300),
    "box infinite": (change("annotations.0.bbox.2", float("inf")), "no usable box in 1 annotation", [9, 8, 12, 24], 300),
    "box huge": (change("annotations.0.bbox.3", 60000), "no usable box in 1 annotation (1)", [9, 8, 12, 24], 300),
    "box outside": (change("annotations.0.bbox.0", W), "no usable box in 1 annotation (1)", [9, 8, 12, 24], 300),
    "box as text": (change("annotations.0.bbox", ["10", "5", "20", "30"]), None, None, 300),
    "count": (
        change("annotations.0.num_keypoints", 9),
        "another num_keypoints than labelled joints in 1 annotation",
        None,
        300,
    ),
    "crowd false": (change("annotations.0.iscrowd", False), None, None, 300),
    "crowd null": (change("annotations.0.iscrowd", None), None, None, 300),
    "crowd missing": (change("annotations.0.iscrowd", ...), None, None, 300),
    "id twice": (change("annotations.1.id", 1), "ids missing or used twice in 1 annotation (1)", None, 300),
    "id missing": (change("annotations.1.id", ...), "ids missing or used twice in 1 annotation ([1])", None, 300),
    "id as text": (change("annotations.0.id", "1"), None, None, 300),
    "image id as a float": (change("annotations.0.image_id", 7.0), None, None, 300),
    "image id as text": (change("annotations.0.image_id", "7"), None, None, 300),
    "joints as text": (change("annotations.0.keypoints.0", "10.0"), None, None, 300),
    "joints in triples": (change("annotations.0.keypoints", [*JOINTS, *[[0, 0, 0]] * 12]), None, None, 300),
    "visibility as a boolean": (change("annotations.0.keypoints.5", True), None, None, 300),
    "size missing": (change("images.0.width", ...), "no size of 1 image: read from the photos", None, 300),
    "size as text": (change("images.0.width", "60"), None, None, 300),
    "size zero": (change("images.0.height", 0), "no size of 1 image: read from the photos", None, 300),
}


@pytest.mark.parametrize(("held", "said", "box", "area"), REPAIRED.values(), ids=REPAIRED)
def test_a_value_is_repaired(folder: Path, held: Any, said: str | None, box: list[float] | None, area: float) -> None:  # noqa: F811
    people = opened(folder, held)
    assert len(people) == 2
    labels = people.labels(0)
    assert labels.box.tolist() == pytest.approx(box or [10, 5, 20, 30])
    assert labels.area == pytest.approx(area)
    assert labels.keypoints[:2].tolist() == JOINTS
    assert [said in sentence for sentence in sentences(people)] == ([True] if said else [])
    assert people.annotations[0]["num_keypoints"] == 2


LEFT_OUT = {
    "null": (change("annotations.0", None), "1 annotation ([0]) that are no JSON objects"),
    "a crowd of 2": (change("annotations.0.iscrowd", 2), "1 annotation (1) that are no JSON objects"),
    "an unknown image": (change("annotations.0.image_id", 9), "1 annotation (1) of images that are not in 'images'"),
    "no image": (change("annotations.0.image_id", ...), "1 annotation (1) of images that are not in 'images'"),
    "an unknown category": (change("annotations.0.category_id", 9), "1 annotation (1) of categories that are not"),
    "no keypoints": (change("annotations.0.keypoints", ...), "1 annotation (1) without keypoints"),
    "keypoints null": (change("annotations.0.keypoints", None), "1 annotation (1) without keypoints"),
    "keypoints empty": (change("annotations.0.keypoints", []), "1 annotation (1) without keypoints"),
    "13 joints": (change("annotations.0.keypoints", [1, 2, 2] * 13), "another number of keypoint numbers than 3 x 14 = 42"),
    "words": (change("annotations.0.keypoints.3", "left"), "1 annotation (1) with keypoints that are no numbers"),
    "nan": (change("annotations.0.keypoints.3", float("nan")), "1 annotation (1) with keypoints that are no numbers"),
    "huge": (change("annotations.0.keypoints.3", 10**400), "1 annotation (1) with keypoints that are no numbers"),
    "a visibility of 3": (change("annotations.0.keypoints.2", 3), "1 annotation (1) with a visibility other than 0, 1 or 2"),
    "a confidence": (change("annotations.0.keypoints.2", 0.8), "1 annotation (1) with a visibility other than 0, 1 or 2"),
    "a point": (
        change("annotations.0", {**FIRST, "bbox": [9, 9, 0, 0], "keypoints": keypoints((9, 9, 2))}),
        "1 annotation (1) without a box of a pixel or more, whose labelled joints span none",
    ),
    "a joint far outside": (change("annotations.0.keypoints.0", -3000), "1 annotation (1) with labelled joints far outside"),
    "outside": (
        change("annotations.0", {**FIRST, "bbox": [90, 9, 9, 9], "keypoints": keypoints((90, 9, 2), (95, 12, 2))}),
        "1 annotation (1) with a box and all labelled joints outside the image",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("held", "said"), LEFT_OUT.values(), ids=LEFT_OUT)
def test_a_bad_annotation_is_left_out_and_counted(folder: Path, held: Any, said: str) -> None:  # noqa: F811
    people = opened(folder, held)
    assert [people.labels(i).image_id for i in range(len(people))] == [8]
    assert len(people.annotations) == 3
    assert [said in sentence for sentence in sentences(people) if sentence.startswith("left out: ")] == [True]
    if "without keypoints" not in said:
        with pytest.raises(InputError, match=r"people\.json: left out: 1 annotation .*--strict"):
            opened(folder, held, strict=True)


def test_a_file_of_bad_annotations_alone_is_refused_with_the_reason(folder: Path) -> None:  # noqa: F811
    held = good()
    for person in held["annotations"]:
        person["keypoints"] = [1, 2, 0.5] * 14
    with pytest.raises(
        InputError, match=r"holds no person .* left out: 4 annotations \(1, 2, 3, \.\.\.\) with a visibility"
    ):
        opened(folder, held)


@pytest.mark.parametrize("strict", [False, True])
def test_a_good_file_is_read_in_silence(folder: Path, strict: bool) -> None:  # noqa: F811
    assert not sentences(opened(folder, good(), strict=strict))


def test_fractions_become_pixels(folder: Path) -> None:  # noqa: F811
    held = good()
    for person in held["annotations"][:2]:
        numbers = np.reshape(person["keypoints"], (-1, 3)) / (60, 40, 1)
        person |= {"keypoints": numbers.ravel().tolist(), "bbox": [10 / 60, 5 / 40, 20 / 60, 30 / 40], "area": 0.25}
    people = opened(folder, held)
    labels = people.labels(0)
    assert labels.box == pytest.approx([10, 5, 20, 30])
    assert labels.keypoints[:2] == pytest.approx(np.array(JOINTS))
    assert labels.area == pytest.approx(600)
    assert len(sentences(people)) == 3
    assert "keypoints in 0..1 in 2 annotations (1, 2): multiplied by the size of the image" in sentences(people)
    with pytest.raises(InputError, match=r"keypoints in 0\.\.1"):
        opened(folder, held, strict=True)


def test_boxes_under_a_pixel_beside_joints_in_pixels(folder: Path) -> None:  # noqa: F811
    held = good()
    for person in held["annotations"][:2]:
        person["bbox"] = [10 / 60, 5 / 40, 20 / 60, 30 / 40]
    assert opened(folder, held).labels(0).box == pytest.approx([10, 5, 20, 30])
    held["annotations"][0]["bbox"] = [10, 5, 20, 30]
    held["annotations"][1]["bbox"] = [10, 5, 0.4, 0.6]
    assert opened(folder, held).labels(1).box == pytest.approx([11.6, 9.2, 4.8, 9.6])  # about the joints


@pytest.mark.parametrize("area", [1, 30, 90])
def test_one_area_of_all_people_is_a_placeholder(folder: Path, area: float) -> None:  # noqa: F811
    held = good()
    more = [{**held["annotations"][0], "id": number, "bbox": [10, 5, 20, number]} for number in (30, 31, 32)]
    for person in (*held["annotations"][:2], *more):
        person["area"] = area
    held["annotations"] += more
    people = opened(folder, held)
    assert [people.labels(index).area for index in range(5)] == [600, 600, 600, 620, 640]


def test_detections_in_fractions_become_pixels(folder: Path) -> None:  # noqa: F811
    path = folder / "boxes.json"
    path.write_text(json.dumps([{"image_id": 7, "category_id": 1, "bbox": [1 / 6, 1 / 8, 1 / 3, 3 / 4], "score": 0.5}]))
    people = opened(folder, good(), boxes=path)
    assert people.labels(0).box == pytest.approx([10, 5, 20, 30])
    assert people.labels(0).person_id == 1


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_byte_order_marks(folder: Path, encoding: str) -> None:  # noqa: F811
    path = folder / "people.json"
    path.write_bytes(json.dumps(good()).encode(encoding))
    assert path.read_bytes().startswith((codecs.BOM_UTF8, codecs.BOM_UTF16))
    assert len(CocoPeople(path, folder / "images")) == 2


@pytest.mark.parametrize(
    "name",
    [
        "images\\7.png", "images/7.png", "C:\\photos\\7.png", "..\\images\\7.png", "/home/me/7.png", "./7.png", "7.PNG",
        "https://a.org/b/7.png?token=ab", "/data/local-files/?d=7.png", "/data/local-files/?d=photos%2F7.png", "%37.png",
        f"7.png?{'a' * 300}", "%2e%2e%2fimages%2f7.png",
    ],
)  # fmt: skip
def test_names_of_other_machines(folder: Path, name: str) -> None:  # noqa: F811
    people = opened(folder, change("images.0.file_name", name))
    assert people.paths[7] == folder / "images" / "7.png"
    assert people.image(0).shape == (40, 60, 3)


def test_two_names_of_one_photo_are_refused(folder: Path) -> None:  # noqa: F811
    held = good()
    held["images"][0]["file_name"], held["images"][1]["file_name"] = "a/7.png", "b/7.png"
    with pytest.raises(InputError, match=r"a/7.png and b/7.png of the annotations would both be the photo .*7.png"):
        opened(folder, held)


@pytest.mark.parametrize("ids", [("a", "b"), ("img-7", 8), ("7", "8"), (7.0, 8.0), (0, 1)])
def test_ids_of_every_kind(folder: Path, ids: tuple[Any, Any]) -> None:  # noqa: F811
    held = good()
    for image, number in zip(held["images"], ids, strict=True):
        image["id"] = number
    for person in held["annotations"]:
        person["image_id"] = ids[person["image_id"] - 7]
        person["id"] = f"person {person['id']}"
    people = opened(folder, held)
    assert [people.image(i).tolist() for i in range(2)] == [opened(folder, good()).image(i).tolist() for i in range(2)]
    assert [people.labels(i).person_id for i in range(2)] == [1, 2]
    assert len({entry["id"] for entry in people.annotations}) == 4


def test_several_joints_on_the_corner_of_the_image_are_not_labelled(folder: Path) -> None:  # noqa: F811
    held = good()
    held["annotations"][0]["keypoints"][6:] = [0, 0, 1] * ((len(held["annotations"][0]["keypoints"]) - 6) // 3)
    people = opened(folder, held)
    assert people.labels(0).keypoints[:, 2].tolist() == [2, 1, *[0] * 12]
    (sentence,) = sentences(people)
    assert sentence == "joints labelled at (0, 0) in 1 annotation (1): read as not labelled"
    with pytest.raises(InputError, match="leave out --strict"):
        opened(folder, held, strict=True)


def test_one_joint_on_the_corner_of_the_image_stays(folder: Path) -> None:  # noqa: F811
    held = good()
    held["annotations"][0]["keypoints"][6:9] = [0, 0, 2]
    held["annotations"][0].pop("num_keypoints", None)
    assert opened(folder, held).labels(0).keypoints[2].tolist() == [0, 0, 2]


def test_an_id_of_any_length_is_cut_in_what_is_said(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: F811
    held = good()
    held["annotations"][0] |= {"id": "x" * 100_000, "area": 0}
    for sentence in sentences(opened(folder, held)):
        note(sentence)
    assert max(map(len, capsys.readouterr().err.splitlines())) <= LONGEST


@pytest.mark.parametrize("place", [None, float("nan"), float("inf"), 1e300, "none"])
def test_places_of_joints_that_are_not_labelled_say_nothing(place: Any, folder: Path) -> None:  # noqa: F811
    held = good()
    for annotation in held["annotations"]:
        if "keypoints" not in annotation:
            continue
        annotation["keypoints"] = [
            place if number % 3 < 2 and not annotation["keypoints"][number - number % 3 + 2] else value
            for number, value in enumerate(annotation["keypoints"])
        ]
    people = opened(folder, held)
    assert len(people) == 2
    assert not sentences(people)
    assert people.labels(0).keypoints[:3].tolist() == [*JOINTS, [0, 0, 0]]
