"""Photos as viewers show them: how they are turned, and what the user is told of those that are read in part."""

from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np
import pytest
from made_media import picture
from PIL import Image

from calib_data import photos
from calib_data.photo_header import upright
from calib_data.photos import decode_photo, read_photo

ORIENTATION, UNUSED = 0x0112, 0x0113  # the EXIF tag, and one that Pillow leaves as it is


@pytest.fixture(autouse=True)
def nothing_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(photos, "_noted", set())


def stored_for(image: np.ndarray, orientation: int) -> np.ndarray:
    """The pixels that an orientation turns into the image."""
    return np.ascontiguousarray(upright(image, {6: 8, 8: 6}.get(orientation, orientation)))


def encoded(image: np.ndarray, kind: str, tags: dict[int, int]) -> bytes:
    exif, file = Image.Exif(), io.BytesIO()
    for tag, value in tags.items():
        exif[tag] = value
    Image.fromarray(image).save(file, kind, exif=exif, quality=95)
    return file.getvalue()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_a_turned_photo_of_every_format_is_shown_upright(kind: str, orientation: int) -> None:
    image = picture(5)
    stored = stored_for(image, orientation)
    data = encoded(stored, kind, {ORIENTATION: orientation})
    shown = decode_photo(data, "photo", as_shown=True)
    assert shown.shape == image.shape
    assert np.abs(shown.astype(int) - image).mean() < 5
    assert np.abs(decode_photo(data, "photo").astype(int) - stored).mean() < 5


@pytest.mark.parametrize("own", [1, 6])
def test_an_avif_is_turned_once_and_by_its_own_orientation(own: int) -> None:
    """Some programs write the EXIF orientation beside it, or leave that of the photo that they converted."""
    image = picture(5)
    data = encoded(stored_for(image, own), "AVIF", {ORIENTATION: own, UNUSED: 6})
    entry = UNUSED.to_bytes(2, "little"), ORIENTATION.to_bytes(2, "little")
    if entry[0] + b"\x03\0" not in data:  # big-endian
        entry = UNUSED.to_bytes(2, "big"), ORIENTATION.to_bytes(2, "big")
    assert data.count(entry[0]) == 1
    data = data.replace(*entry)
    shown = decode_photo(data, "photo", as_shown=True)
    assert shown.shape == image.shape
    assert np.abs(shown.astype(int) - image).mean() < 5


def test_a_photo_of_12_bits_in_16_is_said_to_be_dark_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a.png", "b.tif"):
        cv2.imwrite(str(tmp_path / name), picture(3).astype(np.uint16) * 16)
    assert read_photo(tmp_path / "a.png").max() == 15
    read_photo(tmp_path / "b.tif", as_shown=True)
    (line,) = capsys.readouterr().err.splitlines()
    brightest = 16 * int(picture(3).max())
    assert f"a.png has 16 bits and no value above {brightest} of 65535: it is read as nearly black" in line
    assert "if it holds 12 bits, stretch it to 16" in line


@pytest.mark.parametrize(("factor", "kind"), [(257, np.uint16), (0, np.uint16), (0.05, np.uint8)])
def test_other_photos_are_not(factor: float, kind: type, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), (picture(3).astype(float) * factor).astype(kind))
    read_photo(tmp_path / "a.png")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("kind", ["WEBP", "PNG", "AVIF"])
def test_of_an_animation_the_number_of_pictures_is_said_once(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    first, *others = [Image.fromarray(picture(number)) for number in range(5)]
    file, still = io.BytesIO(), io.BytesIO()
    first.save(file, kind, save_all=True, append_images=others, duration=100)
    first.save(still, kind)
    decode_photo(still.getvalue(), "still", as_shown=True)
    assert capsys.readouterr().err == ""
    for _ in range(2):
        image = decode_photo(file.getvalue(), "moving", as_shown=True)
    assert np.abs(image.astype(int) - picture(0)).mean() < 12
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("note: image moving is animated: only the first of its 5 pictures is read; ")
