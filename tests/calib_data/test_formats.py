"""Files as data sets are published and as tools export them: the right joints, boxes and areas, without a flag."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import published
import pytest
from published import BOX, FORMATS, POINTS, H, W

from calib_data.coco import CocoPeople
from pose.errors import InputError
from pose.skeleton import COCO_17, MPII_16

SKELETON = {"posetrack18": "person", "jhmdb": "person", "ap10k": "species 26", "onehand10k": "hand"}  # their own
SKELETON |= {
    "aic": "aic14",
    "aic_released": "aic14",
    "crowdpose": "aic14",
    "mhp": "mpii16",
    "mpii": "mpii16",
    "halpe": "halpe26",
}
AREA = {"mhp": 11200, "humanart": 4000, "halpe": 6000.5, "wholebody": 5000, "wholebody_joined": 6000, "ap10k": 9000}
AREA |= {"onehand10k": 9000, "cvat": 5000, "openpose": 5000}  # of the others the file has none that means anything


def opened(folder: Path, value: Any, **options: Any) -> CocoPeople:
    (folder / "images").mkdir(exist_ok=True)
    cv2.imwrite(str(folder / "images" / "1.png"), cv2.cvtColor(published.photo(), cv2.COLOR_RGB2BGR))
    (folder / "images" / "1.jpg").write_bytes((folder / "images" / "1.png").read_bytes())
    (folder / "people.json").write_text(json.dumps(value))
    return CocoPeople(folder / "people.json", folder / "images", **options)


@pytest.mark.parametrize("make", FORMATS, ids=lambda make: make.__name__)
def test_a_published_file_is_read_as_it_is(make: Callable[[], Any], tmp_path: Path) -> None:
    name = make.__name__
    people = opened(tmp_path, make())
    assert len(people) == 1
    assert people.skeleton.name == SKELETON.get(name, "coco17")
    labels = people.labels(0)
    for joint, (x, y, v) in zip(people.skeleton.joints, labels.keypoints, strict=True):
        if v and joint in POINTS and name != "onehand10k":
            assert (x, y) == pytest.approx(POINTS[joint]), joint
    expected = 21 if name == "onehand10k" else sum(joint in POINTS for joint in people.skeleton.joints)
    missing = {"mpii": 1, "posetrack18": 2, "halpe": -6}.get(name, 0)
    assert (labels.keypoints[:, 2] > 0).sum() == expected - missing
    if name not in ("mpii", "coco_annotator"):
        assert labels.box.tolist() == BOX
        assert labels.area == AREA.get(name, BOX[2] * BOX[3])
    assert people.image(0).shape == (H, W, 3)
    assert people.annotations[0]["bbox"] == labels.box.tolist()


def test_the_box_of_mpii_is_that_of_its_scale(tmp_path: Path) -> None:
    labels = opened(tmp_path, published.mpii()).labels(0)
    assert labels.box == pytest.approx([60 - 70, 70 + 10.5 - 70, 140, 140])
    seen = labels.keypoints[labels.keypoints[:, 2] > 0, :2]
    assert labels.area == pytest.approx(np.ptp(seen, axis=0).prod())


def test_what_is_left_out_is_said(tmp_path: Path) -> None:
    assert "joints left out: Neck, beside coco17" in "".join(opened(tmp_path, published.openpose()).file.repairs)
    assert "110 of face and hands (Halpe-FullBody)" in "".join(opened(tmp_path, published.halpe()).file.repairs)
    assert "several categories" not in "".join(opened(tmp_path, published.ap10k()).file.repairs), "only one has animals"


def test_a_category_is_chosen_by_name_or_number(tmp_path: Path) -> None:
    held = published.humanart()
    dog = {"id": 2, "name": "Dog", "keypoints": ["nose", "tail", "paw"]}
    held["categories"] = [{**held["categories"][0], "name": "human"}, dog]
    held["annotations"].append(
        {**held["annotations"][0], "id": 2, "category_id": 2, "keypoints": [40, 40, 2, 60, 80, 2, 0, 0, 0]}
    )
    with pytest.raises(
        InputError, match=r"several categories name keypoints \('human', 'Dog'\); choose one with --category"
    ):
        opened(tmp_path, held)
    for wanted in ("dog", "2"):
        assert opened(tmp_path, held, category=wanted).skeleton.joints == ("nose", "tail", "paw")
    assert opened(tmp_path, held, category="human").skeleton is COCO_17
    with pytest.raises(InputError, match=r"--category cat: there is none; the categories are 'human', 'Dog'"):
        opened(tmp_path, held, category="cat")


def test_animals_of_several_species_are_read_as_one(tmp_path: Path) -> None:
    held = published.ap10k()
    held["annotations"].append({**held["annotations"][0], "id": 2, "category_id": 3})
    people = opened(tmp_path, held)
    assert len(people) == 2
    assert "several categories with the same joints: species 3, species 26 are read as one" in "".join(people.file.repairs)


def test_a_skeleton_names_the_joints_of_a_file_that_does_not(tmp_path: Path) -> None:
    held = published.wholebody()
    held["categories"][0]["keypoints"] = []
    with pytest.raises(InputError, match=r"name its 17 joints with --skeleton: coco17, "):
        opened(tmp_path, held)
    assert opened(tmp_path, held, skeleton=COCO_17).labels(0).keypoints[0].tolist() == [*POINTS["nose"], 2]
    held["categories"][0]["keypoints"] = [str(number) for number in range(17)]
    assert opened(tmp_path, held, skeleton=COCO_17).labels(0).keypoints[0].tolist() == [*POINTS["nose"], 2]
    assert opened(tmp_path, published.halpe(), skeleton=COCO_17).labels(0).keypoints.shape == (17, 3)
    with pytest.raises(InputError, match="annotations have 17 joints, skeleton mpii16 has 16"):
        opened(tmp_path, held, skeleton=MPII_16)


@pytest.mark.parametrize(
    "value",
    [
        [{"image": "1.png", "joints": 3, "joints_vis": []}, 7],
        [{"image": "1.png", "joints": [[1, "a"]], "joints_vis": [1], "center": [1, 2], "scale": 1}],
        [{"image_id": 1, "keypoint_annotations": 2}],
        [{"image_id": "1", "keypoint_annotations": {"human1": 3}}],
    ],
)
def test_a_wrong_list_is_refused_with_the_reason(value: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no person with 1 or more labelled keypoints; left out: "):
        opened(tmp_path, value)


OWN = {
    "labelme's own format": {"version": "5.0.1", "shapes": [], "imagePath": "1.jpg", "imageData": None},
    "Label Studio's own format": [{"id": 1, "annotations": [{"result": []}], "data": {"image": "1.jpg"}}],
    "VGG Image Annotator's own format": {"_via_settings": {}, "_via_img_metadata": {}},
    "OpenPose's output": {"version": 1.3, "people": [{"pose_keypoints_2d": [0.0] * 75}]},
    "a list of COCO annotations or results without their images": [
        {"image_id": 1, "category_id": 1, "keypoints": [0.0] * 51, "score": 0.9}
    ],
}


@pytest.mark.parametrize("name", OWN)
def test_a_format_that_is_not_read_is_called_by_its_name(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"is {name}; convert it to a COCO keypoint json"):
        opened(tmp_path, OWN[name])
