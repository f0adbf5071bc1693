"""The people of a training command line."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from people_file import person, write_people

from calib_data import photos
from calib_data.coco import Reading
from calib_data.sources import Data
from distill import request
from pose.errors import InputError


def annotations(path: Path, images: Path, grey: int, count: int = 1) -> Path:
    """One person in data_ of some grey images, which lie in a folder of their own."""
    joints = [(10 + 2 * joint, 10 + joint) for joint in range(17)]
    pictures = [np.full((72, 64, 3), grey + number, np.uint8) for number in range(1, count + 1)]
    return write_people(path, images, [person(picture, (8, 8, 40, 56), joints) for picture in pictures])


def test_photos_of_training_and_validation_lie_anywhere(tmp_path: Path) -> None:
    data = annotations(tmp_path / "train.json", tmp_path / "train2017", 10)
    val = annotations(tmp_path / "val.json", tmp_path / "val2017", 90)
    train, held_out = request.people([data], [tmp_path / "train2017"], None, "annotation", val, tmp_path / "val2017", 1, 0)
    assert [int(data_.source.image(0)[0, 0, 0]) for data_ in (train, held_out)] == [11, 91]
    with pytest.raises(InputError, match=r"val\.json.*images|images.*val\.json|no folder|missing"):
        request.people([data], [tmp_path / "train2017"], None, "annotation", val, None, 1, 0)


def test_decoded_photos_fill_their_room_and_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(photos, "KEPT_BYTES", 2 * 64 * 72 * 3)
    data = annotations(tmp_path / "train.json", tmp_path / "photos", 10, count=3)
    train, _ = request.people([data], [tmp_path / "photos"], None, "annotation", data, tmp_path / "photos", 1, 0)
    seen = [train.source.image(index) for index in range(3)]
    again = [train.source.image(index) for index in range(3)]
    assert [a is b for a, b in zip(seen, again, strict=True)] == [True, True, False]
    assert all((a == b).all() for a, b in zip(seen, again, strict=True))


def test_people_without_labels_are_trained_on_where_a_teacher_supervises(tmp_path: Path) -> None:
    grey, unknown = np.full((72, 64, 3), 90, np.uint8), person(np.full((72, 64, 3), 91, np.uint8), (8, 8, 40, 56), [])
    labelled = person(grey, (8, 8, 40, 56), [(10 + 2 * joint, 10 + joint) for joint in range(17)])
    unlabelled = replace(unknown, keypoints=np.zeros((17, 3)))
    data = write_people(tmp_path / "people.json", tmp_path / "images", [unlabelled, labelled])

    def both(boxes: str, supervised: bool) -> tuple[Data, Data]:
        return request.people([data], None, None, boxes, data, None, 1, 0, unlabelled=supervised)

    with_teacher, held_out = both("keypoints", True)
    assert len(with_teacher.source) == 2
    assert len(held_out.source) == len(both("annotation", False)[0].source) == 1
    assert with_teacher.source.labels(0).box.tolist() == [8, 8, 40, 56], "without joints, the annotated box"
    assert with_teacher.digest != both("keypoints", False)[0].digest


@pytest.mark.parametrize("reading", [{"category": "person"}, {"exif": "apply"}, {"strict": True}])
def test_flags_about_files_belong_to_files(reading: Reading) -> None:
    with pytest.raises(InputError, match=rf"--{next(iter(reading))} is for --data"):
        request.people(None, None, None, "annotation", None, None, 1, 0, **reading)
