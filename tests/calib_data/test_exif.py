"""Photos with an EXIF orientation: whether it is applied follows from the sizes, or is asked for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from PIL.Image import Exif

from calib_data.coco import CocoPeople
from calib_data.photo_header import read_header, upright
from calib_data.photos import Photos, read_photo
from pose.errors import InputError
from pose.skeleton import COCO_17

W, H = 24, 16  # as stored
TURNED, SAME_SIZE = (5, 6, 7, 8), (2, 3, 4)


def stored(seed: int = 0, size: tuple[int, int] = (W, H)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)


def write(
    folder: Path, orientations: dict[str, int], sizes: dict[str, Any] | None = None, side: tuple[int, int] = (W, H)
) -> Path:
    """A file of one person in each photo, and the photos; `sizes`: what the file says of them."""
    (folder / "images").mkdir()
    images, people = [], []
    for number, (name, orientation) in enumerate(orientations.items(), 1):
        exif = Exif()
        exif[0x0112] = orientation
        Image.fromarray(stored(number, side)).save(folder / "images" / name, exif=exif)
        width, height = (sizes or {}).get(name, side)
        images.append({"id": number, "file_name": name, "width": width, "height": height})
        place = {"bbox": [2, 2, 10, 10], "area": 50, "keypoints": [3, 3, 2] * 17}
        people.append({"id": number, "image_id": number, "category_id": 1, **place})
    categories = [{"id": 1, "name": "person", "keypoints": list(COCO_17.joints)}]
    path = folder / "people.json"
    path.write_text(json.dumps({"images": images, "annotations": people, "categories": categories}))
    return path


def opened(path: Path, **options: Any) -> CocoPeople:
    return CocoPeople(path, path.parent / "images", **options)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_photo_is_what_a_viewer_shows(orientation: int, tmp_path: Path) -> None:
    """Pillow and OpenCV agree on what an orientation means, and so do we."""
    import cv2

    write(tmp_path, {"1.png": orientation})
    path = tmp_path / "images" / "1.png"
    assert (read_header(path).size, read_header(path).orientation) == ((W, H), orientation)
    shown = upright(stored(1), orientation)
    assert np.array_equal(shown, cv2.imread(str(path))[..., ::-1])
    assert read_header(path).shown_size == (shown.shape[1], shown.shape[0])


@pytest.mark.parametrize("orientation", TURNED)
def test_sizes_decide_where_they_tell(orientation: int, tmp_path: Path) -> None:
    """The same photo, once annotated as it is stored, once as it is shown; the flag changes nothing."""
    for name, size, turn in (("stored", (W, H), 1), ("shown", (H, W), orientation)):
        (tmp_path / name).mkdir()
        path = write(tmp_path / name, {"1.png": orientation}, {"1.png": size})
        for exif in (None, "apply", "ignore"):
            assert np.array_equal(opened(path, exif=exif).image(0), upright(stored(1), turn))


@pytest.mark.parametrize("orientation", SAME_SIZE)
def test_a_half_turn_is_asked_for(orientation: int, tmp_path: Path) -> None:
    path = write(tmp_path, {"1.png": 1, "2.png": orientation, "3.png": orientation})
    with pytest.raises(InputError, match=r"2 of 3 photos \(first 2.png\) carry .*--exif apply.*--exif ignore"):
        opened(path)
    assert np.array_equal(opened(path, exif="ignore").image(1), stored(2))
    applied = opened(path, exif="apply")
    assert np.array_equal(applied.image(1), upright(stored(2), orientation))
    assert np.array_equal(applied.image(0), stored(1))
    assert [applied.turn(number) for number in (1, 2, 3)] == [1, orientation, orientation]


@pytest.mark.parametrize(("size", "turn"), [((W, H), 1), ((H, W), 3)])
def test_photos_whose_sizes_tell_decide_for_the_others(size: tuple[int, int], turn: int, tmp_path: Path) -> None:
    path = write(tmp_path, {"1.png": 6, "2.png": 3}, {"1.png": size})
    assert np.array_equal(opened(path).image(1), upright(stored(2), turn))


def test_square_photos_and_missing_sizes_tell_nothing(tmp_path: Path) -> None:
    for name, options in (("square", {"side": (W, W)}), ("missing", {"sizes": {"1.png": (None, None)}})):
        (tmp_path / name).mkdir()
        path = write(tmp_path / name, {"1.png": 6}, **options)
        with pytest.raises(InputError, match=r"1 of 1 photos .* carry an EXIF orientation"):
            opened(path)
        side = options.get("side", (W, H))
        assert np.array_equal(opened(path, exif="apply").image(0), upright(stored(1, side), 6))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_tiff_is_turned_once_or_not_at_all(orientation: int, tmp_path: Path) -> None:
    path = write(tmp_path, {"1.tiff": orientation}, {"1.tiff": (0, 0)})
    header = read_header(tmp_path / "images" / "1.tiff")
    assert (header.size, header.orientation) == ((W, H), orientation)
    assert np.array_equal(opened(path, exif="ignore").image(0), stored(1))
    assert np.array_equal(opened(path, exif="apply").image(0), upright(stored(1), orientation))
    assert np.array_equal(read_photo(tmp_path / "images" / "1.tiff", as_shown=True), upright(stored(1), orientation))


def test_a_missing_size_is_that_of_the_turned_photo(tmp_path: Path) -> None:
    path = write(tmp_path, {"1.png": 6}, {"1.png": (0, 0)})
    assert opened(path, exif="apply").size(1) == (H, W)
    assert opened(path, exif="ignore").size(1) == (W, H)


def test_a_photo_of_another_size_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, {"1.png": 6}, {"1.png": (W + 1, H)})
    with pytest.raises(InputError, match=r"1.png is .*, the json says 25 x 16; are they of one data set"):
        opened(path, exif="apply").image(0)


@pytest.mark.parametrize("brand", [b"heic", b"mif1", b"hevx"])
def test_heic_is_to_be_converted(brand: bytes, tmp_path: Path) -> None:
    path = write(tmp_path, {"1.png": 1})
    (tmp_path / "images" / "1.png").write_bytes(b"\0\0\0\x18ftyp" + brand + b"\0" * 40)
    with pytest.raises(InputError, match=r"1.png is HEIC, which cannot be read here; convert it to JPEG"):
        opened(path)


def test_an_unreadable_file_that_is_named_heic_too(tmp_path: Path) -> None:
    path = write(tmp_path, {"1.png": 1})
    path.write_text(path.read_text().replace("1.png", "1.HEIC"))
    (tmp_path / "images" / "1.png").rename(tmp_path / "images" / "1.HEIC")
    assert len(opened(path)) == 1, "a PNG with a wrong name"
    (tmp_path / "images" / "1.HEIC").write_bytes(b"what a phone wrote")
    with pytest.raises(InputError, match="convert it to JPEG"):
        opened(path)


def test_a_header_that_cannot_be_read_is_left_to_the_decoder(tmp_path: Path) -> None:
    path = write(tmp_path, {"1.png": 1})
    for data in (b"no image", (tmp_path / "images" / "1.png").read_bytes()[:20], b"\xff\xd8\xff\xe1\xff\xffExif\0\0II*\0"):
        (tmp_path / "images" / "1.png").write_bytes(data)
        with pytest.raises(InputError, match="not readable"):
            opened(path).image(0)
    held = json.loads(path.read_text())
    del held["images"][0]["width"]
    path.write_text(json.dumps(held))
    with pytest.raises(InputError, match="no size in the annotations, and is not readable itself"):
        opened(path)


def test_photos_without_a_survey_are_as_stored(tmp_path: Path) -> None:
    path = write(tmp_path, {"1.png": 6})
    entry = opened(path).file.images[1]
    assert np.array_equal(Photos(tmp_path / "images").read(entry), stored(1))
