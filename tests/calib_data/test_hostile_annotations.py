"""Annotation files whose values would take all memory, or hours: one line, before they are made."""

from __future__ import annotations

import json
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic_core import from_json

from calib_data import formats
from calib_data.coco_file import read_people
from pose.errors import InputError

COUNT = 20_000
PARTS = {
    "empty lists": "[],", "lists": "[0],", "objects": "{},", "objects of one": '{"a":0},', "integers": "999,",
    "signs": "-9,", "floats": "1.5,", "texts": '"%x",', "bytes": "0,",
}  # fmt: skip


def refused(path: Path, match: str) -> None:
    began = time.process_time()
    with pytest.raises(InputError, match=match) as error:
        read_people(path)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 500
    assert time.process_time() - began < 10


def test_small_text_of_large_values(tmp_path: Path) -> None:
    path = tmp_path / "people.json"
    path.write_bytes(b"[" + b"[]," * 25_000_000 + b"0]")
    refused(path, r"people\.json: its values would take 3\.0 GB of memory, more than 2\.5 GB; leave out")


@pytest.mark.parametrize("part", PARTS)
def test_values_take_no_more_than_is_said(part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = PARTS[part]
    values = [text % number if "%" in text else text for number in range(COUNT)]
    data = f"[{''.join(values)}0]".encode()
    tracemalloc.start()
    held = from_json(data)
    taken = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert len(held) == COUNT + 1
    monkeypatch.setattr(formats, "_MOST_MEMORY", 0.9 * taken)
    (tmp_path / "people.json").write_bytes(data)
    refused(tmp_path / "people.json", "its values would take")


def test_deep_nesting_and_long_numbers(tmp_path: Path) -> None:
    for number, text in enumerate(["[" * 1_000_000, "9" * 1_000_000]):
        path = tmp_path / f"{number}.json"
        path.write_text(text)
        refused(path, f"{number}.json: Invalid JSON")


def annotated(path: Path, joints: int, people: int, **fields: Any) -> Path:
    category = {"id": 1, "name": "person", "keypoints": [f"j{number}" for number in range(joints)]}
    entries = [{"image_id": 1, "category_id": 1, "iscrowd": 1, **fields}] * people
    images = [{"id": 1, "file_name": "a.jpg"}]
    path.write_text(json.dumps({"images": images, "annotations": entries, "categories": [category]}))
    return path


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda path: annotated(path, 100_000, 1), "keypoints: 100,000 joints are more than the 1,000"),
        (lambda path: annotated(path, 1_000, 30_000), "30,000 people of 1,000 joints are too many to read"),
        (lambda path: annotated(path, 0, 1, keypoints=[1] * 30_003), "annotations have 10,001 joints, more than the 1,000"),
        (
            lambda path: path.write_text('{"images":[],"categories":[],"annotations":[' + "0," * 2_000_001 + "0]}"),
            "2,000,002",
        ),
    ],
    ids=["joints", "people of joints", "joints of people", "people"],
)
def test_more_than_any_file_has(make: Callable[[Path], object], match: str, tmp_path: Path) -> None:
    make(tmp_path / "people.json")
    refused(tmp_path / "people.json", match)


def test_a_huge_value_is_not_written_out(tmp_path: Path) -> None:
    path = tmp_path / "people.json"
    path.write_text(json.dumps({"images": [{"id": [1] * 1_000_000}], "annotations": [], "categories": []}))
    refused(path, r"images\[0\]\.id: \[1, 1, 1, 1, 1, 1, \.\.\.\] is no id")
