"""A foreign teacher scored by the command that shows whether its YAML is right."""

from __future__ import annotations

from pathlib import Path

from calib_data.coco import open_data
from edge.teacher import measure
from pose.foreign import load_teacher


def test_movenet_finds_people_in_photos(pose_data: Path) -> None:
    people = open_data(pose_data / "lspet" / "val" / "person_keypoints_val.json", boxes="keypoints")
    result = measure(load_teacher("movenet_lightning", folder=pose_data), people, limit=20)
    assert result["persons"] == 20
    assert len(result["joints"]) == 12
    assert result["pck"] > 75
