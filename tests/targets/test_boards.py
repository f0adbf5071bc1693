"""The boards' files, and how a board is recognised by the model name that its firmware reports."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pose.errors import InputError
from targets import base, boards

# as the firmware of real boards reports them
MODELS = {
    "Raspberry Pi 3 Model B Plus Rev 1.3": "pi3",
    "Raspberry Pi Zero 2 W Rev 1.0": "pi_zero2",
    "Raspberry Pi 4 Model B Rev 1.4\0": "pi4",
    "Raspberry Pi 400 Rev 1.0": "pi4",
    "Raspberry Pi Compute Module 4 Rev 1.0": "pi4",
    "Raspberry Pi 5 Model B Rev 1.0": "pi5",
    "NVIDIA Jetson Nano Developer Kit": "jetson_nano",
    "NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super": "jetson_orin_nano",
    "NVIDIA Jetson AGX Orin Developer Kit": "jetson_agx_orin",
    "NVIDIA Jetson Orin NX Engineering Reference Developer Kit": "jetson_orin_nx",
    "NVIDIA Jetson Orin NX Engineering Reference Developer Kit Super": "jetson_orin_nx",
    "NVIDIA Jetson Xavier NX Developer Kit": "jetson_xavier_nx",
    "NVIDIA Jetson AGX Thor Developer Kit": "jetson_agx_thor",
    "Radxa ROCK 5B": "generic",
    "": "generic",
}


@pytest.mark.parametrize("model", MODELS)
def test_a_board_is_recognised_by_its_model_name(model: str) -> None:
    assert boards.find(model).name == MODELS[model]


def test_a_phone_is_recognised_by_its_system() -> None:
    assert boards.find("Pixel 7", "Android").name == "android"
    assert boards.find("Raspberry Pi 4 Model B Rev 1.4", "Android").name == "pi4"


@given(before=st.text(), after=st.text(), part=st.sampled_from([p for b in boards.known().values() for p in b.match]))
def test_the_longest_match_wins_whatever_text_surrounds_it(before: str, part: str, after: str) -> None:
    model = f"{before}{part.swapcase()}{after}"
    board = boards.find(model)
    best = max(len(p) for b in boards.known().values() for p in b.match if p.casefold() in model.casefold())
    assert best in {len(p) for p in board.match if p.casefold() in model.casefold()}


@given(st.text(), st.text())
def test_any_model_name_has_a_board(model: str, system: str) -> None:
    assert boards.find(model, system).runs


def test_every_board_can_be_used() -> None:
    for board in boards.known().values():
        assert {choice.target for choice in board.runs} <= set(base.lowered_names())
        assert len({choice.target for choice in board.runs}) == len(board.runs)
        assert board.choice(board.runs[0].target) == board.runs[0]
        assert board.choice("torch") is None


def test_tensorrt_is_offered_only_where_version_10_can_be_installed() -> None:
    offered = {name for name, board in boards.known().items() if board.choice("tensorrt")}
    assert offered == {"jetson_orin_nano", "jetson_orin_nx", "jetson_agx_orin", "jetson_agx_thor"}


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(InputError, match="no board 'pi9'; choose one of android, generic, jetson_agx_orin"):
        boards.get("pi9")


def test_a_board_file_with_a_mistake_says_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.yaml").write_text("title: mine\nthreads: 1\nruns: [{target: tflite, delegate: xnnpack}]\n")
    monkeypatch.setattr(boards, "FOLDER", tmp_path)
    with pytest.raises(InputError, match=r"mine\.yaml: runs\.0\.why: Field required"):
        boards.known()
