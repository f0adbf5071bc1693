"""The boards' files, and which one a model's name leads to."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pose.errors import InputError
from targets import base, boards

# as the firmware of real boards says it
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
    "Radxa ROCK 5B": "generic",
    "": "generic",
}


@pytest.mark.parametrize("model", MODELS)
def test_a_model_leads_to_its_board(model: str) -> None:
    assert boards.find(model).name == MODELS[model]


def test_a_phone_is_known_by_its_system() -> None:
    assert boards.find("Pixel 7", "Android").name == "android"
    assert boards.find("Raspberry Pi 4 Model B Rev 1.4", "Android").name == "pi4"


@given(before=st.text(), after=st.text(), part=st.sampled_from([p for b in boards.known().values() for p in b.match]))
def test_the_longest_match_wins_whatever_stands_around_it(before: str, part: str, after: str) -> None:
    model = f"{before}{part.swapcase()}{after}"
    found = boards.find(model)
    best = max(len(p) for b in boards.known().values() for p in b.match if p.casefold() in model.casefold())
    assert best in {len(p) for p in found.match if p.casefold() in model.casefold()}


@given(st.text(), st.text())
def test_any_answer_has_a_board(model: str, system: str) -> None:
    assert boards.find(model, system).runs


def test_every_board_can_be_used() -> None:
    for board in boards.known().values():
        assert {choice.target for choice in board.runs} <= set(base.LOWERED)
        assert len({choice.target for choice in board.runs}) == len(board.runs)
        assert board.choice(board.runs[0].target) == board.runs[0]
        assert board.choice("torch") is None


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(InputError, match="no board 'pi9'; choose one of android, generic, jetson_agx_orin"):
        boards.get("pi9")


def test_a_board_file_with_a_mistake_says_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.yaml").write_text("title: mine\nthreads: 1\nruns: [{target: tflite, delegate: xnnpack}]\n")
    monkeypatch.setattr(boards, "FOLDER", tmp_path)
    boards.known.cache_clear()
    try:
        with pytest.raises(InputError, match=r"mine\.yaml: runs\.0\.why: Field required"):
            boards.known()
    finally:
        boards.known.cache_clear()
