"""The result of an ablation as data: what each combination of losses reached. `results/render.py` draws it."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pose.errors import InputError, first_problem
from pose.files import read_json, write_json

CONFIDENCE = 0.95  # of the intervals
_STRICT = ConfigDict(extra="forbid", frozen=True)


class Interval(BaseModel):
    """Mean of some runs, and the confidence interval of it, which one run does not have."""

    model_config = _STRICT
    mean: float
    low: float | None = None
    high: float | None = None


class Trained(BaseModel):
    """One run: `ap` and `pck` of the validation people, 0..100."""

    model_config = _STRICT
    seed: int
    ap: float | None
    pck: float | None


class Setting(BaseModel):
    """The runs with one combination of losses beside the regression loss.

    Attributes:
        ap: over the runs; gain: of AP over the setting `none`, run by run of the same seed.
    """

    model_config = _STRICT
    losses: list[str]
    runs: list[Trained]
    ap: Interval | None = None
    gain: Interval | None = None


class Ablation(BaseModel):
    """All runs of one command.

    Attributes:
        conditions: whatever determines the result: networks, people, recipe, digests.
        steps: of each run.
        settings: by name, in the order of the paper's table.
    """

    model_config = _STRICT
    schema_version: Literal[1] = 1
    student: str
    teacher: str
    validated: int = Field(ge=0)
    steps: int = Field(ge=1)
    conditions: dict[str, str | int | float]
    settings: dict[str, Setting]


def interval(values: Sequence[float]) -> Interval | None:
    """Mean and interval of Student's t distribution; None of no values, or of one that is not finite."""
    if not values or not all(map(math.isfinite, values)):
        return None
    mean = statistics.fmean(values)
    if len(values) == 1:
        return Interval(mean=mean)
    from scipy.stats import t

    reach = float(t.ppf((1 + CONFIDENCE) / 2, len(values) - 1)) * statistics.stdev(values) / math.sqrt(len(values))
    return Interval(mean=mean, low=mean - reach, high=mean + reach)


def summarised(losses: Sequence[str], runs: Sequence[Trained], baseline: Sequence[Trained]) -> Setting:
    """A setting with its intervals; `baseline` are the runs without any loss of distillation."""
    ap = {run.seed: run.ap for run in runs if run.ap is not None}
    plain = {run.seed: run.ap for run in baseline if run.ap is not None}
    gains = [value - plain[seed] for seed, value in ap.items() if seed in plain]
    return Setting(losses=[*losses], runs=[*runs], ap=interval([*ap.values()]), gain=interval(gains))


def read(path: Path) -> Ablation:
    """Raises InputError unless the file is what `write` wrote."""
    try:
        return Ablation.model_validate(read_json(path))
    except ValidationError as error:
        problem = ": ".join(first_problem(error))
        raise InputError(f"{path} is not what distill.ablation writes ({problem}); run it with another --out") from error


def write(path: Path, ablation: Ablation) -> None:
    """Write it atomically."""
    write_json(path, ablation.model_dump(mode="json"))
