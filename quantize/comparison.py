"""What `quantize.compare --json` writes: one float student made int8 in several ways, each scored on the same people.

Light to import: the tables of documents are made of it.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from pose.errors import InputError, first_problem

Way = Literal["fp32", "ptq", "labels", "distilled"]
WAYS: dict[Way, str] = {
    "fp32": "float",
    "ptq": "PTQ: calibrated only",
    "labels": "QAT on labels alone",
    "distilled": "QAT, distillation losses active",
}
TRAINED: tuple[Way, ...] = ("distilled", "labels")  # by fine-tuning, in this order
MEASURES = ("ap", "pck")
_Points = Annotated[float, Field(strict=True, ge=0, le=100)]
_Count = Annotated[int, Field(strict=True, ge=1)]


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Figures(_Record):
    """Of one program on one set, in points, 0 to 100; None where the set does not define them. `_95`: over the people."""

    ap: _Points | None = None
    pck: _Points | None = None
    ap_95: tuple[_Points | None, _Points | None] = (None, None)
    pck_95: tuple[_Points | None, _Points | None] = (None, None)


class Cell(_Record):
    """One program: how it was made, with which seed (None where nothing is random), and its figures by set."""

    way: Way
    seed: int | None = None
    figures: dict[str, Figures]


class Comparison(_Record):
    """All programs of one float student. `steps` are those of each fine-tuning; `people` counts those of each set."""

    schema_version: Literal[1] = 1
    command: str = ""
    student: str
    teacher: str
    steps: _Count
    seeds: _Count
    people: Annotated[dict[str, _Count], Field(min_length=1)]
    cells: list[Cell] = Field(default=[])

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        made = [(cell.way, cell.seed) for cell in self.cells]
        for cell in self.cells:
            name = cell.way if cell.seed is None else f"{cell.way} of seed {cell.seed}"
            if made.count((cell.way, cell.seed)) > 1:
                raise ValueError(f"{name} is there twice")
            if set(cell.figures) != set(self.people):
                raise ValueError(f"{name} has figures of {', '.join(cell.figures)}, and people are {', '.join(self.people)}")
        return self

    def cell(self, way: Way, seed: int | None) -> Cell | None:
        """The program that was made so; None where it is still to be made."""
        return next((cell for cell in self.cells if (cell.way, cell.seed) == (way, seed)), None)

    def values(self, way: Way, people: str, measure: str) -> list[float]:
        """A figure of every seed that has it."""
        values = (getattr(cell.figures[people], measure) for cell in self.cells if cell.way == way)
        return [value for value in values if value is not None]

    def gains(self, people: str, measure: str) -> list[float]:
        """Distillation over labels alone, seed by seed, in points."""
        by_seed = {(cell.way, cell.seed): getattr(cell.figures[people], measure) for cell in self.cells}
        pairs = [(by_seed.get(("distilled", seed)), by_seed.get(("labels", seed))) for seed in range(self.seeds)]
        return [distilled - labels for distilled, labels in pairs if distilled is not None and labels is not None]


def interval(values: Sequence[float]) -> tuple[float, float] | None:
    """95 % interval of the mean over seeds, by Student's t; None of fewer than two."""
    if len(values) < 2:
        return None
    from scipy.stats import t

    mean, spread = statistics.fmean(values), statistics.stdev(values) / math.sqrt(len(values))
    half = float(t.ppf(0.975, len(values) - 1)) * spread
    return mean - half, mean + half


def rows(comparison: Comparison) -> tuple[list[str], list[list[str]]]:
    """Titles and cells of the table: a row for each way, and what distillation gains over labels alone."""
    heads = ["", "seeds"] + [f"{name}: {title}" for name in comparison.people for title in ("AP", "PCK@0.2")]
    table = []
    for way, title in WAYS.items():
        cells = [cell for cell in comparison.cells if cell.way == way]
        if not cells:
            continue
        figures = [_mean(comparison.values(way, name, measure)) for name in comparison.people for measure in MEASURES]
        table.append([title, str(len(cells)) if way in TRAINED else "", *figures])
    gains = [_mean(comparison.gains(name, measure), sign="+") for name in comparison.people for measure in MEASURES]
    if any(gains):
        table.append(["distillation over labels alone, same seed", "", *gains])
    return heads, table


def as_markdown(comparison: Comparison) -> str:
    """The table and what it was measured on."""
    heads, table = rows(comparison)
    lines = [heads, ["---", *["---:"] * (len(heads) - 1)], *table]
    people = ", ".join(f"{count} people of {name}" for name, count in comparison.people.items())
    note = (
        f"{comparison.student}, teacher {comparison.teacher}, {comparison.steps} steps of each fine-tuning; {people}. "
        "Means over the seeds, with their 95 % intervals."
    )
    return "\n".join([*(f"| {' | '.join(cells)} |" for cells in lines), "", note])


def _mean(values: Sequence[float], sign: str = "") -> str:
    if not values:
        return ""
    mean = f"{statistics.fmean(values):{sign}.1f}"
    ends = interval(values)
    return mean if ends is None else f"{mean} ({ends[0]:{sign}.1f} to {ends[1]:{sign}.1f})"


def read(path: Path) -> Comparison:
    """What a file of `quantize.compare` holds.

    Raises:
        InputError: it is not such a file; the message names the first field that is wrong.
    """
    from pose.files import read_json

    try:
        return Comparison.model_validate(read_json(path))
    except ValidationError as error:
        field, reason = first_problem(error)
        raise InputError(f"{path}: {field}: {reason}; it must be what python -m quantize.compare writes") from error
