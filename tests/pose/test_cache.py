"""Digests of files that are read once."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from pose import cache
from pose.files import sha256
from pose.model_files import model_files


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DISTILPOSE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(cache, "_SETTLED", -1.0)  # files of a test are young
    (tmp_path / "a.jpg").write_bytes(b"a")
    (tmp_path / "b.jpg").write_bytes(b"b")
    return tmp_path


def test_an_unchanged_file_is_read_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths, read = [folder / "b.jpg", folder / "a.jpg", folder / "b.jpg"], []
    monkeypatch.setattr(cache, "sha256", lambda path: read.append(path.name) or sha256(path))
    first = cache.digests(paths)
    assert first == [sha256(path) for path in paths]
    read.clear()
    assert cache.digests(paths) == first
    assert read == []
    time.sleep(0.01)
    os.utime(folder / "a.jpg")
    assert cache.digests(paths) == first, "the content counts, not the time"
    assert read == ["a.jpg"]


def test_a_changed_file_of_the_same_size_and_time_has_another_digest(folder: Path) -> None:
    path = folder / "a.jpg"
    before, status = cache.digests([path]), path.stat()
    time.sleep(0.01)
    path.write_bytes(b"c")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert cache.digests([path]) == [sha256(path)] != before


def test_a_young_file_is_read_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its times do not tell two changes of one tick of the clock apart."""
    monkeypatch.setattr(cache, "_SETTLED", 1000.0)
    cache.digests([folder / "a.jpg"])
    assert not (folder / "cache").exists()


@pytest.mark.parametrize("damage", ["", "[]", '{"a.jpg": 1}', '{"a.jpg": [1, 2, 3, "wrong"]}', "{"])
def test_a_damaged_index_is_made_anew(folder: Path, damage: str) -> None:
    cache.digests([folder / "a.jpg"])
    (index,) = (folder / "cache" / "digests").iterdir()
    index.write_text(damage)
    assert cache.digests([folder / "a.jpg"]) == [sha256(folder / "a.jpg")]


def test_a_cache_that_cannot_be_written_is_only_slower(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISTILPOSE_CACHE", str(folder / "a.jpg" / "cache"))
    assert cache.digests([folder / "a.jpg"]) == [sha256(folder / "a.jpg")]


def test_an_onnx_model_consists_of_its_external_data_too(folder: Path) -> None:
    onnx = pytest.importorskip("onnx")
    weights = onnx.numpy_helper.from_array(__import__("numpy").ones(1000, "float32"), "w")
    value = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1000])
    node = onnx.helper.make_node("Add", ["x", "w"], ["y"])
    graph = onnx.helper.make_graph([node], "g", [value], [onnx.helper.make_tensor_value_info("y", 1, [1000])], [weights])
    path = folder / "net.onnx"
    onnx.save(onnx.helper.make_model(graph), path, save_as_external_data=True, location="net.data", size_threshold=0)
    assert model_files(path) == [path, folder / "net.data"]
    assert model_files(folder / "a.jpg") == [folder / "a.jpg"]
