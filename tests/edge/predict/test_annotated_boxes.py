"""Boxes of a file of people: the same boxes on the same pixels as `edge.check` takes, however the file is written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from calib_data.coco import read_data
from edge.predict.frames import Frame
from edge.predict.people import Annotated
from edge.predict.sources import find_sources
from pose.errors import InputError
from pose.skeleton import COCO_17

W, H = 48, 32
NAMED = {"name": "person", "keypoints": list(COCO_17.joints)}


def write(folder: Path, orientation: int = 1) -> dict[str, Any]:
    """The parts of a file of two photos with a person each; the photos are written."""
    (folder / "images").mkdir()
    images, people = [], []
    for number in (1, 2):
        exif = Image.Exif()
        exif[0x0112] = orientation
        pixels = np.random.default_rng(number).integers(0, 256, (H, W, 3), np.uint8)
        Image.fromarray(pixels).save(folder / "images" / f"{number}.png", exif=exif)
        images.append({"id": number, "file_name": f"{number}.png", "width": W, "height": H})
        joints = [value for joint in range(17) for value in (5 + joint, 6 + joint, 2)]
        place = {"bbox": [4 + number, 5, 20, 22], "area": 200, "keypoints": joints}
        people.append({"id": number, "image_id": number, "category_id": 1, **place})
    return {"images": images, "annotations": people, "categories": [{"id": 1, **NAMED}]}


def taken(folder: Path, held: dict[str, Any], *names: str, **reading: Any) -> list[tuple[list[int], np.ndarray, np.ndarray]]:
    """Image ids of the people, pixels and boxes of each photo."""
    (folder / "people.json").write_text(json.dumps(held))
    calls = []
    sources = find_sources([str(folder / "images" / name) for name in names] or [str(folder / "images")])
    finder = Annotated(lambda image, boxes: calls.append((image, boxes)), folder / "people.json", sources, **reading)  # type: ignore[arg-type, func-returns-value]
    for source in sources:
        image = finder.photo(source)
        finder.find(Frame(image, 0, 0.0))
        calls[-1] = (list(finder.image_ids), *calls[-1])
    return calls


def doubled(held: dict[str, Any]) -> None:
    held["images"].append({**held["images"][0], "id": 7})
    held["annotations"].append({**held["annotations"][0], "id": 9, "image_id": 7, "bbox": [9, 9, 12, 12]})


def in_fractions(held: dict[str, Any]) -> None:
    for one in held["annotations"]:
        one["bbox"] = (np.array(one["bbox"]) / [W, H, W, H]).tolist()


def of_another_category(held: dict[str, Any]) -> None:
    held["categories"] = [{"id": 1, **NAMED, "name": "pedestrian"}, {"id": 2, "name": "person"}]


def beside_cars(held: dict[str, Any]) -> None:
    held["categories"] = [{"id": 1, **NAMED, "name": "Person"}, {"id": 2, "name": "car"}]
    held["annotations"].append({"id": 8, "image_id": 1, "category_id": 2, "bbox": [1, 1, 9, 9]})


def set_box(box: list[float]) -> Any:
    return lambda held: held["annotations"][0].update(bbox=box)


def set_name(name: str) -> Any:
    return lambda held: held["images"][0].update(file_name=name)


@pytest.mark.parametrize(
    "change",
    [
        in_fractions, doubled, of_another_category, beside_cars, set_box([0, 0, 900_000, 5]), set_box([0, 0, 0, 5]),
        set_box([0, 0, 1]), set_name("images\\1.png"), set_name("C:\\me\\1.png"), set_name("../images/1.png"),
    ],
)  # fmt: skip
def test_boxes_and_pixels_are_those_of_edge_check(change: Any, tmp_path: Path) -> None:
    held = write(tmp_path)
    change(held)
    pictures = taken(tmp_path, held)
    people = read_data(tmp_path / "people.json")
    expected = sorted((people.labels(row).image_id, people.labels(row).box.tolist()) for row in range(len(people)))
    assert sorted((i, box) for ids, _, boxes in pictures for i, box in zip(ids, boxes.tolist(), strict=True)) == expected
    for number, (_, image, _) in enumerate(pictures, 1):
        row = next(row for row in range(len(people)) if people.labels(row).image_id == number)
        assert np.array_equal(image, people.image(row))


@pytest.mark.parametrize("orientation", [3, 6])
def test_turned_photos_are_read_as_the_sizes_or_the_user_say(orientation: int, tmp_path: Path) -> None:
    held = write(tmp_path, orientation)
    shown = np.rot90(np.random.default_rng(1).integers(0, 256, (H, W, 3), np.uint8), {3: 2, 6: -1}[orientation])
    for one in held["images"]:
        one["height"], one["width"] = shown.shape[:2]
    if orientation == 3:
        with pytest.raises(InputError, match="give --exif apply"):
            taken(tmp_path, held)
    exif = "apply" if orientation == 3 else None
    assert np.array_equal(taken(tmp_path, held, exif=exif)[0][1], shown)


def test_boxes_without_joints_and_a_part_of_the_photos(tmp_path: Path) -> None:
    held = write(tmp_path)
    held["categories"] = [{"id": 1, "name": "person"}]
    for one in held["annotations"]:
        del one["keypoints"]
    ((ids, _, boxes),) = taken(tmp_path, held, "2.png")
    assert (ids, boxes.tolist()) == ([2], [[6, 5, 20, 22]])


def test_a_photo_that_may_be_two_images_is_refused_and_its_folder_tells(tmp_path: Path) -> None:
    held = write(tmp_path)
    for one, name in zip(held["images"], ("a/1.png", "b/1.png"), strict=True):
        one["file_name"] = name
    with pytest.raises(InputError, match="both may be it"):
        taken(tmp_path, held, "1.png")
    for part, name in (("a", "1.png"), ("b", "2.png")):
        (tmp_path / "images" / part).mkdir()
        (tmp_path / "images" / name).rename(tmp_path / "images" / part / "1.png")
    assert [ids for ids, _, _ in taken(tmp_path, held)] == [[1], [2]]
