"""docs/add-a-board.md: a board's file in a folder of the user's is used like those of the repository."""

from __future__ import annotations

from pathlib import Path

import pytest
from documents import code_blocks

from pose.errors import InputError
from targets import boards

(FILE,) = code_blocks("add-a-board.md", "yaml")
(USAGE,) = code_blocks("add-a-board.md", "python")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "rock5b.yaml").write_text(FILE)
    monkeypatch.setenv(boards.VARIABLE, str(tmp_path))
    return tmp_path


def test_the_example_runs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(USAGE, "add-a-board.md", "exec"), {})
    assert capsys.readouterr().out == "rock5b runs tflite onnx\n"


def test_every_field_is_read_and_the_other_boards_stay(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    board = boards.get("rock5b")
    assert (board.title, board.threads, board.latency_budget_ms) == ("Radxa ROCK 5B", 4, 33)
    assert set(board.facts.files) == {"governor_fast_core"}
    assert board.facts.commands == {"clocks": ["cpupower", "frequency-info"]}
    assert board.notes == ("Pin the run to the fast cores with --affinity 4-7",)
    assert boards.find("Raspberry Pi 5 Model B Rev 1.0").name == "pi5"
    monkeypatch.delenv(boards.VARIABLE)
    assert boards.find("Radxa ROCK 5B").name == "generic"
    assert "rock5b" not in boards.known()


def test_a_file_with_the_name_of_one_of_ours_replaces_it(folder: Path) -> None:
    (folder / "pi5.yaml").write_text(FILE.replace("[ROCK 5B]", "[Raspberry Pi 5]").replace("threads: 4", "threads: 2"))
    board = boards.find("Raspberry Pi 5 Model B Rev 1.0")
    assert (board.name, board.threads) == ("pi5", 2)


def test_a_folder_or_a_target_that_does_not_exist_is_reported(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "wrong.yaml").write_text(FILE.replace("target: tflite", "target: abacus"))
    with pytest.raises(
        InputError, match=r"wrong\.yaml: runs\.0\.target: .*no target 'abacus'; choose one of executorch, tflite"
    ):
        boards.known()
    monkeypatch.setenv(boards.VARIABLE, str(folder / "nowhere"))
    with pytest.raises(InputError, match="nowhere is not a folder"):
        boards.get("pi5")
