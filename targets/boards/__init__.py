"""The boards we know: what makes sense to run on each, how fast it should be, and what to read there. One YAML a board."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator

from pose.errors import InputError
from pose.files import read_yaml
from targets.base import lowered_names

FOLDER = Path(__file__).parent
GENERIC = "generic"
Text = Annotated[str, Field(min_length=1)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class BoardTarget(_Part):
    """A target that makes sense on a board.

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


class Facts(_Part):
    """What to read there before and after a run beside what `edge.facts` reads everywhere, each under a name.

    Attributes:
        files: small text files; one that is not there is left out.
        commands: argument lists; one that is not installed is left out.
    """

    files: dict[str, Annotated[str, Field(pattern="^/")]] = {}
    commands: dict[str, Annotated[list[Text], Field(min_length=1)]] = {}


class Board(_Part):
    """One file of this folder.

    Attributes:
        name: of the file.
        title: for people.
        match: parts of the model that the board's firmware reports, in any case of letters.
        system: the operating system that is enough to know it by, when no model matches.
        runs: the best choice first.
        threads: to begin with.
        latency_budget_ms: what the 90th percentile should stay under for video; an aim, not a measurement.
        notes: what costs time on this board, and how to mend it.
    """

    name: str
    title: Text
    match: tuple[Text, ...] = ()
    system: str | None = None
    runs: Annotated[tuple[BoardTarget, ...], Field(min_length=1)]
    threads: int = Field(ge=1)
    latency_budget_ms: float | None = Field(default=None, gt=0)
    facts: Facts = Facts()
    notes: tuple[Text, ...] = ()

    def choice(self, target: str) -> BoardTarget | None:
        """What is known of a target here; None if it makes no sense on this board."""
        return next((each for each in self.runs if each.target == target), None)


class _File(Board):
    name: str = ""


@cache
def known() -> dict[str, Board]:
    """Every board by name.

    Raises:
        InputError: a file is not as it must be.
    """
    files = {path.stem: read_yaml(path, _File) for path in sorted(FOLDER.glob("*.yaml"))}
    return {name: Board.model_validate({**board.model_dump(), "name": name}) for name, board in files.items()}


def get(name: str) -> Board:
    """The board of that name.

    Raises:
        InputError: no such board.
    """
    if name not in known():
        raise InputError(f"there is no board '{name}'; choose one of {', '.join(known())}")
    return known()[name]


def find(model: str, system: str = "Linux") -> Board:
    """The board whose firmware reports this model; the longest match wins. An unknown one is the generic board.

    Args:
        model: /proc/device-tree/model, ro.product.model on Android.
        system: `Android`, or what uname says.
    """
    said = model.casefold()
    matches = [(len(part), name) for name, board in known().items() for part in board.match if part.casefold() in said]
    if matches:
        return known()[max(matches)[1]]
    by_system = (board for board in known().values() if board.system and board.system.casefold() == system.casefold())
    return next(by_system, known()[GENERIC])
