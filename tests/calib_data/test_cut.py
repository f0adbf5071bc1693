"""`calib_data.cut`: what a network sees of a person is the same before and after."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from people_file import Sample, sample_of, write_people

from calib_data.coco import CocoPeople, open_data, read_data
from calib_data.crops import Crops
from calib_data.cut import PEOPLE, cut, main, window, write
from calib_data.sample import Labels
from calib_data.synthetic import SyntheticPeople
from pose.crop import CropSpec
from pose.errors import InputError
from pose.skeleton import COCO_17, Skeleton

SPEC = CropSpec(96, 96)
OWN = Skeleton(
    "dog", ("nose", "left_paw", "right_paw"), flip_pairs=(("left_paw", "right_paw"),), limbs=(("nose", "left_paw"),)
)


def labels(box: tuple[float, ...], *joints: tuple[float, float, float]) -> Labels:
    return Labels(np.array(box, float), np.array([*joints, *[(0, 0, 0)] * (17 - len(joints))], float), 100.0, 1, 1)


def people(folder: Path, samples: list[Sample], skeleton: Skeleton = COCO_17) -> CocoPeople:
    return read_data(
        write_people(folder / "in.json", folder / "photos", samples, skeleton), folder / "photos", min_keypoints=0
    )


def test_the_window_is_a_square_about_the_box_inside_the_photo() -> None:
    assert window(labels((40, 30, 20, 40)), (200, 100), 2.0) == (10, 10, 91, 91)
    assert window(labels((150, 30, 40, 40)), (200, 100), 2.0) == (130, 10, 200, 91)


def test_the_window_reaches_labelled_joints_outside_of_the_box() -> None:
    assert window(labels((40, 30, 20, 20), (120.5, 5, 2), (300, 5, 2)), (200, 100), 1.0) == (40, 5, 200, 51)


def test_a_box_outside_of_the_photo_leaves_a_pixel() -> None:
    left, top, right, bottom = window(labels((500, 500, 10, 10)), (200, 100), 1.0)
    assert (left, top, right, bottom) == (199, 99, 200, 100)


def test_a_crop_of_the_cut_photo_is_that_of_the_photo(tmp_path: Path) -> None:
    drawn = SyntheticPeople(4, seed=5)
    before = people(tmp_path, [sample_of(drawn, index) for index in range(4)])
    write(before, tmp_path / "cut", context=2.0, side=4096, quality=100)
    after = open_data(tmp_path / "cut" / PEOPLE)
    for index in range(4):
        one, other = (Crops(source, SPEC, COCO_17).get(index) for source in (before, after))
        assert np.abs(one.pixels.astype(int) - other.pixels).mean() < 2  # JPEG
        assert (one.weight == other.weight).all()
        assert np.abs(one.coords - other.coords).max() * 96 < 0.02


@pytest.mark.parametrize("side", [60, 33])
def test_a_point_stays_where_the_picture_shows_it_at_another_size(side: int) -> None:
    photo = np.zeros((240, 320, 3), np.uint8)
    cv2.circle(photo, (150, 90), 9, (255, 255, 255), -1)
    small, moved = cut(photo, labels((110, 40, 80, 100), (150, 90, 2)), 1.5, side)
    assert max(small.shape) == side
    y, x = (np.average(axis, weights=small[..., 0].astype(float)) for axis in np.indices(small.shape[:2]))
    assert moved.keypoints[0, :2] == pytest.approx((x, y), abs=0.02)
    assert moved.area == pytest.approx(100 * small.shape[0] * small.shape[1] / 151**2, rel=0.02)


def test_people_without_labels_and_own_joints_are_kept(tmp_path: Path) -> None:
    image = np.full((80, 90, 3), 70, np.uint8)
    known = Sample(np.array([10.0, 10, 50, 60]), np.array([(20, 20, 2), (30, 60, 1), (0, 0, 0)], float), 3000.0, 1, 1, image)
    unknown = Sample(np.array([5.0, 5, 20, 20]), np.zeros((3, 3)), 400.0, 2, 2, image)
    path = write_people(tmp_path / "in.json", tmp_path / "photos", [known, unknown], OWN)
    stated = json.loads(path.read_text())
    stated["categories"][0] |= {"flip_pairs": [["left_paw", "right_paw"]], "skeleton": [[1, 2]], "sigmas": [0.1, 0.2, 0.2]}
    path.write_text(json.dumps(stated))
    before = read_data(path, tmp_path / "photos", min_keypoints=0)
    write(before, tmp_path / "cut", 2.0, 288, 85)
    after = open_data(tmp_path / "cut" / PEOPLE, min_keypoints=0)
    assert after.skeleton.joints == OWN.joints
    assert after.skeleton.flip_pairs == OWN.flip_pairs
    assert after.skeleton.limbs == OWN.limbs
    assert after.skeleton.sigmas.tolist() == [0.1, 0.2, 0.2]
    assert [after.labels(index).keypoints[:, 2].tolist() for index in range(2)] == [[2, 1, 0], [0, 0, 0]]


def test_an_existing_folder_is_left_alone(tmp_path: Path) -> None:
    drawn = SyntheticPeople(1, seed=5)
    path = write_people(tmp_path / "in.json", tmp_path / "photos", [sample_of(drawn, 0)])
    (tmp_path / "cut").mkdir()
    with pytest.raises(InputError, match="exists already"):
        main(path, tmp_path / "photos", out=tmp_path / "cut")
    assert not list((tmp_path / "cut").iterdir())


def test_a_photo_that_cannot_be_read_leaves_no_folder(tmp_path: Path) -> None:
    drawn = SyntheticPeople(2, seed=5)
    path = write_people(tmp_path / "in.json", tmp_path / "photos", [sample_of(drawn, index) for index in range(2)])
    photo = tmp_path / "photos" / "2.png"
    photo.write_bytes(photo.read_bytes()[:2000])
    with pytest.raises(InputError, match=r"2\.png"):
        main(path, tmp_path / "photos", out=tmp_path / "cut")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["in.json", "photos"]
