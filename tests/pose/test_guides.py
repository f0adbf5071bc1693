"""docs/add-a-skeleton.md and docs/add-a-teacher.md hold: their files are written, their code and commands are run."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from calib_data.synthetic import SyntheticPeople

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def follow(guide: str, folder: Path) -> int:
    """Write the guide's files into a folder and run its code and commands there; the number of those that were run."""
    done = 0
    for language, name, text in BLOCK.findall((ROOT / "docs" / guide).read_text()):
        if name:
            (folder / name).write_text(text)
            continue
        commands = [["-c", text]] if language == "python" else [shlex.split(line)[1:] for line in text.splitlines()]
        for command in commands:
            answer = subprocess.run(
                [sys.executable, *command],
                cwd=folder,
                env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
                capture_output=True,
                text=True,
            )
            assert answer.returncode == 0, f"{text}\n{answer.stdout}\n{answer.stderr}"
            done += 1
    return done


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
    foreign_network.write_model(tmp_path / "my_pose.onnx")
    people = SyntheticPeople(4)
    write_people(tmp_path / "people.json", tmp_path / "images", [sample_of(people, index) for index in range(4)])
    assert follow("add-a-teacher.md", tmp_path) == 3
