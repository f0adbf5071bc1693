"""`python -m edge.predict`: what it writes, whose box it takes, and how it ends."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from made_media import picture, read_video, write_video
from people_file import person, write_people
from pycocotools.coco import COCO

from calib_data.coco import open_data
from edge import run
from edge.evaluate.answers import answer
from edge.predict.__main__ import main
from pose.errors import InputError
from pose.skeleton import COCO_17

ROOT = Path(__file__).parents[3]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(3):
        cv2.imwrite(str(folder / f"{number}.png"), cv2.cvtColor(picture(number), cv2.COLOR_RGB2BGR))
    return folder


@pytest.fixture
def people(tmp_path: Path) -> Path:
    """A COCO file of three photos with a person each."""
    joints = [(20 + joint, 20 + joint) for joint in range(17)]
    samples = [person(picture(number), (10.5 + number, 7, 40.25, 50), joints) for number in range(3)]
    return write_people(tmp_path / "people.json", tmp_path / "images", samples)


def test_the_json_is_one_of_coco_results(tiny_onnx: Path, people: Path, tmp_path: Path) -> None:
    main([str(tmp_path / "images")], artefact=str(tiny_onnx), boxes=str(people), json=tmp_path / "found.json")
    results = COCO(str(people)).loadRes(str(tmp_path / "found.json"))
    assert sorted(entry["image_id"] for entry in results.dataset["annotations"]) == [1, 2, 3]
    assert {len(entry["keypoints"]) for entry in results.dataset["annotations"]} == {3 * len(COCO_17)}


def test_coordinates_are_those_of_edge_check_to_the_last_digit(tiny_onnx: Path, people: Path, tmp_path: Path) -> None:
    main([str(tmp_path / "images")], artefact=str(tiny_onnx), boxes=str(people), json=tmp_path / "found.json")
    runner = run.open(tiny_onnx)
    scene, answers = answer({"lowered": runner}, runner.card.spec, open_data(people))
    checked = scene.in_image(answers["lowered"].coords)
    for entry in json.loads((tmp_path / "found.json").read_text()):
        triples = np.array(entry["keypoints"]).reshape(-1, 3)
        assert np.array_equal(triples[:, :2], checked[entry["image_id"] - 1])
        assert np.array_equal(triples[:, 2], answers["lowered"].scores[entry["image_id"] - 1])


def test_a_photo_that_the_annotations_lack_or_that_has_another_size_is_named(
    tiny_onnx: Path, people: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cv2.imwrite(str(tmp_path / "images" / "4.png"), picture(4))
    cv2.imwrite(str(tmp_path / "images" / "2.png"), picture(2, 50, 50))
    with pytest.raises(InputError, match="2 of 4 sources"):
        main([str(tmp_path / "images")], artefact=str(tiny_onnx), boxes=str(people), json=tmp_path / "found.json")
    said = capsys.readouterr().err
    assert "2.png is 50 x 50" in said
    assert "4.png: " in said
    assert len(json.loads((tmp_path / "found.json").read_text())) == 2


def test_the_json_names_the_photo_itself_where_several_have_one_name(
    tiny_onnx: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names = ["d1/1.png", "d2/1.png", "d2/1-2.png"]
    for number, name in enumerate(names):
        Path(name).parent.mkdir(exist_ok=True)
        cv2.imwrite(name, picture(number))
    main(names, artefact=str(tiny_onnx), boxes="whole", json=Path("keypoints.json"))
    assert [entry["file_name"] for entry in json.loads(Path("keypoints.json").read_text())] == names


def test_annotated_boxes_are_for_photos(tiny_onnx: Path, people: Path, tmp_path: Path) -> None:
    video = write_video(tmp_path / "in.avi", [picture()])
    with pytest.raises(InputError, match="is for photos"):
        main([str(video)], artefact=str(tiny_onnx), boxes=str(people))


def test_drawn_pictures_keep_their_size_and_format(tiny_onnx: Path, photos: Path, tmp_path: Path) -> None:
    main([str(photos), str(photos / "0.png")], artefact=str(tiny_onnx), out=tmp_path / "drawn")
    drawn = sorted((tmp_path / "drawn").iterdir())
    assert [path.name for path in drawn] == ["0-2.png", "0.png", "1.png", "2.png"]
    image = cv2.imread(str(drawn[1]))
    assert image.shape == picture().shape
    assert (image != cv2.imread(str(photos / "0.png"))).any()


def test_the_summary_counts_in_words(
    tiny_onnx: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for count, words in ((1, "1 frame, 1 person; "), (2, "2 frames, 2 people; ")):
        main(
            [str(photos / f"{n}.png") for n in range(count)],
            artefact=str(tiny_onnx),
            boxes="whole",
            json=tmp_path / "found.json",
        )
        assert capsys.readouterr().out.startswith(words)


def test_two_precisions_are_drawn_side_by_side_with_the_pixels_between(
    tiny_onnx: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main([str(photos / "0.png")], artefact=str(tiny_onnx), compare="fp32", boxes="whole", out=tmp_path / "both.png")
    height, width = picture().shape[:2]
    assert cv2.imread(str(tmp_path / "both.png")).shape == (height, 2 * width + 4, 3)
    printed = capsys.readouterr().out
    (median,) = map(float, re.findall(r"median ([\d.]+)", printed))
    assert median == pytest.approx(0.1 * 2**0.5 * 1.25 * width, abs=0.01)  # the twin's shift, of a crop 1.25 times it
    with pytest.raises(InputError, match="is int8 itself"):
        main([str(photos / "0.png")], artefact=str(tiny_onnx), compare="int8")


def test_frames_of_a_video_are_numbered_and_timed(tiny_onnx: Path, tmp_path: Path) -> None:
    video = write_video(tmp_path / "in.avi", [picture(number) for number in range(6)], fps=20)
    main([str(video)], artefact=str(tiny_onnx), out=tmp_path / "drawn.mp4", json=tmp_path / "found.json")
    found = json.loads((tmp_path / "found.json").read_text())
    assert [(entry["frame"], entry["seconds"], entry["track_id"]) for entry in found] == [(n, n / 20, 1) for n in range(6)]
    assert len(read_video(tmp_path / "drawn.mp4")) == 6


def test_sources_are_listed_on_standard_input(
    tiny_onnx: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{photos}/0.png\n\n{photos}/2.png\n"))
    main(["-"], artefact=str(tiny_onnx), out=tmp_path / "drawn")
    assert sorted(path.name for path in (tmp_path / "drawn").iterdir()) == ["0.png", "2.png"]


@pytest.mark.parametrize("out", ["photos", "photos/0.png", "photos/.."])
def test_no_source_is_written_over(out: str, tiny_onnx: Path, photos: Path, tmp_path: Path) -> None:
    before = (photos / "0.png").read_bytes()
    source = photos if out == "photos" else photos / "0.png"
    target = tmp_path / out if out != "photos/.." else photos
    with pytest.raises(InputError, match="would write over it"):
        main([str(source)], artefact=str(tiny_onnx), out=target)
    assert (photos / "0.png").read_bytes() == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"out": Path("drawn.png")}, "name a folder"),
        ({"artefact": "missing.tflite"}, "no artefact missing.tflite"),
        ({"target": "abacus"}, "no target 'abacus'"),
        ({"target": "onnx"}, "was made for one target already"),
        ({"boxes": "nothing.json"}, "cannot read nothing.json"),
        ({"exif": "apply"}, "are of annotated boxes"),
        ({"show": True}, "--show: "),
    ],
)
def test_wrong_options(options: dict, message: str, tiny_onnx: Path, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    with pytest.raises(InputError, match=message):
        main([str(photos)], **{"artefact": str(tiny_onnx), **options})


def test_a_folder_of_artefacts_is_no_artefact(tiny_onnx: Path, photos: Path) -> None:
    with pytest.raises(InputError, match=rf"is a folder of artefacts; name one of them: .*{tiny_onnx.name}"):
        main([str(photos)], artefact=str(tiny_onnx.parent))


def test_ctrl_c_leaves_a_video_that_plays_and_a_json_that_is_whole(tiny_onnx: Path, tmp_path: Path) -> None:
    video = write_video(tmp_path / "in.avi", [picture(0, 640, 480), picture(1, 640, 480)] * 200)
    names = ["--artefact", tiny_onnx, "--out", tmp_path / "drawn.mp4", "--json", tmp_path / "found.json", "--boxes", "whole"]
    command = [sys.executable, "-m", "edge.predict", video, *names]
    process = subprocess.Popen(
        list(map(str, command)), cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, stderr=subprocess.PIPE, text=True
    )
    part = next(_part_of(tmp_path, process))
    while part.stat().st_size < 50_000 and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    frames = len(read_video(tmp_path / "drawn.mp4"))
    assert 0 < frames < 400
    assert len(json.loads((tmp_path / "found.json").read_text())) == frames
    assert f"{frames} frames were done" in said
    assert {path.name for path in tmp_path.iterdir()} == {"in.avi", "drawn.mp4", "found.json"}


def _part_of(folder: Path, process: subprocess.Popen):
    """The video that is being written, once it is there."""
    while process.poll() is None:
        yield from folder.glob(".drawn.mp4.*")
        time.sleep(0.02)
