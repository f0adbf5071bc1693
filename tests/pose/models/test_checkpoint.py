"""Checkpoint files: ours, foreign, damaged, hostile."""

from __future__ import annotations

import copy
import gzip
import io
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from pose.crop import CropSpec
from pose.errors import InputError
from pose.models import build
from pose.models.checkpoint import load, load_matching, read, save

NAME = "distilpose_s"


@pytest.fixture(scope="module")
def model() -> nn.Module:
    return build(NAME, 3)


def one_line(error: InputError) -> str:
    assert "\n" not in str(error)
    return str(error)


def same(model: nn.Module, expected: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(value, expected[key]) for key, value in model.state_dict().items())


def test_our_half_precision_safetensors(model: nn.Module, tmp_path: Path) -> None:
    state = {key: v.half() if v.is_floating_point() else v for key, v in model.state_dict().items()}
    safetensors.torch.save_file(state, tmp_path / "w.safetensors")
    loaded = build(NAME, 3, tmp_path / "w.safetensors")
    assert same(loaded, {key: value.to(model.state_dict()[key].dtype) for key, value in state.items()})
    assert {value.dtype for value in loaded.parameters()} == {torch.float32}
    assert not loaded.position.requires_grad


@pytest.mark.parametrize("suffix", ["pth", "pt", "bin"])
def test_foreign_wrappers_come_off(model: nn.Module, tmp_path: Path, suffix: str) -> None:
    state, path = model.state_dict(), tmp_path / f"w.{suffix}"
    torch.save({"meta": {"epoch": 3}, "state_dict": {"model": {f"module.{key}": v for key, v in state.items()}}}, path)
    assert same(build(NAME, 3, str(path)), state)


def test_other_keypoints_and_other_models_are_named(model: nn.Module) -> None:
    with pytest.raises(InputError) as error:
        build(NAME, 5, model.state_dict())
    assert "1 of another shape (keypoint_token [1, 3, 192] for [1, 5, 192])" in one_line(error.value)
    with pytest.raises(InputError) as error:
        build("tokenpose_t", 3, model.state_dict())
    assert "does not fit tokenpose_t" in one_line(error.value)
    assert " more)" in one_line(error.value)


def test_a_failed_load_changes_nothing(model: nn.Module) -> None:
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with pytest.raises(InputError):
        load(model, {**{key: value + 1 for key, value in before.items()}, "extra": torch.zeros(1)}, NAME)
    assert same(model, before)


def test_what_matches_is_taken_over_and_the_rest_is_named(model: nn.Module) -> None:
    before = {key: value.clone() for key, value in model.state_dict().items()}
    first, second, *rest = (key for key in before if not key.startswith("head."))
    other = {key: (value + 1).half() if value.is_floating_point() else value for key, value in before.items() if key in rest}
    other |= {key: before[key] + 1 for key in before if key.startswith("head.")} | {second: torch.zeros(7, 7, 7)}
    assert load_matching(model, other) == [first, second]
    after = model.state_dict()
    untouched = [key for key in before if key in (first, second) or key.startswith("head.")]
    assert all(torch.equal(after[key], before[key]) for key in untouched)
    assert all(torch.equal(after[key], other[key].to(after[key].dtype)) for key in rest)


class Hostile:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.path),)


def test_code_in_a_checkpoint_does_not_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, trace = tmp_path / "w.pth", tmp_path / "trace"
    torch.save({"state_dict": {"a": torch.ones(1)}, "hook": Hostile(trace)}, path)
    assert read(path) == {"a": torch.ones(1)}
    assert capsys.readouterr().err == f"{path}: the weights are read; left out: hook, objects of posix.mkdir\n"
    torch.save({"state_dict": {"a": torch.ones(1), "b": Hostile(trace)}}, path)
    with pytest.raises(InputError, match="is not a state dict: b not tensors"):
        read(path)
    path.write_bytes(pickle.dumps(Hostile(trace)))
    with pytest.raises(InputError) as error:
        read(path)
    assert str(path) in one_line(error.value)
    assert not trace.exists()


@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
@settings(max_examples=15, deadline=None)
@given(kept=st.floats(0, 0.999), flipped=st.booleans())
def test_truncated_or_damaged_files(
    tmp_path_factory: pytest.TempPathFactory, suffix: str, kept: float, flipped: bool
) -> None:
    path = tmp_path_factory.mktemp("damaged") / f"w.{suffix}"
    state = {"a": torch.arange(100.0), "b": torch.ones(3, 4)}
    if suffix == "pth":
        torch.save(state, path)
    else:
        safetensors.torch.save_file(state, path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * kept)] + (b"\xff" * 64 if flipped else b""))
    with pytest.raises(InputError) as error:
        read(path)
    assert str(path) in one_line(error.value)


@pytest.mark.parametrize("content", [3, [], {}, {"state_dict": {}}, {"a": torch.zeros(1), "b": "text"}, {1: torch.zeros(1)}])
def test_files_without_a_state_dict(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(InputError, match="state dict"):
        read(tmp_path / "w.pth")


@pytest.mark.parametrize("name", ["absent.pth", "absent.safetensors", "folder.pth", "folder.safetensors"])
def test_missing_files_and_folders(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder.pth").mkdir()
    (tmp_path / "folder.safetensors").mkdir()
    with pytest.raises(InputError) as error:
        read(tmp_path / name)
    assert name in one_line(error.value)


def endless() -> dict:
    held: dict = {}
    held["state_dict"] = held
    return held


def endless_pair() -> dict:
    outer: dict = {"model": {}}
    outer["model"]["state_dict"] = outer
    return outer


SPECIAL = {
    "sparse": (lambda value: value.to_sparse(), "is sparse"),
    "compressed rows": (
        lambda value: value.flatten(1).to_sparse_csr() if value.dim() > 1 else value.to_sparse(),
        "is sparse",
    ),
    "quantized": (lambda value: torch.quantize_per_tensor(value.float(), 0.1, 0, torch.qint8), r"is quantized \(qint8\)"),
    "complex": (lambda value: value.to(torch.complex64), "is complex"),
    "meta": (lambda value: value.to("meta"), "is on the device meta"),
    "int64": (lambda value: value.to(torch.int64), "is int64, the model has float32"),
    "int8": (lambda value: value.to(torch.int8), "is int8, the model has float32"),
    "bool": (lambda value: value.to(torch.bool), "is bool, the model has float32"),
    "NaN": (lambda value: value.clone().fill_(float("nan")), "values that are NaN or infinite"),
    "infinity": (lambda value: value.clone().fill_(float("inf")), "values that are NaN or infinite"),
    "beyond float32": (lambda value: value.double().fill_(1e300), "values that are NaN or infinite"),
    "huge by strides": (lambda value: torch.zeros(1).expand(1 << 40), "of another shape"),
    "a list": (lambda value: value.tolist(), "not tensors"),
}


@pytest.mark.parametrize("name", SPECIAL)
@pytest.mark.filterwarnings("ignore")  # torch: quantized and sparse tensors are old or new
def test_tensors_that_are_no_weights_are_named(model: nn.Module, tmp_path: Path, name: str) -> None:
    change, match = SPECIAL[name]
    state, path, key = model.state_dict(), tmp_path / "w.pt", "keypoint_token"
    torch.save({**state, key: change(state[key])}, path)
    before = {key: value.clone() for key, value in state.items()}
    with pytest.raises(InputError, match=match) as error:
        load(model, path, NAME)
    assert key in one_line(error.value)
    assert same(model, before)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64, torch.float8_e4m3fn])
def test_other_floating_types_are_cast(model: nn.Module, tmp_path: Path, dtype: torch.dtype) -> None:
    state = {key: v.to(dtype) if v.is_floating_point() else v for key, v in model.state_dict().items()}
    torch.save(state, tmp_path / "w.pt")
    expected = {key: value.to(model.state_dict()[key].dtype) for key, value in state.items()}
    assert same(build(NAME, 3, tmp_path / "w.pt"), expected)


@pytest.mark.parametrize("make", [endless, endless_pair])
def test_a_checkpoint_that_contains_itself(make, tmp_path: Path) -> None:
    torch.save(make(), tmp_path / "w.pt")
    with pytest.raises(InputError, match="contains itself"):
        read(tmp_path / "w.pt")


HEADERS = {
    "more bytes than there are": ('{"a":{"dtype":"F32","shape":[1000000],"data_offsets":[0,4000000]}}', 16),
    "another size than its shape": ('{"a":{"dtype":"F32","shape":[9],"data_offsets":[0,16]}}', 16),
    "overlapping": (
        '{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]},"b":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}',
        16,
    ),
    "one name twice": (
        '{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"a":{"dtype":"F32","shape":[2],"data_offsets":[8,16]}}',
        16,
    ),
    "deep": ("[" * 100_000, 0),
    "an overflow": ('{"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0]}}', 0),
    "no tensors": ("{}", 0),
}


@pytest.mark.parametrize("name", HEADERS)
def test_a_safetensors_header_that_lies(name: str, tmp_path: Path) -> None:
    header, size = HEADERS[name]
    path = tmp_path / "w.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header.encode() + bytes(size))
    with pytest.raises(InputError, match=r"w\.safetensors") as error:
        read(path)
    one_line(error.value)


def test_a_safetensors_header_longer_than_the_file(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes((1 << 60).to_bytes(8, "little") + b"{}")
    with pytest.raises(InputError, match="not a whole safetensors file"):
        read(path)


@pytest.mark.parametrize("name", ["w.pth", "w.bin", "w.SAFETENSORS", "weights"])
def test_safetensors_under_another_name(model: nn.Module, tmp_path: Path, name: str) -> None:
    swapped = copy.deepcopy(model)
    swapped.crop = CropSpec(colour="BGR")
    save(swapped, tmp_path / "w.safetensors")
    (tmp_path / "w.safetensors").rename(tmp_path / name)
    loaded = build(NAME, 3, tmp_path / name)
    assert same(loaded, model.state_dict())
    assert loaded.crop == swapped.crop


def zipped(*members: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for member in members:
            archive.writestr(member, b"x" * 99)
    return buffer.getvalue()


def npz() -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **{"a.weight": np.zeros(3)})
    return buffer.getvalue()


def gzipped() -> bytes:
    buffer = io.BytesIO()
    torch.save({"a": torch.zeros(1)}, buffer)
    return gzip.compress(buffer.getvalue())


def onnx_model() -> bytes:
    helper = pytest.importorskip("onnx").helper
    return helper.make_model(helper.make_graph([], "net", [], []), producer_name="pytorch").SerializeToString()


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:aaaa\nsize 21723627\n"
OTHER_KINDS: dict[str, tuple[Callable[[], bytes], str]] = {
    "pointer": (lambda: POINTER, "is a pointer of Git LFS, not the file itself; run `git lfs pull`"),
    "page": (lambda: b"\n<!DOCTYPE html><html>Sign in</html>", "is a web page, not weights; download the file itself"),
    "refusal": (lambda: b"<?xml version='1.0'?><Error>AccessDenied</Error>", "is a web page"),
    "gzip": (gzipped, "is compressed by gzip; unpack it"),
    "onnx": (onnx_model, "is an ONNX model, not a checkpoint; describe it by a YAML .*docs/add-a-teacher.md"),
    "onnx of no producer": (lambda: b"\x08\x08\x3a\x05", "is an ONNX model"),
    "tflite": (lambda: b"\x1c\x00\x00\x00TFL3\x00", "is a TFLite model, not a checkpoint; describe it by a YAML"),
    "torchscript": (
        lambda: zipped("w/data.pkl", "w/code/__torch__/net.py", "w/constants.pkl"),
        r"is a TorchScript program, not a checkpoint; save `model.state_dict\(\)`",
    ),
    "exported": (
        lambda: zipped("w/archive_format", "w/models/model.json"),
        "is an exported program.*that it was exported from",
    ),
    "npz": (npz, "is an archive of NumPy arrays, not a checkpoint; write them with safetensors.numpy.save_file"),
}


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
@pytest.mark.parametrize("name", OTHER_KINDS)
def test_a_file_of_another_kind_is_named_with_what_to_do(name: str, suffix: str, tmp_path: Path) -> None:
    content, match = OTHER_KINDS[name]
    path = tmp_path / f"w.{suffix}"
    path.write_bytes(content())
    with pytest.raises(InputError, match=match) as error:
        read(path)
    assert one_line(error.value).startswith(f"{path} is a") or name == "gzip"
