"""YOLO-pose data sets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml
from people_file import person

from calib_data import sources
from calib_data.coco import CocoPeople, open_data
from pose.errors import InputError
from pose.skeleton import COCO_17

W, H = 64, 80
JOINTS = [(12 + 2 * joint, 18 + 3 * joint) for joint in range(17)]
SOMEONE = person(np.zeros((H, W, 3), np.uint8), (10, 10, 40, 60), JOINTS)
FLIP = COCO_17.flip.tolist()


def line(points: list[tuple[float, ...]], box: tuple[float, ...] = (10, 10, 40, 60), label: int = 0) -> str:
    x, y, w, h = box
    numbers = [(x + w / 2) / W, (y + h / 2) / H, w / W, h / H]
    numbers += [value for px, py, *v in points for value in (px / W, py / H, *v)]
    return " ".join([str(label), *(f"{number:.8g}" for number in numbers)])


def write(folder: Path, lines: list[str], splits: tuple[str, ...] = ("train", "val"), **fields: Any) -> Path:
    """A data set with one photo of these people in each split, and one without people."""
    for split in splits:
        for part in ("images", "labels"):
            (folder / part / split).mkdir(parents=True)
        for name in ("a.jpg", "none.jpg"):
            cv2.imwrite(str(folder / "images" / split / name), SOMEONE.image)
        (folder / "labels" / split / "a.txt").write_text("\n".join([*lines, ""]))
    described = {"path": "../elsewhere", "kpt_shape": [17, 3], "flip_idx": FLIP, "names": {0: "person"}}
    described |= {split: f"images/{split}" for split in splits}
    (folder / "data.yaml").write_text(yaml.safe_dump({**described, **fields}))
    return folder / "data.yaml"


def test_people_are_read_in_pixels(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    path = write(
        tmp_path, [line([(*joint, 2) for joint in JOINTS]), line([(0, 0, 0), *((*joint, 1) for joint in JOINTS[1:])])]
    )
    for data in (path, tmp_path):
        people = open_data(data)
        assert people.skeleton is COCO_17
        assert len(people) == 2
        labels = people.labels(0)
        assert labels.box == pytest.approx([10, 10, 40, 60], abs=1e-5)
        assert labels.keypoints == pytest.approx(SOMEONE.keypoints, abs=1e-5)
        assert labels.area == pytest.approx(2400)
        assert people.labels(1).keypoints[:, 2].tolist() == [0, *[1] * 16]
        assert people.image(0).shape == (H, W, 3)
    assert "0..1" not in capsys.readouterr().err, "the format is in fractions"


def test_keypoints_without_visibility(tmp_path: Path) -> None:
    path = write(tmp_path, [line([(0, 0), *JOINTS[1:]])], kpt_shape=[17, 2])
    assert open_data(path).labels(0).keypoints[:, 2].tolist() == [0, *[2] * 16]


def test_names_of_joints(tmp_path: Path) -> None:
    points = [(20, 20, 2), (30, 40, 2), (40, 30, 1)]
    unnamed = {"kpt_shape": [3, 3], "flip_idx": [0, 2, 1]}
    (tmp_path / "numbers").mkdir()
    skeleton = open_data(write(tmp_path / "numbers", [line(points)], **unnamed)).skeleton
    assert skeleton.joints == ("keypoint_0", "keypoint_1", "keypoint_2")
    assert skeleton.flip.tolist() == [0, 2, 1]
    (tmp_path / "names").mkdir()
    named = open_data(
        write(tmp_path / "names", [line(points)], **unnamed, kpt_names={0: ["nose", "l_eye", "r_eye"]})
    ).skeleton
    assert named.joints == ("nose", "left_eye", "right_eye")
    own = tmp_path / "own.yaml"
    own.write_text("joints: [tip, left_fin, right_fin]\n")
    assert open_data(tmp_path / "numbers", skeleton=own).skeleton.joints == ("tip", "left_fin", "right_fin")
    (tmp_path / "nothing").mkdir()
    with pytest.raises(InputError, match="name its 3 joints with --skeleton"):
        open_data(write(tmp_path / "nothing", [line(points)], kpt_shape=[3, 3], flip_idx=None))


def test_images_are_those_of_the_description(tmp_path: Path) -> None:
    path = write(tmp_path, [line([(*joint, 2) for joint in JOINTS])])
    with pytest.raises(InputError, match="names its photos itself; leave out --images"):
        open_data(path, tmp_path / "images")


def test_training_takes_the_split_train(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISTILPOSE_CACHE", str(tmp_path / "cache"))
    path = write(tmp_path, [line([(*joint, 2) for joint in JOINTS])])
    (tmp_path / "labels" / "train" / "a.txt").write_text("\n".join([line([(*joint, 2) for joint in JOINTS])] * 3))
    assert len(sources.annotated([path], [], "annotation").source) == 3
    before = sources.annotated([path], [], "annotation").digest
    (tmp_path / "labels" / "train" / "a.txt").write_text(line([(*joint, 1) for joint in JOINTS]))
    assert sources.annotated([path], [], "annotation").digest != before


def test_lists_of_photos_and_paths_of_roboflow(tmp_path: Path) -> None:
    path = write(tmp_path, [line([(*joint, 2) for joint in JOINTS])], val="../images/val")
    assert len(open_data(path)) == 1
    (tmp_path / "val.txt").write_text("./images/val/a.jpg\n")
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), "val": ["val.txt", "images/train"]}))
    assert len(open_data(path)) == 2


def test_a_bad_line_is_left_out_and_counted(tmp_path: Path) -> None:
    good = line([(*joint, 2) for joint in JOINTS])
    path = write(
        tmp_path, [good, "0 0.5 0.5 0.1 0.1", "0 0.5", "7 " + good[2:], "a b c", good.replace(" 2", " 9"), f"{good} 1"]
    )
    people = open_data(path)
    assert len(people) == 1
    said = " ".join(people.file.repairs)
    for part in ("(2, 3) without keypoints", "(4, 5) of categories", "(6) with a visibility", "(7) with another number"):
        assert part in said


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"kpt_shape": [17]}, "kpt_shape"),
        ({"kpt_shape": [17, 4]}, r"kpt_shape \[17, 4\] must be"),
        ({"kpt_shape": None}, "kpt_shape"),
        ({"val": None}, "has no split 'val'"),
        ({"val": "images/none"}, "val: .*images/none is missing"),
        ({"val": "labels"}, "split 'val' has no labels"),
        ({"val": "/content/images/none"}, "val: /content/images/none is missing"),
        ({"train": "images/train", "val": "/content/train"}, "val: /content/train is missing"),
        ({"val": "/a/images/train"}, "val: /a/images/train is missing, and .*images/train is 'train'; correct the path"),
        ({"val": "images/" + "n" * 300}, "val: .*nnn is missing"),
        ({"names": 7}, "names"),
    ],
)
def test_a_wrong_description_is_refused(fields: dict[str, Any], message: str, tmp_path: Path) -> None:
    path = write(tmp_path, [line([(*joint, 2) for joint in JOINTS])], **fields)
    with pytest.raises(InputError, match=message) as caught:
        CocoPeople(path, tmp_path)
    assert "\n" not in str(caught.value)
    assert "data.yaml" in str(caught.value)


@pytest.mark.parametrize("name", ["./images/val/a.jpg", "images/val/a.jpg"])
def test_lines_of_a_list_start_from_the_folder_of_the_data_set(name: str, tmp_path: Path) -> None:
    path = write(tmp_path / "ds", [line([(*joint, 2) for joint in JOINTS])])
    (tmp_path / "ds" / "val.txt").write_text(f"{name}\n")
    other = write(tmp_path, [line([(*joint, 2) for joint in JOINTS])] * 3)  # photos of the same names beside the yaml
    other.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), "path": "ds", "val": "val.txt"}))
    assert len(open_data(other)) == 1


def test_photos_of_folders_in_each_other_count_once(tmp_path: Path) -> None:
    path = write(tmp_path, [line([(*joint, 2) for joint in JOINTS])], val=["images/val", "images"])
    assert len(open_data(path)) == 2, "one of val, one of train"


@pytest.mark.parametrize(
    ("path", "val"),
    [
        ("C:\\data\\pose", "images\\val"),
        ("C:\\data\\pose", "C:\\data\\pose\\images\\val"),
        ("/content/ds", "/content/ds/images/val"),
        (None, "/content/ds/images/val"),
        (None, "..\\images\\val"),
        (None, "datasets/pose/images/val"),
        ("sub\\ds", "images\\val"),
        ("sub/ds", "/content/ds/images/val"),
    ],
)
def test_paths_of_other_machines(path: str | None, val: str, tmp_path: Path) -> None:
    people = line([(*joint, 2) for joint in JOINTS])
    folder = tmp_path / "sub" / "ds" if path and path.startswith("sub") else tmp_path
    home = write(folder, [people], path=path, val=val, train=val.replace("val", "train")).rename(tmp_path / "data.yaml")
    assert open_data(home).paths == {1: folder / "images" / "val" / "a.jpg"}


@pytest.mark.parametrize(
    "name",
    [
        "images\\val\\a.jpg", ".\\images\\val\\a.jpg", "C:\\ds\\images\\val\\a.jpg", "/content/ds/images/val/a.jpg",
        "../ds/images/val/a.jpg", "images/val/A.JPG",
    ],
)  # fmt: skip
@pytest.mark.parametrize("path", [None, "C:\\ds"])
def test_lists_of_other_machines(name: str, path: str | None, tmp_path: Path) -> None:
    home = write(tmp_path, [line([(*joint, 2) for joint in JOINTS])], path=path, val="/content/ds/val.txt")
    (tmp_path / "val.txt").write_text(f"{name}\n")
    assert open_data(home).paths == {1: tmp_path / "images" / "val" / "a.jpg"}


@pytest.mark.parametrize("val", ["/a/ds/val/images", "/a/other/val", "C:\\ds\\val"])
def test_the_last_part_of_a_path_alone_leads_nowhere(val: str, tmp_path: Path) -> None:
    """`images` holds the photos that are trained on, too."""
    home = write(tmp_path, [line([(*joint, 2) for joint in JOINTS])], val=val)
    with pytest.raises(InputError, match=r"val: .* is missing; correct the path"):
        open_data(home)
    home.write_text(yaml.safe_dump({**yaml.safe_load(home.read_text()), "val": "val.txt"}))
    (tmp_path / "val.txt").write_text("/o/val/a.jpg\n")
    (tmp_path / "a.jpg").touch()
    with pytest.raises(InputError, match="has no labels"):
        open_data(home)


def test_a_path_that_is_there_is_taken_as_it_stands(tmp_path: Path) -> None:
    people = line([(*joint, 2) for joint in JOINTS])
    elsewhere = write(tmp_path / "a", [people]).parent
    home = write(tmp_path / "b", [people], val=str(elsewhere / "images" / "val"))
    assert open_data(home).paths == {1: elsewhere / "images" / "val" / "a.jpg"}
