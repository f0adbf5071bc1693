"""docs/add-a-skeleton.md and docs/add-a-teacher.md hold: their files are written, their code and commands are run."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from documents import follow


def test_add_a_skeleton(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    cv2.imwrite(str(tmp_path / "images" / "1.png"), np.zeros((48, 64, 3), np.uint8))
    assert follow("add-a-skeleton.md", tmp_path) == 3


def test_add_a_teacher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnxruntime", reason="foreign teachers need the extra 'train'")
    import foreign_network
    from people_file import person, write_people

    monkeypatch.setattr(foreign_network, "W", 192)
    monkeypatch.setattr(foreign_network, "H", 256)
    foreign_network.write_model(tmp_path / "my_pose.onnx", strength=0.01)
    people = []
    for seed in range(4):  # the network sees every joint at the brightest place, where the arms of these people are
        places = np.random.default_rng(seed).uniform(20, 100, (17, 2)).round()
        places[5:11] = places[5]
        image = np.zeros((120, 120, 3), np.uint8)
        cv2.circle(image, places[5].astype(int).tolist(), 5, (255, 255, 255), -1)
        people.append(person(image, (10, 10, 100, 100), places.tolist()))
    write_people(tmp_path / "people.json", tmp_path / "images", people)
    assert follow("add-a-teacher.md", tmp_path) == 3
