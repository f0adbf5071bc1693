"""docs/add-a-student.md holds: a student from a user's own file is trained, made int8, lowered and checked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from documents import follow

from pose.card import read

pytestmark = pytest.mark.minutes


def test_add_a_student(tmp_path: Path) -> None:
    assert follow("add-a-student.md", tmp_path) == 4
    check = json.loads((tmp_path / "check.json").read_text())
    assert check["lowered"]["persons"] == 4
    assert check["lowered"]["fake_quant_px"]["median"] < 0.5
    card = read(tmp_path / "dist" / "SmallStudent-onnx-int8.onnx.card.yaml")
    assert card.student == "SmallStudent"
    assert card.coverage is not None
    assert card.coverage.int8_macs > 0.9  # all but the head
