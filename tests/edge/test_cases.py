"""Files as users brought them, each in a folder with its right value, beside the real photos that POSE_DATA names."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from calib_data.coco import read_data
from edge.evaluate.teacher import score_teacher
from pose.foreign import load_teacher

NUMBER = r"(\d+\.?\d*)"
ONE_THRESHOLD = 5.0  # points of AP, of three people: what JPEG of another quality changes for one of them


def test_every_case_has_its_right_value(pose_data: Path) -> None:
    """AP and PCK of MoveNet Lightning, as the README beside a file of people states them."""
    folder = pose_data.parent / "cases"
    if not folder.is_dir():
        pytest.skip("needs the folder cases beside the folder that POSE_DATA names")
    teacher = load_teacher("movenet_lightning", folder=pose_data)
    wrong, count = [], 0
    for case in sorted(path.parent for path in folder.glob("*/people.json")):
        right = (case / "README").read_text().partition("Now:")[0]
        stated = {name: re.search(rf"{name} {NUMBER}(?: \+- {NUMBER})?", right) for name in ("AP", "PCK")}
        detections = case / "detections.json"
        people = read_data(case / "people.json", None, None, str(detections) if detections.is_file() else "annotation")
        score = score_teacher(teacher, people, case.name)
        for name, value in (("AP", score.ap), ("PCK", score.pck)):
            match = stated[name]
            if match is None:
                continue
            count += 1
            tolerance = float(match[2] or 0.051)
            if name == "AP" and match[2]:  # photos that were compressed again: one person beyond one threshold of OKS
                tolerance = max(tolerance, ONE_THRESHOLD)
            if value is None or abs(value - float(match[1])) > tolerance:
                wrong.append(f"{case.name}: {name} {value}, right is {match[0]}")
    assert not wrong
    assert count
