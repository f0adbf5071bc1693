"""The known boards, one YAML file each: which targets suit a board, how fast it should be, and what to read on it.

A folder of your own, which the environment variable `DISTILPOSE_BOARDS` names, adds boards without a change to this package;
see docs/add-a-board.md.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator

from pose.errors import InputError
from pose.files import read_yaml
from targets.base import lowered_names

FOLDER = Path(__file__).parent
VARIABLE = "DISTILPOSE_BOARDS"  # environment: a folder of further boards
GENERIC = "generic"
Text = Annotated[str, Field(min_length=1)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class BoardTarget(_Part):
    """A target that suits a board.

    Attributes:
        target: one that a program is lowered to.
        delegate: the part of the runtime that runs the graph.
        why: what to know about it on this board.
    """

    target: str
    delegate: Text
    why: Text

    @field_validator("target")
    @classmethod
    def _is_known(cls, name: str) -> str:
        if name not in lowered_names():
            raise ValueError(f"there is no target '{name}'; choose one of {', '.join(lowered_names())}")
        return name


class BoardFacts(_Part):
    """What to read on a board before and after a run, beside the facts that are read on every device, each under a name.

    Attributes:
        files: small text files; one that does not exist is left out.
        commands: argument lists; one that is not installed is left out.
    """

    files: dict[str, Annotated[str, Field(pattern="^/")]] = {}
    commands: dict[str, Annotated[list[Text], Field(min_length=1)]] = {}


class Board(_Part):
    """One file of the folder.

    Attributes:
        name: of the file, without its extension.
        title: for people.
        match: parts of the model name that the board's firmware reports; upper and lower case are the same.
        system: the operating system by which the board is recognised when no model name matches.
        runs: the targets that suit the board, the best one first.
        threads: number to begin with.
        latency_budget_ms: what the 90th percentile should stay below for video; an aim, not a measurement.
        notes: what costs time on this board, and what to do about it.
    """

    name: str
    title: Text
    match: tuple[Text, ...] = ()
    system: str | None = None
    runs: Annotated[tuple[BoardTarget, ...], Field(min_length=1)]
    threads: int = Field(ge=1)
    latency_budget_ms: float | None = Field(default=None, gt=0)
    facts: BoardFacts = BoardFacts()
    notes: tuple[Text, ...] = ()

    def choice(self, target: str) -> BoardTarget | None:
        """The entry of a target in `runs`; None if the target does not suit this board."""
        return next((entry for entry in self.runs if entry.target == target), None)


class _File(Board):
    name: str = ""


def known() -> dict[str, Board]:
    """Every board by name: those of this package, and those of the user's folder, which replace ours of the same name.

    Raises:
        InputError: the user's folder does not exist, or a file has a wrong field.
    """
    folder = os.environ.get(VARIABLE)
    if folder and not Path(folder).is_dir():
        raise InputError(f"{VARIABLE}={folder} is not a folder; name the folder of your boards' YAML files")
    return _read((FOLDER, Path(folder)) if folder else (FOLDER,))


@cache
def _read(folders: tuple[Path, ...]) -> dict[str, Board]:
    files = {path.stem: path for folder in folders for path in sorted(folder.glob("*.yaml"))}
    boards = {name: read_yaml(path, _File) for name, path in sorted(files.items())}
    return {name: Board.model_validate({**board.model_dump(), "name": name}) for name, board in boards.items()}


def get(name: str) -> Board:
    """The board of that name.

    Raises:
        InputError: no such board.
    """
    if name not in known():
        raise InputError(f"there is no board '{name}'; choose one of {', '.join(known())}")
    return known()[name]


def find(model: str, system: str = "Linux") -> Board:
    """The board whose firmware reports this model name; the longest match wins. An unknown one is the generic board.

    Args:
        model: content of /proc/device-tree/model, or ro.product.model on Android.
        system: `Android`, or the system that uname reports.
    """
    reported = model.casefold()
    matches = [(len(part), name) for name, board in known().items() for part in board.match if part.casefold() in reported]
    if matches:
        return known()[max(matches)[1]]
    by_system = (board for board in known().values() if board.system and board.system.casefold() == system.casefold())
    return next(by_system, known()[GENERIC])
