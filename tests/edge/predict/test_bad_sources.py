"""Photos, videos and cameras as they come: what is unusual is read, what is broken is named and the rest is done."""

from __future__ import annotations

import io
import json
import os
import resource
import socket
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from made_media import picture, read_video, write_video

from calib_data.photos import read_photo
from edge.predict.__main__ import main
from edge.predict.frames import Stream
from edge.predict.outputs import VideoFile
from edge.predict.sources import Source, find_sources
from pose.errors import BackendError, InputError


def save(path: Path, image: np.ndarray) -> Path:
    assert cv2.imwrite(str(path), cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if image.ndim == 3 else image)
    return path


def with_orientation(jpeg: bytes, orientation: int) -> bytes:
    """A JPEG with an EXIF block that says how it is turned."""
    entry = b"\x01\x12\x00\x03\x00\x00\x00\x01" + bytes([0, orientation, 0, 0])
    exif = b"Exif\x00\x00MM\x00\x2a\x00\x00\x00\x08\x00\x01" + entry + b"\x00\x00\x00\x00"
    return jpeg[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + jpeg[2:]


def test_no_camera() -> None:
    with pytest.raises(BackendError, match="no camera 987"):
        Stream(Source("camera", "987", Path("camera987")))


def test_no_network_camera() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"rtsp://user:secret@127.0.0.1:{free.getsockname()[1]}/live"
    (source,) = find_sources([address])
    assert "secret" not in str(source.name)
    with pytest.raises(BackendError, match="cannot be opened"):
        Stream(source)


def test_a_video_cut_in_the_middle_is_done_until_there(tiny_onnx: Path, tmp_path: Path) -> None:
    whole = write_video(tmp_path / "whole.avi", [picture(number) for number in range(40)])
    cut = tmp_path / "cut.avi"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    with pytest.raises(InputError, match="truncated"):
        main([str(cut)], artefact=str(tiny_onnx), out=tmp_path / "drawn.mp4", json=tmp_path / "found.json")
    frames = len(read_video(tmp_path / "drawn.mp4"))
    assert 5 < frames < 35
    assert len(json.loads((tmp_path / "found.json").read_text())) == frames


@pytest.mark.parametrize("name", ["empty.mp4", "text.mp4", "photo.avi"])
def test_what_is_no_video_is_named(name: str, tmp_path: Path) -> None:
    content = {"empty.mp4": b"", "text.mp4": b"no video at all" * 100, "photo.avi": b"RIFF\0\0\0\0AVI LIST"}[name]
    (tmp_path / name).write_bytes(content)
    (source,) = find_sources([str(tmp_path / name)])
    with pytest.raises(InputError, match=name), Stream(source) as stream:
        list(stream)


def test_frames_of_several_sizes_become_a_video_of_one(tmp_path: Path) -> None:
    sizes = [(65, 49), (96, 64), (32, 100), (65, 49)]
    with VideoFile(tmp_path / "out.mp4", 25) as video:
        for width, height in sizes:
            video(np.full((height, width, 3), 200, np.uint8))
    frames = read_video(tmp_path / "out.mp4")
    assert [frame.shape for frame in frames] == [(50, 66, 3)] * 4
    assert frames[2][:, 2:10].mean() < 30  # beside a narrow frame it is black
    assert frames[2][:, 28:38].mean() > 170


def test_a_stream_that_changes_its_size_is_read(tmp_path: Path, tiny_onnx: Path) -> None:
    jpegs = [cv2.imencode(".jpg", picture(n, *size))[1].tobytes() for n, size in enumerate([(96, 64)] * 3 + [(64, 96)] * 3)]
    (tmp_path / "turned.mjpeg").write_bytes(b"".join(jpegs))
    (tmp_path / "turned.mjpeg").rename(tmp_path / "turned.mkv")  # the decoder looks at the content
    main([str(tmp_path / "turned.mkv")], artefact=str(tiny_onnx), out=tmp_path / "out.mp4")
    assert len(read_video(tmp_path / "out.mp4")) == 6


def test_gray_and_16_bit_photos_look_the_same(tmp_path: Path) -> None:
    gray = picture(3)[..., 0]
    eight, sixteen = save(tmp_path / "8.png", gray), save(tmp_path / "16.png", gray.astype(np.uint16) * 257)
    colour = save(tmp_path / "16c.png", picture(4).astype(np.uint16) * 257)
    assert np.array_equal(read_photo(eight), np.dstack([gray] * 3))
    assert np.array_equal(read_photo(sixteen), np.dstack([gray] * 3))
    assert np.array_equal(read_photo(colour), picture(4))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photo_is_turned_as_its_exif_says(orientation: int, tmp_path: Path) -> None:
    image = picture(5)
    encoded = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 98])[1].tobytes()
    (tmp_path / "photo.jpg").write_bytes(with_orientation(encoded, orientation))
    upright = read_photo(tmp_path / "photo.jpg", as_shown=True)
    turns = {1: image, 2: image[:, ::-1], 3: image[::-1, ::-1], 4: image[::-1], 5: image.transpose(1, 0, 2),
             6: np.rot90(image, -1), 7: image[::-1, ::-1].transpose(1, 0, 2), 8: np.rot90(image)}  # fmt: skip
    assert np.abs(upright.astype(int) - turns[orientation]).mean() < 4
    assert read_photo(tmp_path / "photo.jpg").shape == image.shape, "annotations are made on the pixels as stored"


def test_a_cmyk_photo_has_its_colours(tmp_path: Path) -> None:
    pillow = pytest.importorskip("PIL.Image", reason="pillow writes the CMYK photo")
    image = picture(6)
    pillow.fromarray(image).convert("CMYK").save(tmp_path / "cmyk.jpg", quality=98)
    assert np.abs(read_photo(tmp_path / "cmyk.jpg").astype(int) - image).mean() < 8


def test_an_animated_gif_is_a_video(tiny_onnx: Path, tmp_path: Path) -> None:
    animation = cv2.Animation()
    animation.frames = [picture(number) for number in range(5)]
    animation.durations = [100] * 5
    assert cv2.imwriteanimation(str(tmp_path / "moving.gif"), animation)
    main([str(tmp_path / "moving.gif")], artefact=str(tiny_onnx), out=tmp_path / "drawn")
    assert len(read_video(tmp_path / "drawn" / "moving.mp4")) == 5


@pytest.mark.parametrize("place", ["folder", "folder/*.jpg", "missing.jpg", "http:/", "-5"])
def test_a_place_without_a_photo_is_refused(place: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "notes.txt").write_text("no photo")
    with pytest.raises(InputError, match=r"holds no photo|no photo or video matches|there is no file"):
        find_sources([str(tmp_path / place)])


def test_no_source_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="name photos"):
        find_sources([])
    monkeypatch.setattr("sys.stdin", io.StringIO("\n\n"))
    with pytest.raises(InputError, match="name photos"):
        find_sources(["-"])


def test_one_bad_file_among_many_is_named_and_the_rest_is_done(
    tiny_onnx: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    for number in range(30):
        save(folder / f"{number:02}.png", picture(number))
    save(folder / "more" / "00.png", picture(99))
    (folder / "13.png").write_bytes((folder / "13.png").read_bytes()[:200])
    with pytest.raises(InputError, match=r"1 of 31 sources failed, the first is 13\.png") as failure:
        main([str(folder)], artefact=str(tiny_onnx), out=tmp_path / "drawn", json=tmp_path / "found.json")
    assert failure.value.exit_code == 2
    assert "13.png" in capsys.readouterr().err
    drawn = {path.relative_to(tmp_path / "drawn").as_posix() for path in (tmp_path / "drawn").rglob("*.png")}
    assert drawn == {f"{number:02}.png" for number in range(30) if number != 13} | {"more/00.png"}
    assert len(json.loads((tmp_path / "found.json").read_text())) == 30


def write(path: Path, images: np.ndarray) -> None:
    with VideoFile(path, 25) as video:
        for image in images:
            video(image)


@pytest.mark.parametrize("suffix", [".avi", ".mp4", ".mkv", ".webm"])
@pytest.mark.parametrize("room", [15_000, 100_000])
def test_a_full_disk_is_said_and_nothing_half_written_is_left(suffix: str, room: int, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (20, 120, 160, 3), np.uint8)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
    try:
        with pytest.raises(InputError, match="is the disk full"):
            write(tmp_path / f"out{suffix}", noise)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list(tmp_path.iterdir())
    write(tmp_path / f"out{suffix}", noise)
    assert len(read_video(tmp_path / f"out{suffix}")) == 20


def test_no_room_for_the_json(tiny_onnx: Path, tmp_path: Path) -> None:
    save(tmp_path / "photo.png", picture())
    with pytest.raises(InputError, match="No space left"):
        main([str(tmp_path / "photo.png")], artefact=str(tiny_onnx), json=Path("/dev/full"))


def test_a_frame_without_a_person_has_no_keypoints(tmp_path: Path) -> None:
    """Of the bundled student, whose scores say so: plain colours, a drawn room, noise."""
    from calib_data.synthetic.scene import background

    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (120, 160, 3), np.uint8)
    for number, image in enumerate([np.zeros((90, 120, 3), np.uint8), np.full((90, 120, 3), 255, np.uint8), noise]):
        save(tmp_path / f"{number}.png", image)
    save(tmp_path / "room.png", background(np.random.default_rng(0)))
    main([str(tmp_path)], json=tmp_path / "out" / "found.json")
    assert json.loads((tmp_path / "out" / "found.json").read_text()) == []
    main([str(tmp_path)], boxes="whole", json=tmp_path / "out" / "found.json")
    assert json.loads((tmp_path / "out" / "found.json").read_text()) == []


def test_results_stay_where_no_source_can_be_read(tiny_onnx: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.jpg").write_text("x")
    (tmp_path / "k.json").write_text("precious")
    with pytest.raises(InputError, match="not readable"):
        main([str(tmp_path / "bad.jpg")], artefact=str(tiny_onnx), json=tmp_path / "k.json")
    assert (tmp_path / "k.json").read_text() == "precious"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.jpg", "k.json"]


def test_a_pipe_is_no_video(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "v.mp4")
    with pytest.raises(InputError, match=r"v\.mp4: it is a pipe, socket or device"):
        Stream(*find_sources([str(tmp_path / "v.mp4")]))


def test_a_video_whose_name_is_no_utf_8_is_refused_and_opencv_does_not_crash(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", [picture()] * 2)
    place = os.fsdecode(os.fsencode(tmp_path) + b"/\xff.mp4")
    (tmp_path / "a.mp4").rename(place)
    with pytest.raises(InputError, match="no UTF-8, which OpenCV cannot open; rename it"):
        Stream(Source("video", place, Path("a.mp4")))
    with pytest.raises(InputError, match="no UTF-8"), VideoFile(Path(place), 30) as video:
        video(picture())


def test_heic_is_called_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "a.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(100))
    with pytest.raises(InputError, match="is HEIC, which cannot be read here; convert it to JPEG"):
        Stream(Source("photo", str(tmp_path / "a.heic"), Path("a.heic")))


def test_thousands_of_photos_of_one_name_are_named_at_once(tmp_path: Path) -> None:
    photos = [tmp_path / folder / "a.jpg" for folder in map(str, range(2000))]
    for photo in photos:
        photo.parent.mkdir()
        photo.touch()
    start = time.monotonic()
    names = [source.name for source in find_sources(map(str, photos))]
    assert time.monotonic() - start < 5  # it was half a minute, before a word was said
    assert names[:3] == [Path("a.jpg"), Path("a-2.jpg"), Path("a-3.jpg")]
    assert len(set(names)) == len(photos)


def test_a_small_file_of_large_frames_is_refused(tmp_path: Path) -> None:
    screen = b"GIF89a" + (16_000).to_bytes(2, "little") * 2 + b"\x80\0\0" + bytes(6)
    frame = b"\x2c\0\0\0\0\1\0\1\0\0\2\2\x44\1\0"  # of one pixel
    (tmp_path / "large.gif").write_bytes(screen + 50 * frame + b"\x3b")
    with pytest.raises(InputError, match=r"large\.gif has frames of more than"):
        Stream(*find_sources([str(tmp_path / "large.gif")]))


def test_a_video_that_names_other_files_is_refused(tmp_path: Path) -> None:
    write_video(tmp_path / "private.avi", [picture()] * 3)
    (tmp_path / "list.mp4").write_text("ffconcat version 1.0\nfile private.avi\n")
    with pytest.raises(InputError, match="a list that names other files"):
        Stream(*find_sources([str(tmp_path / "list.mp4")]))


def test_a_video_whose_name_looks_like_an_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_video(tmp_path / "in.avi", [picture()] * 3).rename(tmp_path / "12:30.avi")
    monkeypatch.chdir(tmp_path)
    with Stream(*find_sources(["12:30.avi"])) as stream:
        assert len(list(stream)) == 3


def test_a_list_of_names_that_are_no_utf8(tmp_path: Path) -> None:
    name = os.fsencode(tmp_path) + b"/\xe4.png"
    Path(os.fsdecode(name)).write_bytes(save(tmp_path / "a.png", picture()).read_bytes())
    command = [sys.executable, "-m", "edge.predict", "-", "--json", str(tmp_path / "out.json")]
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8:strict"}  # as in a locale of UTF-8
    done = subprocess.run(command, input=name, env=environment, capture_output=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, b"")


def test_the_list_on_standard_input_is_not_written_over(tmp_path: Path) -> None:
    names = tmp_path / "names.txt"
    names.write_text("missing.jpg\n")
    command = [sys.executable, "-m", "edge.predict", "-", "--json", str(names)]
    with open(names) as file:
        done = subprocess.run(command, stdin=file, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2
    assert "names.txt is standard input" in done.stderr


def test_links_to_a_folder_above_are_not_followed(tmp_path: Path) -> None:
    for name in ("a.jpg", "x/b.jpg", "x/y/c.jpg", ".hidden/d.jpg", "x/e.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    for link in ("one", "two"):
        (tmp_path / "x" / link).symlink_to(tmp_path)
    script = (
        "import sys; from edge.predict.sources import find_sources; print([s.place for s in find_sources(sys.argv[1:])])"
    )
    every = ["a.jpg", "x/b.jpg", "x/y/c.jpg"]
    for pattern, found in {"**": every, "**/*.jpg": every, "x/**/y/**/*.jpg": every[2:]}.items():
        command = [sys.executable, "-c", script, str(tmp_path / pattern)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.stdout.strip() == str([str(tmp_path / name) for name in found])
