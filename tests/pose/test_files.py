from __future__ import annotations

import errno
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pose import files
from pose.errors import InputError


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_whole(tmp_path: Path) -> None:
    files.write_json(tmp_path / "deep" / "a.json", {"x": [1, 2]})
    assert json.loads((tmp_path / "deep" / "a.json").read_text()) == {"x": [1, 2]}
    assert names(tmp_path / "deep") == ["a.json"]


def write_then_fail(path: Path, failure: BaseException) -> None:
    with files.atomic_file(path) as temporary:
        temporary.write_text("half of the ne")
        raise failure


def write_to_full_device(path: Path) -> None:
    with files.atomic_file(path) as temporary:
        temporary.unlink()
        temporary.symlink_to("/dev/full")
        temporary.write_text("more than fits")


@pytest.mark.parametrize("failure", [ValueError("bug"), KeyboardInterrupt()])
def test_a_failure_leaves_what_was_there(tmp_path: Path, failure: BaseException) -> None:
    files.write_text(tmp_path / "a.txt", "old")
    with pytest.raises(type(failure)):
        write_then_fail(tmp_path / "a.txt", failure)
    assert names(tmp_path) == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "old"


def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No space left on device; choose another folder") as caught:
        write_then_fail(tmp_path / "a.bin", OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
    assert "\n" not in str(caught.value)
    assert names(tmp_path) == []


def test_a_full_disk_at_the_end_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match="No space left"):
        files.write_text(tmp_path / "a.txt", "new")
    assert names(tmp_path) == []


def test_a_real_full_disk(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    with pytest.raises(InputError, match="No space left"):
        write_to_full_device(tmp_path / "a.txt")
    assert names(tmp_path) == []


def test_a_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write"):
        files.write_text(tmp_path / "file" / "a.txt", "x")


@pytest.mark.parametrize("text", ["", "{", '{"a": [1, 2', "[" * 100_000, "\x00", "1" * 5000])
def test_broken_json(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(InputError, match=r"not valid json|cannot read") as caught:
        files.read_json(path)
    assert "\n" not in str(caught.value)


def test_missing_json(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        files.read_json(tmp_path / "none.json")


def test_sha256(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert files.sha256(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_a_folder_takes_the_place_of_an_older_one_whole_or_not_at_all(tmp_path: Path) -> None:
    for text in ("old", "new"):
        with files.atomic_folder(tmp_path / "deep" / "a.mlpackage") as folder:
            assert folder.suffix == ".mlpackage"
            (folder / f"{text}.txt").write_text(text)
    assert names(tmp_path / "deep") == ["a.mlpackage"]
    assert names(tmp_path / "deep" / "a.mlpackage") == ["new.txt"]
    for failure, raised in ((ValueError("bug"), ValueError), (OSError(errno.ENOSPC, "No space left on device"), InputError)):
        with pytest.raises(raised):
            fill_then_fail(tmp_path / "deep" / "a.mlpackage", failure)
    assert names(tmp_path / "deep") == ["a.mlpackage"]
    assert names(tmp_path / "deep" / "a.mlpackage") == ["new.txt"]


def fill_then_fail(path: Path, failure: BaseException) -> None:
    with files.atomic_folder(path) as folder:
        (folder / "half.txt").touch()
        raise failure


def test_json_never_holds_a_number_that_is_not_finite(tmp_path: Path) -> None:
    files.write_json(tmp_path / "x.json", {"a": [float("nan"), 1.5], "b": {"c": float("-inf")}})
    assert json.loads((tmp_path / "x.json").read_text()) == {"a": [None, 1.5], "b": {"c": None}}


def test_a_link_stays_one_and_permissions_stay_as_they_are(tmp_path: Path) -> None:
    real, link = tmp_path / "real.json", tmp_path / "link.json"
    real.write_text("old")
    real.chmod(0o600)
    link.symlink_to(real)
    files.write_text(link, "new")
    assert link.is_symlink()
    assert (real.read_text(), real.stat().st_mode & 0o777) == ("new", 0o600)


def test_a_pipe_and_a_device_are_written_to(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with subprocess.Popen(["cat", str(pipe)], stdout=subprocess.PIPE, text=True) as reader:
        files.require_writable(pipe)
        files.write_text(pipe, "through")
        assert reader.communicate()[0] == "through"
    assert pipe.is_fifo()
    files.write_text(Path(os.devnull), "gone")
    assert Path(os.devnull).is_char_device()
    assert names(tmp_path) == ["pipe"]


def test_waiting_for_the_reader_of_a_pipe_is_said(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    program = "import sys\nfrom pose import files\nfiles.write_text(files.Path(sys.argv[1]), 'through')"
    with subprocess.Popen([sys.executable, "-c", program, str(pipe)], stderr=subprocess.PIPE, text=True) as writer:
        assert writer.stderr is not None
        assert writer.stderr.readline() == f"note: {pipe} is a pipe: waiting until something reads it\n"
        assert pipe.read_text() == "through"
    assert writer.returncode == 0


def test_a_long_name_is_written_and_a_longer_one_refused_before_the_work(tmp_path: Path) -> None:
    path = tmp_path / f"{'n' * 240}.json"
    files.require_writable(path)
    files.write_text(path, "x")
    with pytest.raises(InputError, match="File name too long"):
        files.require_writable(tmp_path / f"{'n' * 260}.json")


@pytest.mark.parametrize(
    ("writes", "reads"),
    [
        (["people.json"], ["people.json"]),
        (["./sub/../people.json"], ["people.json"]),
        (["link.json"], ["people.json"]),
        (["x.pte.card.yaml"], ["x.pte"]),
        (["photos/1.png"], ["photos"]),
        (["x.mlpackage/Manifest.json"], ["x.mlpackage"]),
        (["new.json", "./new.json"], []),
    ],
)
def test_what_is_read_is_not_written_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writes: list[str], reads: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("people.json", "x.pte", "x.pte.card.yaml", "photos/1.png", "photos/old.json", "x.mlpackage/Manifest.json"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text(name)
    Path("sub").mkdir()
    Path("link.json").symlink_to("people.json")
    with pytest.raises(InputError, match="write over"):
        files.require_apart(map(Path, writes), map(Path, reads))
    files.require_apart([Path("new.json"), Path("photos/old.json")], [Path("people.json"), Path("photos"), Path("x.pte")])


KILLED = """
import os, signal, sys
from pathlib import Path
from pose import files
here = Path(sys.argv[1])
with files.atomic_file(here / "student.safetensors") as file, files.atomic_folder(here / "a.mlpackage") as folder:
    file.write_text("half"), (folder / "part").write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_process_left_is_removed_by_the_next(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    assert subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], env=environment).returncode == -signal.SIGKILL
    left = names(tmp_path)
    assert len(left) == 2
    elsewhere = left[0].replace(files._computer(), "0123abcd")
    mine = left[0].replace(re.search(r"-(\d+)\.", left[0])[0], f"-{os.getppid()}.")
    kept = [".gitignore", ".student.safetensors.abc", elsewhere, mine]
    for name in kept:
        (tmp_path / name).touch()
    files.write_text(tmp_path / "other.txt", "new")
    assert names(tmp_path) == sorted([*kept, "other.txt"])


def test_another_computer_of_the_same_name_removes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "machine-id").write_text("another board of one shared folder")
    with files.atomic_file(tmp_path / "a.txt") as unfinished:
        monkeypatch.setattr(files, "_MACHINE", tmp_path / "machine-id", raising=False)
        name = unfinished.name.replace(f"-{os.getpid()}.", "-4194305.")  # its process number means nothing here
        (tmp_path / name).write_text("half")
        monkeypatch.setattr(files, "_swept", set())
        files.write_text(tmp_path / "b.txt", "new")
        assert (tmp_path / name).exists()
        unfinished.write_text("new")


def test_a_result_is_not_read_before_it_is_written(tmp_path: Path) -> None:
    photo, result = tmp_path / "photo.jpg", tmp_path / "result.json"
    for path in (photo, result):
        path.write_text("old")
    with files.results_apart([photo, result, tmp_path / "new.json"]):
        with pytest.raises(InputError, match=r"photo\.jpg is read by this command"):
            files.read_bytes(photo)
        with pytest.raises(InputError, match=r"photo\.jpg is read by this command"):  # where a caller went on
            files.write_text(photo, "new")
        files.write_text(result, "new")
        assert files.read_text(result) == "new"
    assert files.read_text(photo) == "old"


@pytest.mark.parametrize("name", ["loop", "loop/x.json"])
def test_a_loop_of_links_is_one_line(tmp_path: Path, name: str) -> None:
    (tmp_path / "loop").symlink_to("loop")
    path = tmp_path / name
    files.require_apart([tmp_path / "new.json"], [path])
    files.require_apart([path], [tmp_path / "people.json"])
    for act in (files.read_bytes, files.require_writable, lambda place: files.write_text(place, "x")):
        with pytest.raises(InputError, match=r"symbolic links|File exists"):
            act(path)
    assert names(tmp_path) == ["loop"]


@pytest.mark.skipif(sys.platform != "linux", reason="Linux has spaces of processes' numbers")
def test_what_a_process_of_another_container_writes_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    with monkeypatch.context() as other:
        other.setattr(os, "readlink", lambda path: "pid:[1]")
        other.setattr(os, "getpid", lambda: gone.pid)
        theirs = files._temporary_prefix(tmp_path / "a.json") + "x"
    (tmp_path / theirs).touch()
    files.write_text(tmp_path / "mine.txt", "x")
    assert names(tmp_path) == sorted([theirs, "mine.txt"])


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(5, "Input/output error")])
def test_an_old_folder_comes_back_where_the_new_one_cannot_take_its_place(
    error: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "old").write_text("old")
    rename = Path.rename

    def fail(path: Path, target: Path) -> Path:
        if target == tmp_path / "kept" and not path.name.endswith(".old"):
            raise error
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises((KeyboardInterrupt, InputError)), files.atomic_folder(tmp_path / "kept") as folder:
        (folder / "new").write_text("new")
    assert [entry.name for entry in tmp_path.iterdir()] == ["kept"]
    assert (tmp_path / "kept" / "old").read_text() == "old"
