"""Checkpoints as training frameworks write them: their tensors are read, their objects are not."""

from __future__ import annotations

import argparse
import collections
import datetime
import enum
import functools
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from pose.errors import InputError
from pose.models.checkpoint import load, load_matching, read, read_for
from pose.models.checkpoint_archive import read_archive
from pose.models.checkpoint_layouts import inner_mapping


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
        self.head = nn.Linear(4, 2)


@pytest.fixture(scope="module")
def net() -> nn.Module:
    torch.manual_seed(3)
    return Net()


@pytest.fixture
def framework(monkeypatch: pytest.MonkeyPatch) -> Iterator[types.SimpleNamespace]:
    """Classes of a framework that is installed where the checkpoint is written, and gone where it is read."""
    module = types.ModuleType("training_framework")
    monkeypatch.setitem(sys.modules, module.__name__, module)

    def make(name: str, *bases: type) -> Any:
        made = type(name, bases, {"__module__": module.__name__})
        setattr(module, name, made)
        return made

    module.Stage = enum.Enum("Stage", ["FIT", "TEST"], module=module.__name__)
    yield types.SimpleNamespace(attributes=make("AttributeDict", dict), buffer=make("HistoryBuffer"), stage=module.Stage)
    sys.modules.pop(module.__name__, None)


def prefixed(net: nn.Module, prefix: str) -> dict[str, torch.Tensor]:
    return {prefix + key: value for key, value in net.state_dict().items()}


def objects(framework: types.SimpleNamespace) -> dict[str, Any]:
    """What lies beside the weights in the checkpoints of TokenPose, mmcv, mmengine and Lightning."""
    buffer = framework.buffer()
    buffer.__dict__.update(_log_history=np.arange(5.0), _count=np.array([1, 2]), size=np.float64(0.1))
    return {
        "epoch": 12,
        "perf": np.float64(0.71),
        "optimizer": {"state": {0: {"step": torch.tensor(5.0), "exp_avg": torch.ones(3)}}, "param_groups": [{"lr": 1e-3}]},
        "args": argparse.Namespace(lr=1e-3, milestones=[170, 200], out=Path("runs")),
        "hyper_parameters": framework.attributes(width=192, dtype=torch.float32, size=torch.Size([3, 4])),
        "message_hub": {"log_scalars": collections.OrderedDict(loss=buffer), "set": {1, 2}, "frozen": frozenset({3})},
        "meta": {
            "time": datetime.datetime(2021, 3, 4),
            "hook": functools.partial(print, 1),
            "none": None,
            "stage": framework.stage.FIT,
        },
        "callbacks": collections.defaultdict(list, {"ModelCheckpoint": [True, 1 << 70, b"bytes", 2.5]}),
    }


WRITTEN = {
    "TokenPose": lambda net: {"model": "pose_tokenpose_l", "state_dict": prefixed(net, "module.")},
    "mmcv": lambda net: {"state_dict": collections.OrderedDict(prefixed(net, ""))},
    "mmengine with averages": lambda net: {
        "state_dict": prefixed(net, ""),
        "ema_state_dict": {key: value + 1 for key, value in prefixed(net, "module.").items()},
    },
    "Lightning": lambda net: {"state_dict": {**prefixed(net, "model."), "loss.weight": torch.ones(17)}},
    "Lightning, compiled, data parallel": lambda net: {"state_dict": prefixed(net, "net._orig_mod.module.")},
    "torch.compile": lambda net: {"model": prefixed(net, "_orig_mod.")},
    "averaged model": lambda net: {"model_ema": {**prefixed(net, "module."), "n_averaged": torch.tensor(7)}},
    "entries in entries": lambda net: {"model": {"state_dict": prefixed(net, "module.module.")}},
    "averages beside the weights": lambda net: {
        "state_dict": prefixed(net, "model.") | {key: value + 1 for key, value in prefixed(net, "model_ema.module.").items()}
    },
}


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("kind", WRITTEN)
def test_the_weights_of_a_training_checkpoint(
    net: nn.Module, framework: types.SimpleNamespace, tmp_path: Path, kind: str, legacy: bool
) -> None:
    path, empty = tmp_path / "epoch_12.ckpt", Net()
    checkpoint = {**objects(framework), **WRITTEN[kind](net)}
    torch.save(checkpoint, path, _use_new_zipfile_serialization=not legacy)
    del sys.modules["training_framework"]
    load(empty, path, "net")
    assert all(torch.equal(value, net.state_dict()[key]) for key, value in empty.state_dict().items())
    assert "training_framework" not in sys.modules


def test_what_is_left_out_is_said(net: nn.Module, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "last.ckpt"
    torch.save({"epoch": 3, "perf": np.float64(1), **WRITTEN["Lightning"](net)}, path)
    read_for(Net(), path)
    read_line, other_line = capsys.readouterr().err.splitlines()
    assert read_line.startswith(f"{path}: the weights are read; left out: epoch, perf, objects of numpy")
    assert other_line == f"{path}: tensors that are not the model's are left out: loss.weight"


def test_a_network_that_is_there_twice_is_refused(net: nn.Module, tmp_path: Path) -> None:
    torch.save({"state_dict": {**prefixed(net, "student."), **prefixed(net, "teacher.")}}, tmp_path / "two.ckpt")
    with pytest.raises(InputError, match=r"two.ckpt holds this network 2 times \(student., teacher.\); save the state dict"):
        load(Net(), tmp_path / "two.ckpt", "net")


def test_a_misfit_behind_a_prefix_is_named(net: nn.Module) -> None:
    state = prefixed(net, "model.")
    state["model.head.weight"] = torch.zeros(3, 4)
    del state["model.head.bias"]
    with pytest.raises(
        InputError, match=r"1 missing \(head.bias\), 1 of another shape \(head.weight \[3, 4\] for \[2, 4\]\)"
    ):
        load(Net(), state, "net")


def test_another_network_is_not_searched_for_a_part_that_fits(net: nn.Module) -> None:
    with pytest.raises(
        InputError, match=r"does not fit net: keys 8 missing \(backbone.0.weight, .*1 unexpected \(x.y.weight\)"
    ):
        load(Net(), {"x.y.weight": torch.zeros(1)}, "net")


def test_tensors_of_every_kind_are_read_as_they_are(framework: types.SimpleNamespace, tmp_path: Path) -> None:
    base = torch.arange(24.0).reshape(4, 6)
    types_ = (torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.int8, torch.uint8, torch.bool)
    state = {str(kind): base.to(kind) for kind in types_}
    state |= {"view": base[1:, ::2].t(), "same": base, "scalar": torch.tensor(3.0), "empty": torch.zeros(0, 3)}
    state["parameter"] = nn.Parameter(base + 1)
    for legacy in (False, True):
        path = tmp_path / f"{legacy}.pt"
        torch.save({"x": framework.buffer(), "state_dict": state}, path, _use_new_zipfile_serialization=not legacy)
        values = read(path)
        assert list(values) == list(state)
        assert all(torch.equal(values[key], value) and values[key].dtype == value.dtype for key, value in state.items())


def test_a_tensor_that_is_larger_than_its_storage_is_refused(framework: types.SimpleNamespace, tmp_path: Path) -> None:
    path = tmp_path / "w.pt"
    torch.save({"x": framework.buffer(), "state_dict": {"a": torch.zeros(1).expand(1 << 40)}}, path)
    with pytest.raises(InputError, match="a tensor is larger than its storage"):
        read(path)


def test_a_whole_module_is_refused(net: nn.Module, tmp_path: Path) -> None:
    torch.save(net, tmp_path / "whole.pt")
    with pytest.raises(InputError, match=r"whole.pt holds no state dict; save"):
        read(tmp_path / "whole.pt")


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_damaged_checkpoint_is_refused_or_read(tmp_path_factory: pytest.TempPathFactory, legacy: bool, data: Any) -> None:
    path = tmp_path_factory.getbasetemp() / f"damaged-{legacy}.pt"
    held = {"perf": np.float64(1), "a": [argparse.Namespace(b=(1, 2))], "state_dict": {"w": torch.arange(6.0)}}
    torch.save(held, path, _use_new_zipfile_serialization=not legacy)
    content = bytearray(path.read_bytes())
    for place, value in data.draw(st.lists(st.tuples(st.integers(0, len(content) - 1), st.integers(0, 255)), max_size=4)):
        content[place] = value
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))] if data.draw(st.booleans()) else content)
    try:
        values, _ = read_archive(path, lambda checkpoint: inner_mapping(checkpoint, "x")[0])
    except (ValueError, InputError):
        return
    assert isinstance(values, dict)


def same(net: nn.Module, loaded: nn.Module) -> bool:
    return all(torch.equal(value, net.state_dict()[key]) for key, value in loaded.state_dict().items())


COUNTERS = {
    "float16": lambda value: value.half(),
    "float32 [1]": lambda value: value.float().reshape(1),
    "int32 [1, 1]": lambda value: value.int().reshape(1, 1),
    "bool": lambda value: value.bool(),
    "NaN": lambda value: value.float() * torch.nan,
}


@pytest.mark.parametrize("kind", COUNTERS)
def test_counters_of_batches_may_be_of_any_type_and_one_element(net: nn.Module, tmp_path: Path, kind: str) -> None:
    state = prefixed(net, "module.")
    state["module.backbone.1.num_batches_tracked"] = COUNTERS[kind](state["module.backbone.1.num_batches_tracked"])
    torch.save(state, tmp_path / "w.pth")
    empty = Net()
    load(empty, tmp_path / "w.pth", "net")
    assert same(net, empty)
    assert load_matching(empty, read_for(empty, tmp_path / "w.pth"), head=True) == []


def test_a_counter_of_several_elements_is_of_another_shape(net: nn.Module) -> None:
    with pytest.raises(InputError, match=r"1 of another shape \(backbone.1.num_batches_tracked \[2\] for \[\]\)"):
        load(Net(), prefixed(net, "") | {"backbone.1.num_batches_tracked": torch.zeros(2)}, "net")


@pytest.mark.parametrize("prefix", ["", "module.", "model."])
def test_the_counts_of_thop_are_left_out(
    net: nn.Module, prefix: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    counts = {
        f"{part}{name}": torch.zeros(1)
        for part in ("", "backbone.", "backbone.0.")
        for name in ("total_ops", "total_params")
    }
    state = prefixed(net, prefix) | {prefix + key: value for key, value in counts.items()} | {"total_ops": torch.zeros(1)}
    torch.save({"epoch": 3, "state_dict": state}, tmp_path / "w.pth")
    empty = Net()
    load(empty, tmp_path / "w.pth", "net")
    assert same(net, empty)
    expected = (
        f"{tmp_path / 'w.pth'}: the weights are read; left out: counts of operations (total_ops, total_params), epoch\n"
    )
    assert capsys.readouterr().err == expected


@pytest.mark.parametrize("prefix", ["", "module."])
def test_the_copies_of_an_averaging_hook_are_left_out(
    net: nn.Module, prefix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    copies = {prefix + "ema_" + key.replace(".", "_"): value + 1 for key, value in net.state_dict().items()}
    empty = Net()
    load(empty, {"state_dict": prefixed(net, prefix) | copies}, "net")
    assert same(net, empty)
    said = "the state dict: the weights are read; left out: 9 tensors named ema_... beside the weights themselves\n"
    assert capsys.readouterr().err == said


def test_a_tensor_whose_name_only_begins_like_a_copy_is_unexpected(net: nn.Module) -> None:
    with pytest.raises(InputError, match=r"1 unexpected \(ema_neck_weight\)"):
        load(Net(), prefixed(net, "") | {"ema_neck_weight": torch.zeros(1), "ema_head_bias": torch.zeros(2)}, "net")


@pytest.mark.parametrize("with_objects", [False, True])
def test_the_only_mapping_of_tensors_is_the_weights(
    net: nn.Module, framework: types.SimpleNamespace, tmp_path: Path, with_objects: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    path, empty = tmp_path / "w.pth", Net()
    beside = objects(framework) if with_objects else {"epoch": 3, "scaler": {"scale": 65536.0}, "empty": {}}
    torch.save({**beside, "student": prefixed(net, "module.")}, path)
    load(empty, path, "net")
    assert same(net, empty)
    assert "left out: epoch" in capsys.readouterr().err


def test_two_mappings_of_tensors_are_refused(net: nn.Module, tmp_path: Path) -> None:
    torch.save({"student": prefixed(net, ""), "epoch": 3, "teacher": prefixed(net, "")}, tmp_path / "two.pth")
    with pytest.raises(
        InputError, match=r"two.pth holds 2 mappings of tensors \(student, teacher\); save the state dict of"
    ):
        load(Net(), tmp_path / "two.pth", "net")


def test_a_mapping_beside_tensors_is_not_the_weights() -> None:
    with pytest.raises(InputError, match="is not a state dict: other not tensors"):
        load(Net(), {"weight": torch.zeros(1), "other": {"x": torch.zeros(1)}}, "net")
