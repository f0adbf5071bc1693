"""edge.bench and edge.check where another processor, another kernel of the runtime and a connection come in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from calib_data.synthetic import SyntheticPeople
from edge import on_device, run
from edge.bench import bench, twins
from edge.check import check_all, main
from edge.devices import open as open_device
from edge.devices.local import Local
from edge.devices.session import Plan
from edge.export import export
from pose.card import card_path, read
from pose.crop import normalise
from pose.errors import BackendError, InputError

SAME = 1e-4  # pixels: int8 arithmetic is exact anywhere, the float operators after it differ in their last bit


@pytest.fixture(scope="module")
def folder(tiny_program: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lowered")
    for target in ("onnx", "tflite"):
        export(tiny_program, target, "int8", folder)
    return folder


class Broken(Local):
    name = "ssh://broken"

    def run(self, *_: Any, **__: Any) -> Any:
        raise BackendError("ssh://broken: gone")


def test_the_column_of_a_device(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    devices = [Local(), Broken()]
    artefacts = [folder / "tiny-onnx-int8.onnx", folder / "tiny-tflite-int8.tflite"]
    results = check_all(artefacts, SyntheticPeople(3), devices=devices)
    assert set(results) == {"onnx", "tflite"}
    for result in json.loads(json.dumps(results)).values():
        assert result["on_device"]["ssh://broken"] == {"error": "ssh://broken: gone"}
        there, lowered = result["on_device"]["local"], result["lowered"]
        assert there["host_px"]["p99"] == 0
        assert {name: there[name] for name in lowered if name != "fake_quant_px"} == {
            name: value for name, value in lowered.items() if name != "fake_quant_px"
        }
        assert there["error"] is None


def test_the_crops_are_those_that_the_host_sees(folder: Path) -> None:
    card = read(card_path(folder / "tiny-onnx-int8.onnx"))
    keeper = on_device.Crops(card)
    crops = np.random.default_rng(0).integers(0, 256, (2, 64, 48, 3), np.uint8)
    coords, scores = keeper.run(np.stack([normalise(crop, card.spec) for crop in crops]))
    assert np.array_equal(np.stack(keeper.kept), crops)
    assert (coords.shape, scores.shape) == ((2, 17, 2), (2, 17))


def test_a_device_that_fails_ends_the_command_with_3(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.devices.open", lambda spec: Broken())
    out = tmp_path / "check.json"
    with pytest.raises(BackendError, match="answers on devices are missing; ssh://broken: gone"):
        main(folder / "tiny-onnx-int8.onnx", device=["ssh://broken"], limit=2, json=out)
    assert json.loads(out.read_text())["lowered"]["persons"] == 2


def test_what_no_agent_runs_is_refused(folder: Path, tmp_path: Path) -> None:
    artefact = tmp_path / "tiny-onnx-int8.onnx"
    artefact.write_bytes((folder / artefact.name).read_bytes())
    card = read(card_path(folder / artefact.name))
    card.model_copy(update={"target": "tensorrt"}).write(card_path(artefact))
    assert not on_device.takes(artefact)
    assert on_device.takes(folder / artefact.name)
    with pytest.raises(InputError, match="no answers are collected from TensorRT"):
        on_device.answers([Local()], [artefact], [])


def test_emulated_boards_answer_as_this_machine(lab: Any, folder: Path) -> None:
    from emulated.boards import PI5

    boards = [lab.raspberry_pi(), lab.raspberry_pi(PI5), lab.android()]
    devices = [open_device(board.spec) for board in boards]
    artefacts = [folder / "tiny-onnx-int8.onnx", folder / "tiny-tflite-int8.tflite"]
    crops = list(np.random.default_rng(0).integers(0, 256, (8, 64, 48, 3), np.uint8))
    answers = on_device.answers(devices, artefacts, crops)
    for place, artefact in enumerate(artefacts):
        runner = run.open(artefact)
        expected, _ = runner.run(np.stack([normalise(crop, runner.card.spec) for crop in crops]))
        for mine in answers:
            assert not isinstance(mine[place], str), mine[place]
            assert np.abs((mine[place].coords - expected) * runner.card.spec.size).max() < SAME


def test_emulated_boards_are_timed_and_their_times_hidden(lab: Any, folder: Path) -> None:
    boards = [lab.raspberry_pi(), lab.android()]
    plan = Plan(twins(folder / "tiny-tflite-int8.tflite"), "quick", 200, 0.0)
    pi, phone = bench(plan, [open_device(board.spec) for board in boards], clean=True)["devices"]
    for found in (pi, phone):
        assert found["error"] is None
        assert found["emulated"] is True
        for name in ("fp32", "int8"):
            assert found[name]["golden_px"] < {"fp32": 1e-3, "int8": SAME}[name]
            assert found[name]["latency_ms"] is None
            assert found[name]["emulated_ms"]["runs"] == 3
    assert (pi["board"], phone["board"]) == ("pi4", "android")
    assert pi["facts"]["after"]["throttled"]["raw"] == "0x0"
    assert pi["facts"]["before"]["cpu"] == "4 x Cortex-A72"
    for board in boards:
        assert board.processes() == []
