"""Files that are found by names of another machine, and those that are not."""

from __future__ import annotations

import json
import time
from pathlib import Path
from unicodedata import normalize

import pytest
from test_coco import change, folder, opened  # noqa: F401 - the fixture

from calib_data import given_photos
from calib_data.coco_file import plain_id, read_people
from calib_data.photo_names import Names
from calib_data.photos import ImageEntry
from pose.errors import InputError

CAFE = "caf\u00e9.png"
SPACED = ["Screenshot 10.00.00\u202fAM.png", "a\u00a0b.png", "a\u3000b.png", "\U0001f469\u200d\U0001f52c.png"]


def found(folder: Path, name: str, *files: str) -> str | None:  # noqa: F811
    """The file of the folder that the name leads to, of these files."""
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_bytes(b"1")
    path = Names(folder).find(name)
    return None if path is None else path.relative_to(folder).as_posix()


@pytest.mark.parametrize(
    ("name", "files", "file"),
    [
        (CAFE, [normalize("NFD", CAFE)], normalize("NFD", CAFE)),
        (normalize("NFD", CAFE), [CAFE], CAFE),
        (f"x/{CAFE}", [normalize("NFD", CAFE)], normalize("NFD", CAFE)),
        (CAFE, [normalize("NFD", CAFE), "CAF\u00c9.PNG"], normalize("NFD", CAFE)),
        ("1.JPG", ["1.jpg"], "1.jpg"),
        ("Train/1.JPG", ["train/1.jpg", "val/1.jpg"], "train/1.jpg"),
        ("1.JPG", ["1.JPG", "1.jpg"], "1.JPG"),
        ("my%20photo.jpg", ["my photo.jpg"], "my photo.jpg"),
        ("my%20photo.jpg", ["my photo.jpg", "my%20photo.jpg"], "my%20photo.jpg"),
        ("my%20photo.jpg?a=b", ["my photo.jpg"], "my photo.jpg"),
        ("1.jpg?a=b", ["1.jpg", "1.jpg?a=b"], "1.jpg?a=b"),
        ("100%.jpg", ["100%.jpg"], "100%.jpg"),
        ("caf%C3%A9.jpg", [normalize("NFD", "caf\u00e9.jpg")], normalize("NFD", "caf\u00e9.jpg")),
        ("/data/local-files/?d=1.jpg", ["1.jpg"], "1.jpg"),
        ("/data/local-files/?d=a/1.jpg", ["1.jpg", "a/1.jpg"], "a/1.jpg"),
        ("/data/local-files/?d=a%2F1.jpg", ["1.jpg", "a/1.jpg"], "a/1.jpg"),
        ("2.jpg", ["1.jpg"], None),
        ("?", ["1.jpg"], None),
    ],
)
def test_a_name_of_another_machine(name: str, files: list[str], file: str | None, tmp_path: Path) -> None:
    assert found(tmp_path, name, *files) == file


@pytest.mark.parametrize("name", ["A.png", "b/A.png"])
def test_of_several_files_none_is_chosen(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"A\.png is missing, and both .*\.png and .*\.png may be meant; correct the name"):
        found(tmp_path, name.replace("A", "\u00c4A"), "\u00e4a.png", "\u00e4A.png")


@pytest.mark.parametrize(
    "name",
    [
        "%2e%2e%2fsecret.png", "..%2fsecret.png", "%2e%2e/secret.png", "a/..%5c..%5csecret.png", "%252e%252e%252fsecret.png",
        "/local-files/?d=../secret.png", "/local-files/?d=%2e%2e%2fsecret.png", "../SECRET.png", "%2e%2e/SECRET.png",
        "secret.png%00", "secret%0a.png",
    ],
)  # fmt: skip
def test_no_name_leads_out_of_the_folder(name: str, tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(b"1")
    (tmp_path / "secret\n.png").write_bytes(b"1")
    (tmp_path / "photos").mkdir()
    for text in (name, f"a/{name}", name.replace("secret", str(tmp_path / "secret").replace("/", "%2f"))):
        assert found(tmp_path / "photos", text, "1.png", "line\n.png") is None
    assert found(tmp_path / "photos", "line%0a.png") is None, "messages are one line"


@pytest.mark.parametrize("name", SPACED)
def test_any_space_may_be_in_a_name(name: str, folder: Path) -> None:  # noqa: F811
    (folder / "images" / "7.png").rename(folder / "images" / name)
    people = opened(folder, change("images.0.file_name", name))
    assert people.paths[7].name == name
    assert plain_id(f" {name} ") == name


@pytest.mark.parametrize("name", ["a\x1b[2Jb.png", "a\nb.png", "a\u2028b.png", "a\u202eb.png", "a\x7f.png"])
def test_what_a_terminal_obeys_is_in_no_name(name: str, folder: Path) -> None:  # noqa: F811
    with pytest.raises(InputError, match=r"images\[0\].file_name: .* must be the name of a file"):
        opened(folder, change("images.0.file_name", name))
    assert plain_id(name) is None


def test_a_list_of_files_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(20):
        (tmp_path / f"{number}.jpg").write_bytes(b"1")
    listed: list[Path] = []
    original = Path.iterdir
    monkeypatch.setattr(Path, "iterdir", lambda path: (listed.append(path), original(path))[1])
    names = Names(tmp_path)
    assert [names.find(f"a/{number}.JPG") for number in range(20)] == [tmp_path / f"{number}.jpg" for number in range(20)]
    assert len(listed) == 2, "once for each form"


def test_a_photo_that_is_given_by_itself_has_the_same_names(tmp_path: Path) -> None:
    photo = tmp_path / normalize("NFD", CAFE)
    for name in (CAFE, f"https://a.org/{CAFE}?b=c", "/data/local-files/?d=caf%C3%A9.png"):
        ids, others = given_photos.match([photo], [ImageEntry(3, name, 0, 0), ImageEntry(4, "other.png", 0, 0)])
        assert (ids, others) == ({photo: [3]}, {})


@pytest.mark.parametrize("names", [[], ["0", "1"], ["", ""], ["kp_0", "kp_1"]])
def test_photos_with_boxes_need_no_names_of_joints(names: list[str], tmp_path: Path) -> None:
    path = tmp_path / "people.json"
    person = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 1, 5, 5], "keypoints": [1, 2, 2, 3, 4, 2]}
    path.write_text(json.dumps({
        "images": [{"id": 1, "file_name": "1.png"}], "annotations": [person],
        "categories": [{"id": 1, "name": "person", "keypoints": names}],
    }))  # fmt: skip
    assert len(read_people(path, unlabelled=True).skeleton) == 2


def test_a_name_of_many_folders_takes_no_time(tmp_path: Path) -> None:
    began = time.process_time()
    assert Names(tmp_path).find("a/" * 100_000 + "1.jpg") is None
    (tmp_path / "1.jpg").touch()
    assert Names(tmp_path).find("a/" * 100_000 + "1.jpg") == tmp_path / "1.jpg"
    assert time.process_time() - began < 2
