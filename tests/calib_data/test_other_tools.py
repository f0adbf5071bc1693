"""Annotation files as other tools write them, where they have one clear meaning."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from test_coco import folder, good, opened  # noqa: F401

from calib_data.coco import CocoPeople
from pose.errors import InputError
from pose.skeleton import LSP_14

LABELLED = [2, 1, *[0] * 12]  # of the first person


def sentences(people: Any) -> list[str]:
    return [sentence.partition(": ")[2] for sentence in people.file.repairs]


def with_places(value: Any) -> Any:
    """The good file, each joint without a label written as `value`, three times over."""
    held = good()
    for person in held["annotations"]:
        if "keypoints" in person:
            joints = [person["keypoints"][start : start + 3] for start in range(0, 42, 3)]
            person["keypoints"] = [number for joint in joints for number in (joint if joint[2] else [value] * 3)]
    return held


@pytest.mark.parametrize("value", [None, float("nan"), "nan", -1, "-1"])
def test_three_times_nothing_is_no_joint(folder: Path, value: Any) -> None:  # noqa: F811
    people = opened(folder, with_places(value), strict=True)
    assert people.labels(0).keypoints[:, 2].tolist() == LABELLED
    assert not people.labels(0).keypoints[2:].any()


@pytest.mark.parametrize("value", ["none", float("inf"), 1e300, -2, 3])
def test_three_times_anything_else_is_a_mistake(folder: Path, value: Any) -> None:  # noqa: F811
    with pytest.raises(InputError, match="holds no person"):
        opened(folder, with_places(value))


def test_a_joint_at_the_origin_that_is_not_counted(folder: Path) -> None:  # noqa: F811
    held = good()
    held["annotations"][0]["keypoints"][6:9] = [0, 0, 2]
    people = opened(folder, held)
    assert people.labels(0).keypoints[:, 2].tolist() == LABELLED
    assert sentences(people) == ["joints labelled at (0, 0) in 1 annotation (1): read as not labelled"]


def test_a_joint_at_the_origin_where_others_have_several_there(folder: Path) -> None:  # noqa: F811
    held = good()
    held["annotations"][0]["keypoints"][6:9] = [0, 0, 2]
    del held["annotations"][0]["num_keypoints"]
    assert opened(folder, held).labels(0).keypoints[2].tolist() == [0, 0, 2]
    held["annotations"][1]["keypoints"][9:15] = [0, 0, 2] * 2
    assert opened(folder, held).labels(0).keypoints[:, 2].tolist() == LABELLED
    held["annotations"][0]["num_keypoints"] = 3  # which counts it
    assert opened(folder, held).labels(0).keypoints[2].tolist() == [0, 0, 2]


@pytest.mark.parametrize("number", [..., None, 0, 7, "person"])
def test_annotations_of_no_category_are_of_the_only_one(folder: Path, number: Any) -> None:  # noqa: F811
    held = good()
    del held["categories"][1], held["annotations"][4]
    for person in held["annotations"]:
        person["category_id"] = number
        if number is ...:
            del person["category_id"]
    people = opened(folder, held)
    assert len(people) == 2
    assert sentences(people) == [
        "category_id of 4 annotations (1, 2, 3, ...) is not in 'categories': that of its one category is taken"
    ]
    held["annotations"][0]["category_id"] = 9 if number != 9 else 8
    with pytest.raises(InputError, match=r"left out: 4 annotations .* of categories that are not"):
        opened(folder, held)


@pytest.mark.parametrize("categories", [[], ...])
def test_a_file_without_categories(folder: Path, categories: Any) -> None:  # noqa: F811
    held = {**good(), "categories": categories}
    del held["annotations"][4]
    if categories is ...:
        del held["categories"]
    with pytest.raises(InputError, match=r"none of 'categories' .* name its joints with --skeleton"):
        opened(folder, held)
    assert opened(folder, held, skeleton=LSP_14).labels(0).keypoints[:, 2].tolist() == LABELLED


def test_people_of_another_category_than_person(folder: Path) -> None:  # noqa: F811
    held = good()
    joints = held["categories"][0]["keypoints"]
    held["categories"].append({"id": 3, "name": "player", "keypoints": joints})
    held["annotations"][1]["category_id"] = 3
    people = opened(folder, held)
    assert [people.labels(index).person_id for index in range(len(people))] == [1]
    assert sentences(people) == [
        "left out: 1 annotation (2) with keypoints of other categories: player; --category chooses one"
    ]
    assert len(opened(folder, held, category="player")) == 1
    for person in held["annotations"]:
        person["category_id"] = 3
    assert len(opened(folder, held)) == 2  # `person` is there and has nobody


@pytest.mark.parametrize("text", ["false", "False", "0", " 0.0 "])
def test_a_crowd_as_text(folder: Path, text: str) -> None:  # noqa: F811
    held = good()
    for person in held["annotations"]:
        person["iscrowd"] = text if not person["iscrowd"] else "True"
    people = opened(folder, held, strict=True)
    assert len(people) == 2
    assert [entry["iscrowd"] for entry in people.annotations] == [0, 0, 0, 1]


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16-le", "utf-32"])
def test_other_encodings_are_refused_with_a_way_out(folder: Path, encoding: str) -> None:  # noqa: F811
    held = good()
    held["images"][0]["file_name"] = "Grün.png"
    (folder / "people.json").write_bytes(json.dumps(held, ensure_ascii=False).encode(encoding))
    with pytest.raises(InputError, match=r"people\.json: Invalid JSON: .*; save it as UTF-8"):
        CocoPeople(folder / "people.json", folder / "images")


def test_ids_of_17_digits(folder: Path) -> None:  # noqa: F811
    held, first = good(), 20240131120000123
    for entry in (*held["images"], *held["annotations"]):
        entry["id"] += first
        if "image_id" in entry:
            entry["image_id"] += first
    people = opened(folder, held)
    assert [people.labels(index).image_id - first for index in range(2)] == [7, 8]
    assert [people.labels(index).person_id - first for index in range(2)] == [1, 2]


def test_entries_that_are_there_twice(folder: Path) -> None:  # noqa: F811
    held = good()
    held["images"].insert(0, held["images"][1])
    held["categories"].append(held["categories"][0])
    people = opened(folder, held, strict=True)
    assert {number: path.name for number, path in people.paths.items()} == {7: "7.png", 8: "8.png"}
    assert len(people) == 2


@pytest.mark.parametrize("stem", [False, True])
def test_images_by_name(folder: Path, stem: bool) -> None:  # noqa: F811
    held = good()
    for entry, name in zip(held["images"], ("a/one.png", "b/two.png"), strict=True):
        (folder / "images" / name).parent.mkdir()
        (folder / "images" / f"{entry['id']}.png").rename(folder / "images" / name)
        entry["file_name"] = name
    for person in held["annotations"]:
        person["image_id"] = {7: "one", 8: "two"}[person["image_id"]] + ("" if stem else ".png")
    people = opened(folder, held)
    assert [people.labels(index).image_id for index in range(2)] == [7, 8]
    held["images"][1]["file_name"] = "b/one.jpg" if stem else "b/one.png"
    with pytest.raises(InputError, match="of images that are not in 'images'"):
        opened(folder, held)


def test_stems_that_look_like_ids(folder: Path) -> None:  # noqa: F811
    held = good()
    for entry, name in zip(held["images"], ("0008.png", "0007.png"), strict=True):
        (folder / "images" / f"{entry['id']}.png").rename(folder / "images" / name)
        entry["file_name"] = name
    for person in held["annotations"]:
        person["image_id"] = {7: "0008", 8: "0007"}[person["image_id"]]
    people = opened(folder, held)
    assert [(people.labels(index).image_id, people.labels(index).person_id) for index in range(2)] == [(7, 1), (8, 2)]


def test_a_person_without_joints_beside_a_dog(folder: Path) -> None:  # noqa: F811
    held = good()
    held["categories"][1] = {"id": 2, "name": "dog", "keypoints": ["snout", "tail"]}
    held["annotations"][0]["keypoints"] = []
    held["annotations"][1] |= {"category_id": 2, "keypoints": [1, 2, 2, 3, 4, 2]}
    del held["annotations"][2:]
    with pytest.raises(InputError, match=r"holds no person .* left out: 1 annotation \(1\) without keypoints"):
        opened(folder, held)


@pytest.mark.parametrize("of_image", [{"image_id": "8"}, {"image_id": "8.png"}, {"file_name": "8.png"}])
@pytest.mark.parametrize("score", ["score", "confidence"])
def test_detections_of_other_tools(folder: Path, of_image: dict[str, str], score: str) -> None:  # noqa: F811
    path = folder / "boxes.json"
    path.write_text(json.dumps([{**of_image, "category_id": 1, "bbox": [10, 5, 21, 30], score: 0.25}]))
    people = opened(folder, good(), boxes=path)
    assert (people.labels(0).person_id, people.scores.tolist()) == (2, [0.25])


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"score": "80%"}, r"left out: 1 box \(\[0\]\) without a score"),
        ({"image_id": "other"}, r"left out: 1 box \(\[0\]\) of images that are not in the annotations"),
        ({"bbox": [50, 30, 9, 9]}, "are they of its photos"),
    ],
)
def test_why_no_detection_is_left(folder: Path, changes: dict[str, Any], reason: str) -> None:  # noqa: F811
    path = folder / "boxes.json"
    path.write_text(json.dumps([{"image_id": 8, "category_id": 1, "bbox": [10, 5, 21, 30], "score": 0.9, **changes}]))
    with pytest.raises(InputError, match=reason):
        opened(folder, good(), boxes=path)
