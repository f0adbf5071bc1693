"""Whether a teacher's answers are numbers: checked before a student learns from them, or a file keeps them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from pose.errors import BackendError, InputError

LARGEST = 65504.0  # of float16, in which heatmaps are cached; their peak should be about 1


def require_finite_outputs(outputs: Mapping[str, np.ndarray], teacher: str, people: Sequence[str]) -> None:
    """Raises BackendError where an output holds NaN, infinity or more than float16 can, with the count and the first person.

    Args:
        outputs: name of the output -> array [N, ...]. teacher: its name, for the message.
        people: who the N crops are of, for the message.
    """
    for name, values in outputs.items():
        wrong = ~(np.abs(values) <= LARGEST)  # also of NaN
        if wrong.any():
            first = people[int(np.nonzero(wrong)[0][0])]
            raise BackendError(
                f"{teacher} answered NaN, infinity or more than {LARGEST:g} in {wrong.sum()} of {wrong.size} values of its "
                f"{name}, for {first} first; nothing of it is kept: give other weights (--teacher-file), or correct the "
                "scale, mean and std of its YAML"
            )


class Observer(Protocol):
    """What `observe` needs of a teacher; see `pose.models.protocols.Teacher`."""

    @property
    def name(self) -> str: ...

    def observe(self, crops: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]: ...


def observe(teacher: Observer, crops: np.ndarray, people: Sequence[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`teacher.observe(crops)`, checked; `people`: who the crops are of, for messages.

    Raises:
        InputError: what the teacher's YAML calls heatmaps and keypoints is none.
        BackendError: the teacher does not run, or answers what `require_finite_outputs` refuses.
    """
    try:
        heatmaps, coords, scores = teacher.observe(crops)
    except InputError as error:
        raise InputError(f"{error} (seen for {people[0]} first)") from error
    require_finite_outputs({"heatmaps": heatmaps, "coords": coords, "scores": scores}, teacher.name, people)
    return heatmaps, coords, scores
