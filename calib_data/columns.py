"""Columns of numbers from lists of JSON values: fast where all are numbers, and exact about those that are not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

LARGEST = 1e6  # pixels; far beyond any image: what is larger is a mistake, and overflows later
_LARGEST_AREA = LARGEST**2


def matrix(values: Sequence[Any], width: int, *, of_joints: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Rows of `width` numbers: float64 [N, width], and whether each row has that many, bool [N].

    A row that is too short or too long, or that holds something else than numbers up to `LARGEST`, is NaN. Numbers may be
    written as text, and rows may be lists of lists (`[[x, y, v], ...]`). Of joints, a row is triples (x, y, v); one of three
    nulls, NaN or -1 says that there is no joint, and becomes 0, as do x and y of a v of 0 if they are no such numbers.
    """
    flat = [_flat(value) for value in values]
    fits = np.array([len(row) == width for row in flat], bool)
    blank = [np.nan] * width
    rows = [row if fit else blank for row, fit in zip(flat, fits.tolist(), strict=True)]
    try:
        numbers = np.array(rows, np.float64).reshape(len(rows), width)
    except (TypeError, ValueError, OverflowError):
        numbers = np.array([np.array([_number(value) for value in row]) for row in rows]).reshape(len(rows), width)
    wrong = ~(np.abs(numbers) <= LARGEST)
    if of_joints and (wrong.any() or (numbers < 0).any()):
        triples, wrong_triples = numbers.reshape(len(rows), -1, 3), wrong.reshape(len(rows), -1, 3)
        unlabelled = (triples[..., 2] == 0) & wrong_triples.any(-1)
        unlabelled |= (np.isnan(triples).all(-1) & fits[:, None]) | (triples == -1).all(-1)
        triples[unlabelled], wrong_triples[unlabelled] = 0, False
    numbers[wrong.any(1)] = np.nan
    return numbers, fits


def scalars(values: Sequence[Any]) -> np.ndarray:
    """A number of each value, float64 [N]; NaN of what is no number or beyond any area of an image."""
    try:
        numbers = np.array(values, np.float64).reshape(len(values))
    except (TypeError, ValueError, OverflowError):
        numbers = np.array([_number(value) for value in values], np.float64)
    numbers[~(np.abs(numbers) <= _LARGEST_AREA)] = np.nan
    return numbers


def flags(values: Sequence[Any]) -> np.ndarray:
    """0 or 1 of each value, float64 [N]: of booleans and numbers, both also as text, 0 of None; NaN of anything else."""
    words = {"false": 0, "true": 1}
    plain = [words.get(value.strip().lower(), value) if isinstance(value, str) else value for value in values]
    numbers = scalars([0 if value is None else value for value in plain])
    numbers[~np.isin(numbers, (0, 1))] = np.nan
    return numbers


def _flat(value: Any) -> list[Any]:
    if not isinstance(value, list):
        return []
    if value and isinstance(value[0], list):
        return [number for part in value for number in (part if isinstance(part, list) else [part])]
    return value


def _number(value: Any) -> float:
    """NaN of null, infinity of what is no number."""
    try:
        return np.nan if value is None else float(value)
    except (TypeError, ValueError, OverflowError):
        return np.inf
