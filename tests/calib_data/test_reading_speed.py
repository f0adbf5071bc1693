"""Reading many annotations takes little time and memory."""

from __future__ import annotations

import json
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from calib_data import geometry
from calib_data.coco_file import PeopleFile, read_people
from pose.skeleton import COCO_17

COUNT = 3000
SECONDS = 0.6  # of the processor; 150,000 people take 3.6 s
BYTES = 8  # of memory for each byte of the file; the parsed numbers take 6


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """People with polygons of 30 points."""
    rng = np.random.default_rng(0)
    joints = rng.uniform(0, 400, (COUNT, 17, 3)).round()
    joints[..., 2] = rng.integers(0, 3, (COUNT, 17))
    polygons = rng.uniform(0, 400, (COUNT, 60)).round(2).tolist()
    people = [
        {
            "id": number, "image_id": number // 3, "category_id": 1, "iscrowd": 0, "area": 40000.5, "bbox": [1, 2, 300, 350],
            "num_keypoints": int((one[:, 2] > 0).sum()), "keypoints": one.ravel().tolist(), "segmentation": [polygon],
        }
        for number, (one, polygon) in enumerate(zip(joints, polygons, strict=True))
    ]  # fmt: skip
    images = [{"id": n, "file_name": f"{n:012}.jpg", "width": 640, "height": 480} for n in range(COUNT // 3)]
    categories = [{"id": 1, "name": "person", "keypoints": list(COCO_17.joints)}]
    path = tmp_path_factory.mktemp("crowd") / "people.json"
    path.write_text(json.dumps({"images": images, "annotations": people, "categories": categories}))
    return path


def read(path: Path) -> PeopleFile:
    file = read_people(path)
    sizes = {number: (entry.width, entry.height) for number, entry in file.images.items()}
    geometry.repair(file.people, sizes, file.repairs)
    return file


def test_time(crowd: Path) -> None:
    seconds = []
    for _ in range(3):
        start = time.process_time()
        assert len(read(crowd).people) == COUNT
        seconds.append(time.process_time() - start)
    assert min(seconds) < SECONDS


def test_memory(crowd: Path) -> None:
    tracemalloc.start()
    file = read(crowd)
    held, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(file.people) == COUNT
    assert peak < BYTES * crowd.stat().st_size
    assert held < peak / 3, "the parsed file is not kept"
