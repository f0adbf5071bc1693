"""SOURCE of the command line: which files a folder, a pattern and a list on standard input name, and what is left out."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from made_media import picture, write_stream, write_video

from edge.predict.frames import Stream
from edge.predict.outputs import result_paths
from edge.predict.sources import find_sources
from pose.errors import InputError


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def kinds(*places: str | Path) -> dict[str, str]:
    """Name of each file -> photo or video."""
    return {Path(source.place).name: source.kind for source in find_sources(map(str, places))}


def test_a_folder_gives_all_that_opencv_reads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos = ["a.jfif", "b.jpe", "c.JPG"]
    videos = [f"v{suffix}" for suffix in (".ts", ".MTS", ".m2ts", ".3gp", ".flv", ".asf", ".ogv", ".mjpeg", ".mjpg")]
    touch(tmp_path, *photos, *videos, "notes.txt", "k.json", ".DS_Store", ".x.heic", "sub.heic/readme")
    assert kinds(tmp_path) == dict.fromkeys(photos, "photo") | dict.fromkeys(videos, "video")
    assert kinds(tmp_path / "*.jfif") == {"a.jfif": "photo"}
    assert capsys.readouterr().err == ""


def test_photos_that_cannot_be_read_are_named_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    touch(tmp_path / "in", "a.jpg", "b.HEIC", "c.dng", "sub/d.heif", *(f"e{number}.heic" for number in range(200)))
    for place in ("in", "in/*"):
        assert kinds(tmp_path / place) == {"a.jpg": "photo"}
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(f"note: left out of {tmp_path / place}: b.HEIC, c.dng, e0.heic and ")
        assert line.endswith("raw photos cannot be read here; convert them to JPEG)")


@pytest.mark.parametrize("place", ["", "*"])
def test_a_folder_of_nothing_else_is_refused_with_the_reason(place: str, tmp_path: Path) -> None:
    touch(tmp_path, "b.HEIC")
    with pytest.raises(InputError, match=r"no photo .*; left out of .*: b\.HEIC \(HEIC, .* convert them to JPEG\)"):
        find_sources([str(tmp_path / place)])


@pytest.mark.parametrize("suffix", [".ts", ".mts", ".m2ts", ".3gp", ".asf"])
def test_every_frame_of_such_a_video_is_read(suffix: str, tmp_path: Path) -> None:
    write_video(tmp_path / f"a{suffix}", [picture(number) for number in range(5)])
    with Stream(*find_sources([str(tmp_path)])) as stream:
        assert len(list(stream)) == 5


@pytest.mark.parametrize("suffix", [".mjpeg", ".mjpg"])
def test_a_stream_of_jpegs_is_a_video(suffix: str, tmp_path: Path) -> None:
    path = write_stream(tmp_path / f"a{suffix}", [picture(number) for number in range(5)])
    with Stream(*find_sources([str(path)])) as stream:
        assert len(list(stream)) == 5


def test_typescript_is_no_video(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "empty.ts")
    (tmp_path / "app.ts").write_text("export const greeting = 'Grüße';\n" * 100, encoding="utf-8")
    (tmp_path / "lib.mts").write_text("export {};\n")
    for place in ("", "*"):
        assert kinds(tmp_path / place) == {"a.jpg": "photo", "empty.ts": "video"}


def test_a_photo_is_not_drawn_into_a_video(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg")
    with pytest.raises(InputError, match=r"x\.ts: of a photo the result is one of"):
        result_paths(find_sources([str(tmp_path / "a.jpg")]), tmp_path / "x.ts", None)


@pytest.mark.parametrize("pattern", ["set[1]/*.jpg", "set[1]/**/*.jpg", "s*[1]/a.*"])
def test_brackets_of_a_folder_are_taken_as_they_stand_where_nothing_matches(pattern: str, tmp_path: Path) -> None:
    touch(tmp_path, "set[1]/a.jpg")
    (source,) = find_sources([str(tmp_path / pattern)])
    assert source.place == str(tmp_path / "set[1]" / "a.jpg")
    touch(tmp_path, "set1/a.png", "set1/a.jpg")
    places = {source.place for source in find_sources([str(tmp_path / pattern)])}
    assert all(Path(place).parent.name == "set1" for place in places), "a pattern comes first"


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252"])
def test_a_list_as_powershell_and_people_write_it(encoding: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(touch(tmp_path, "a.jpg", "b c.jpg", "#d.jpg", '"e".jpg', '"f.jpg"', "#g.jpg"))
    lines = ["a.jpg", "# comment " + 300 * "x", "  #", '"b c.jpg"', "", '""', "#d.jpg", '"e".jpg', '"f.jpg"', '"#g.jpg"']
    data = b"\xef\xbb\xbf" + "\r\n".join(lines).encode()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data), encoding))
    places = [source.place for source in find_sources(["-"])]
    assert places == ["a.jpg", "b c.jpg", "#d.jpg", '"e".jpg', '"f.jpg"', "#g.jpg"]


def test_a_list_that_names_what_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO('"missing.jpg"\n'))
    with pytest.raises(InputError, match=r"camera missing\.jpg; check the path"):
        find_sources(["-"])
