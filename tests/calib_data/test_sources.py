"""The digest of training data: what samples follow from, and nothing else."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from people_file import person, write_people

from calib_data import sources
from pose import cache


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DISTILPOSE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(cache, "_SETTLED", -1.0)
    joints = [(12 + 2 * joint, 18 + 3 * joint) for joint in range(17)]
    someone = person(np.zeros((80, 64, 3), np.uint8), (10, 10, 40, 60), joints)
    return write_people(tmp_path / "people.json", tmp_path / "images", [someone, someone])


def digest(data: Path, images: Path | None = None) -> str:
    return sources.annotated([data], [images] if images else [], "annotation").digest


def test_pixels_belong_to_the_digest(data: Path) -> None:
    before = digest(data)
    assert digest(data) == before
    photo = data.parent / "images" / "1.png"
    kept = photo.read_bytes()
    cv2.imwrite(str(photo), np.full((80, 64, 3), 9, np.uint8))
    assert digest(data) != before
    photo.write_bytes(kept)
    assert digest(data) == before


def test_another_folder_of_other_photos_is_another_digest(data: Path) -> None:
    other = Path(shutil.copytree(data.parent / "images", data.parent / "other"))
    cv2.imwrite(str(other / "2.png"), np.full((80, 64, 3), 9, np.uint8))
    assert digest(data, other) != digest(data)


def test_the_category_belongs_to_the_digest(data: Path) -> None:
    held = json.loads(data.read_text())
    held["categories"].append({**held["categories"][0], "id": 2, "name": "statue"})
    held["annotations"][1]["category_id"] = 2
    data.write_text(json.dumps(held))
    parts = [sources.annotated([data], [], "annotation", category=name) for name in ("person", "statue")]
    assert [len(part.source) for part in parts] == [1, 1]
    assert parts[0].digest != parts[1].digest


def test_labels_and_turns_belong_to_the_digest(data: Path) -> None:
    before = digest(data)
    held = json.loads(data.read_text())
    held["annotations"][0]["keypoints"][0] += 1
    data.write_text(json.dumps(held))
    assert digest(data) != before
