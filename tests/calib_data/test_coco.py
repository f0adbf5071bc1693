from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from people_file import sample_of

from calib_data.coco import CocoPeople, open_data
from pose.errors import InputError
from pose.skeleton import COCO_17, LSP_14

W, H = 60, 40


def keypoints(*points: tuple[float, float, int]) -> list[float]:
    return [number for point in (points + ((0, 0, 0),) * 14)[:14] for number in point]


def good() -> dict[str, Any]:
    """Two images, three people and a crowd."""
    person = {"category_id": 1, "area": 300.0, "iscrowd": 0}
    held: dict[str, Any] = {
        "info": {"anything": None},
        "images": [{"id": i, "file_name": f"{i}.png", "width": W, "height": H} for i in (7, 8)],
        "annotations": [
            {**person, "id": 1, "image_id": 7, "keypoints": keypoints((10, 10, 2), (20, 30, 1)), "num_keypoints": 2},
            {**person, "id": 2, "image_id": 8, "keypoints": keypoints((12, 10, 2), (14, 10, 2), (16, 18, 1))},
            {**person, "id": 3, "image_id": 8, "keypoints": keypoints(), "bbox": [0, 0, 0, 0]},
            {**person, "id": 4, "image_id": 8, "keypoints": keypoints(), "iscrowd": 1, "segmentation": {"counts": [1]}},
            {**person, "id": 5, "image_id": 8, "category_id": 2},
        ],
        "categories": [{"id": 1, "name": "person", "keypoints": list(LSP_14.joints)}, {"id": 2, "name": "ball"}],
    }
    for entry in held["annotations"]:
        entry.setdefault("bbox", [10, 5, 20, 30])
    return held


def picture(number: int) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 256, (H, W, 3), np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "images").mkdir()
    for i in (7, 8):
        cv2.imwrite(str(tmp_path / "images" / f"{i}.png"), cv2.cvtColor(picture(i), cv2.COLOR_RGB2BGR))
    return tmp_path


def opened(folder: Path, held: Any, **options: Any) -> CocoPeople:
    path = folder / "people.json"
    path.write_text(held if isinstance(held, str) else json.dumps(held))
    return CocoPeople(path, folder / "images", **options)


def test_people(folder: Path) -> None:
    people = opened(folder, good())
    assert people.skeleton is LSP_14
    assert len(people) == 2
    sample = sample_of(people, 0)
    assert np.array_equal(sample.image, picture(7))
    assert sample.box.tolist() == [10, 5, 20, 30]
    assert sample.keypoints[:2].tolist() == [[10, 10, 2], [20, 30, 1]]
    assert (sample.area, sample.image_id, sample.person_id) == (300, 7, 1)
    assert [person["id"] for person in people.annotations] == [1, 2, 3, 4]
    assert [person["num_keypoints"] for person in people.annotations] == [2, 3, 0, 0]
    assert [people.labels(i).person_id for i in range(len(opened(folder, good(), min_keypoints=3)))] == [1]


def test_boxes_about_keypoints(folder: Path) -> None:
    """Joints span 10 x 20 about (15, 20): grown to 12 x 24."""
    assert np.allclose(opened(folder, good(), boxes="keypoints").labels(0).box, [9, 8, 12, 24])
    held = good()
    held["annotations"][0] |= {"keypoints": keypoints((10, 10, 2)), "num_keypoints": 1}
    people = opened(folder, held, boxes="keypoints")
    assert people.labels(0).box.tolist() == [10, 5, 20, 30]
    assert [sentence.partition(" (1): ")[0] for sentence in people.file.repairs] == [
        "people.json: labelled joints on one point in 1 annotation"
    ]


def test_detected_boxes(folder: Path) -> None:
    boxes = [
        {"image_id": 7, "category_id": 1, "bbox": [40, 5, 10, 10], "score": 0.3},  # on no person
        {"image_id": 8, "category_id": 1, "bbox": [11, 6, 20, 30], "score": 0.5},  # the second on person 2
        {"image_id": 8, "category_id": 1, "bbox": [10, 5, 21, 30], "score": 0.9},
    ]
    path = folder / "boxes.json"
    path.write_text(json.dumps(boxes))
    people = opened(folder, good(), boxes=path)
    assert people.scores.tolist() == [0.9, 0.5, 0.3]
    assert [people.labels(i).person_id for i in range(3)] == [2, -2, -1]
    assert people.labels(0).keypoints[:, 2].sum() == 5
    assert not people.labels(1).keypoints.any()
    assert people.labels(0).box.tolist() == [10, 5, 21, 30]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image_id": 9}, "of images that are not in the annotations"),
        ({"bbox": [90, 0, 5, 5]}, "outside the image"),
        ({"bbox": [9, 0, 0, 5]}, "without a score or an area"),
        ({"score": "a"}, "without a score or an area"),
        ({"category_id": 2}, "of other categories"),
    ],
)
def test_a_wrong_detection_is_left_out(folder: Path, changes: dict[str, Any], message: str) -> None:
    right = {"image_id": 8, "category_id": 1, "bbox": [10, 5, 21, 30], "score": 0.9}
    path = folder / "boxes.json"
    path.write_text(json.dumps([right, {**right, **changes}, right]))
    people = opened(folder, good(), boxes=path)
    assert [people.labels(i).person_id for i in range(len(people))] == [2, -3]
    (sentence,) = people.file.repairs
    assert sentence.startswith("boxes.json: left out: 1 box ([1]) ")
    assert message in sentence


def test_detected_boxes_as_corners_are_read_as_such(folder: Path) -> None:
    path = folder / "boxes.json"
    people = opened(folder, good())
    boxes = [people.labels(index).box.tolist() for index in range(2)]
    path.write_text(json.dumps([
        {"image_id": image, "category_id": 1, "score": 0.9, "bbox": [x, y, x + width, y + height]}
        for image, (x, y, width, height) in zip((7, 8), boxes, strict=True)
    ]))  # fmt: skip
    detected = opened(folder, good(), boxes=path)
    assert [detected.labels(index).box.tolist() for index in range(2)] == boxes
    (sentence,) = detected.file.repairs
    assert sentence == "boxes.json: boxes as (left, top, right, bottom) in 2 boxes ([0], [1]): read as such"


def test_detections_of_other_categories_alone_are_refused(folder: Path) -> None:
    path = folder / "boxes.json"
    path.write_text(json.dumps([{"image_id": 8, "category_id": kind, "bbox": [1, 1, 9, 9], "score": 1} for kind in (3, 4)]))
    with pytest.raises(InputError, match="boxes of several categories"):
        opened(folder, good(), boxes=path)
    path.write_text(json.dumps([{"image_id": 8, "category_id": 1, "bbox": [50, 30, 9, 9], "score": 1}]))
    with pytest.raises(InputError, match="none of 1 boxes is on a person"):
        opened(folder, good(), boxes=path)
    path.write_text("[]")
    with pytest.raises(InputError, match="none of 0 boxes is on a person"):
        opened(folder, good(), boxes=path)
    path.write_text("{}")
    with pytest.raises(InputError, match="should be a valid list of boxes"):
        opened(folder, good(), boxes=path)


def test_cache_gives_the_same_pixels(folder: Path) -> None:
    people = opened(folder, good(), cache=True)
    assert people.image(0) is people.image(0)
    for path in (folder / "images").iterdir():
        path.unlink()
    assert np.array_equal(people.image(0), picture(7))


def test_labels_need_no_pixels(folder: Path) -> None:
    people = opened(folder, good())
    for path in (folder / "images").iterdir():
        path.write_bytes(b"no image")
    assert people.labels(-1).person_id == people.labels(1).person_id == 2
    assert people.labels(0).keypoints[:2].tolist() == [[10, 10, 2], [20, 30, 1]]
    with pytest.raises(InputError, match="not readable"):
        people.image(0)


def test_open_data_finds_the_images(folder: Path) -> None:
    opened(folder, good())
    assert len(open_data(folder / "people.json")) == 2
    (folder / "annotations").mkdir()
    (folder / "people.json").rename(folder / "annotations" / "people.json")
    people = open_data(folder / "annotations" / "people.json", skeleton="lsp14", boxes="keypoints")
    assert people.image(1).shape == (H, W, 3)


def change(path: str, value: Any) -> Any:
    """The good json with one place changed; `...` takes it out."""
    held = good()
    inner: Any = held
    *steps, last = [int(step) if step.isdigit() else step for step in path.split(".")]
    for step in steps:
        inner = inner[step]
    if value is ...:
        del inner[last]
    else:
        inner[last] = value
    return held


NAN, INF = float("nan"), float("inf")
WRONG = {
    "empty": ("", "Invalid JSON"),
    "truncated": (json.dumps(good())[:-40], "Invalid JSON"),
    "deep": ("[" * 100_000, "recursion limit"),
    "a list": ([], "should be an object with images, annotations and categories"),
    "a number": (7, "valid dictionary or an object"),
    "no images": (change("images", ...), "images: Field required"),
    "no annotations": (change("annotations", ...), "annotations: Field required"),
    "nobody": (change("annotations", []), "holds no person with 1 or more"),
    "images null": (change("images", None), "images: Input should be a valid"),
    "image null": (change("images.1", None), r"images\[1\] must be an object"),
    "image without id": (change("images.0.id", ...), r"images\[0\].id: None is no id"),
    "id huge": (change("images.0.id", 10**400), r"images\[0\].id"),
    "image twice": (change("images.1.id", 7), r"images\[1\].id: 7 is used twice"),
    "category twice": (change("categories.1.id", "1"), r"categories\[1\].id: 1 is used twice"),
    "no categories": (change("categories", []), r"none of 'categories' \(none\) names its keypoints"),
    "boxes only": (
        change("categories.0.keypoints", ...),
        r"'categories' \('person'\) names its keypoints.* 14 joints with --sk",
    ),
    "joints in a dictionary": (change("categories.0.keypoints", {"a": 1}), r"categories\[0\].keypoints: it must be a list"),
    "other joints": (
        change("categories.0.keypoints", ["nose", "tail"]),
        r"another number of keypoint numbers than 3 x 2 = 6",
    ),
    "joint twice": (change("categories.0.keypoints", ["nose"] * 14), "joint 'nose' is named twice"),
    "width text": (change("images.0.width", "wide"), "width: 'wide' is no number of pixels"),
    "width huge": (change("images.0.width", 1e9), "width: .* is no number of pixels"),
    "image elsewhere": (change("images.0.file_name", "../people.json"), r"images/people.json \(id 7\) is missing"),
    "image at root": (change("images.0.file_name", "/etc/passwd"), r"images/etc/passwd \(id 7\) is missing"),
    "image name of bytes": (change("images.0.file_name", "a\x00b"), "must be the name of a file"),
    "image name too long": (change("images.0.file_name", "a" * 5000), "File name too long|is missing"),
    "image missing": (change("images.0.file_name", "none.png"), r"none.png \(id 7\) is missing"),
    "image is a folder": (change("images.0.file_name", "."), "must be the name of a file"),
}


@pytest.mark.parametrize(("held", "message"), WRONG.values(), ids=WRONG)
def test_wrong_json(folder: Path, held: Any, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        opened(folder, held)
    assert "\n" not in str(caught.value)
    assert "people.json" in str(caught.value) or "images" in str(caught.value)


def test_wrong_skeleton(folder: Path) -> None:
    with pytest.raises(InputError, match="does not have the joints of coco17"):
        opened(folder, good(), skeleton=COCO_17)
    unnamed = change("categories.0.keypoints", ...)
    unnamed["categories"].pop()
    assert opened(folder, unnamed, skeleton=LSP_14).skeleton is LSP_14


HAND = ["wrist", *(f"{finger}{part}" for finger in ("thumb", "index", "middle", "ring", "little") for part in range(1, 5))]
ANIMAL = ["nose", "L_Eye", "R_Eye", "withers", "tail", "L_F_Paw", "R_F_Paw", "L_B_Paw", "R_B_Paw"]


def own_skeleton(joints: list[str], **fields: Any) -> dict[str, Any]:
    held = good()
    held["categories"][0] = {"id": 1, "name": "thing", "keypoints": joints, **fields}
    triples = [[10.0 + place, 8.0 + place, 2] for place in range(len(joints))]
    held["annotations"] = [
        {
            **held["annotations"][0],
            "keypoints": [number for triple in triples for number in triple],
            "num_keypoints": len(joints),
        },
    ]
    return held


@pytest.mark.parametrize(("joints", "pairs"), [(HAND, 0), (ANIMAL, 3)])
def test_a_file_with_joints_of_its_own_opens_without_a_flag(
    folder: Path, joints: list[str], pairs: int, capsys: pytest.CaptureFixture
) -> None:
    opened(folder, own_skeleton(joints, skeleton=[[1, 2], [2, 3]]))
    people = open_data(folder / "people.json")
    skeleton = people.skeleton
    # eyes are joints of registered skeletons and take their spelling
    assert (skeleton.name, skeleton.joints) == (
        "thing",
        tuple(joint.replace("L_Eye", "left_eye").replace("R_Eye", "right_eye") for joint in joints),
    )
    assert (len(skeleton.flip_pairs), skeleton.torso) == (pairs, None)
    assert skeleton.edges.tolist() == [[0, 1], [1, 2]]
    assert people.labels(0).keypoints.shape == (len(joints), 3)
    note = capsys.readouterr().err
    assert "no OKS sigma is known for" in note
    assert "0.079 is assumed" in note
    open_data(folder / "people.json")
    assert capsys.readouterr().err == ""  # once for each skeleton


def test_a_category_may_state_its_pairs_and_sigmas(folder: Path, capsys: pytest.CaptureFixture) -> None:
    joints = ["a", "b", "c"]
    fields = {"flip_idx": [1, 0, 2], "sigmas": [0.1, 0.1, 0.2]}
    opened(folder, own_skeleton(joints, **fields))
    skeleton = open_data(folder / "people.json").skeleton
    assert skeleton.flip.tolist() == [1, 0, 2]
    assert skeleton.sigmas.tolist() == [0.1, 0.1, 0.2]
    assert capsys.readouterr().err == ""
    for wrong, message in (
        ({"flip_idx": [1, 2, 0]}, "flip_idx must hold 3 joint numbers from 0"),
        ({"flip_pairs": [["a", "z"]]}, "flip_pairs names 'z'"),
        ({"flip_pairs": [[0, 3]]}, r"flip_pairs has \[0, 3\]; numbers go from 0 to 2"),
        ({"flip_pairs": [["a", "b"], ["a", "c"]]}, "'a' more than once"),
        ({"sigmas": [0.1]}, "sigmas must be 3 numbers"),
        ({"sigmas": [0.1, 0, 0.1]}, "sigmas.1: Input should be greater than 0"),
    ):
        with pytest.raises(InputError, match=message) as caught:
            opened(folder, own_skeleton(joints, **wrong))
        assert "\n" not in str(caught.value)
        assert "people.json" in str(caught.value)


def test_a_category_may_number_its_pairs(folder: Path) -> None:
    """As HRNet and mmpose write them, from 0."""
    opened(folder, own_skeleton(["r_fin", "l_fin", "tail"], flip_pairs=[[0, 1]]))
    assert open_data(folder / "people.json").skeleton.flip_pairs == (("l_fin", "r_fin"),)


def test_the_skeleton_of_a_yaml(folder: Path) -> None:
    opened(folder, own_skeleton(["a", "b", "c"]))
    path = folder / "mine.yaml"
    path.write_text("joints: [a, b, c]\nsigmas: {a: 0.05}\ntorso: [a, c]\n")
    skeleton = open_data(folder / "people.json", skeleton=path).skeleton
    assert (skeleton.name, skeleton.torso) == ("mine", ("a", "c"))
    path.write_text("joints: [c, a]\n")
    assert open_data(folder / "people.json", skeleton=path).labels(0).keypoints[:, 0].tolist() == [12, 10]  # by name
    path.write_text("joints: [a, d]\n")
    with pytest.raises(InputError, match="category 'thing' does not have the joints of mine: it lacks d"):
        open_data(folder / "people.json", skeleton=path)


def test_a_registered_skeleton_is_recognised_in_another_spelling(folder: Path) -> None:
    held = good()
    held["categories"][0]["keypoints"] = [
        joint.replace("left_", "L ").replace("right_", "R ").replace("head_top", "Head") for joint in LSP_14.joints
    ]
    assert opened(folder, held).skeleton is LSP_14


def test_missing_json(folder: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        CocoPeople(folder / "none.json", folder / "images")
    with pytest.raises(InputError, match="Is a directory"):
        CocoPeople(folder, folder / "images")


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
@pytest.mark.parametrize(
    ("share", "message"), [(0.0, "is empty"), (0.02, "not readable"), (0.5, "not readable"), (0.98, "not readable")]
)
def test_truncated_image(folder: Path, suffix: str, share: float, message: str, capfd: pytest.CaptureFixture) -> None:
    data = cv2.imencode(suffix, picture(7))[1].tobytes()
    (folder / "images" / f"7{suffix}").write_bytes(data)
    held = change("images.0.file_name", f"7{suffix}")
    people = opened(folder, held)
    (folder / "images" / f"7{suffix}").write_bytes(data[: int(len(data) * share)])
    with pytest.raises(InputError, match=message) as caught:
        people.image(0)
    assert "\n" not in str(caught.value)
    assert "ERROR:" not in capfd.readouterr().err


def test_image_of_another_size(folder: Path) -> None:
    with pytest.raises(InputError, match=r"7.png is 60 x 40, the json says 61 x 40"):
        opened(folder, change("images.0.width", 61)).image(0)


@given(st.binary(max_size=200) | st.integers(0, 1200).map(lambda size: json.dumps(good()).encode()[:size]))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_are_refused_in_one_line(folder: Path, data: bytes) -> None:
    (folder / "people.json").write_bytes(data)
    with pytest.raises(InputError) as caught:
        CocoPeople(folder / "people.json", folder / "images")
    assert "\n" not in str(caught.value)
