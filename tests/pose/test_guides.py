"""docs/add-a-skeleton.md and docs/add-a-teacher.md hold: their files are written, their code and commands are run."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from documents import follow

from calib_data.synthetic import SyntheticPeople


def test_add_a_skeleton(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    cv2.imwrite(str(tmp_path / "images" / "1.png"), np.zeros((48, 64, 3), np.uint8))
    assert follow("add-a-skeleton.md", tmp_path) == 3


def test_add_a_teacher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnxruntime", reason="foreign teachers need the extra 'train'")
    import foreign_network
    from people_file import sample_of, write_people

    monkeypatch.setattr(foreign_network, "W", 192)
    monkeypatch.setattr(foreign_network, "H", 256)
    foreign_network.write_model(tmp_path / "my_pose.onnx", strength=0.01)
    people = SyntheticPeople(4)
    write_people(tmp_path / "people.json", tmp_path / "images", [sample_of(people, index) for index in range(4)])
    assert follow("add-a-teacher.md", tmp_path) == 3
