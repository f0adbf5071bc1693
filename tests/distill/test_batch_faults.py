"""Errors while crops are made: one line, the same with worker processes as without, also where a worker is killed."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from drawn_source import SIZE, Dots

from calib_data.crops import Crops
from distill.batches import Batches
from pose.crop import CropSpec
from pose.errors import InputError, UserError
from pose.failures import as_user_error
from pose.skeleton import COCO_17


class Faulty(Dots):
    """People of whom the third cannot be shown."""

    def __init__(self, fault: Callable[[], object]) -> None:
        super().__init__()
        self.fault = fault

    def image(self, index: int) -> np.ndarray:
        if index == 2:
            self.fault()
        return np.zeros((SIZE, SIZE, 3), np.uint8)


def unreadable() -> None:
    raise InputError("image a.jpg is not readable (truncated, or no image); fetch it again")


def too_large_for_torch() -> None:
    torch.empty(10**15)


def too_large_for_numpy() -> None:
    np.zeros(10**15)


def too_large_for_opencv() -> None:
    cv2.resize(np.zeros((9, 9, 3), np.uint8), (30_000_000, 30_000))


def broken() -> None:
    raise ZeroDivisionError("a bug")


def killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def error_of(fault: Callable[[], object], workers: int) -> Exception:
    batches = Batches(Crops(Faulty(fault), CropSpec(64, 64), COCO_17), 5, (16, 16))
    with pytest.raises(Exception) as caught:  # noqa: PT011 - its type is what is compared
        list(batches.loader(0, 2, workers))
    return caught.value


ADVICE = "; lower the recipe's batch or resolution, --workers, or close other programs"
LARGE = " at once is too much"
LINES = [
    (unreadable, "image a.jpg is not readable (truncated, or no image); fetch it again"),
    (too_large_for_torch, f"out of memory: 4,000,000.0 GB{LARGE}{ADVICE}"),
    (too_large_for_numpy, f"out of memory: 7.11 PiB for an array with shape (1000000000000000,){LARGE}{ADVICE}"),
    (too_large_for_opencv, f"out of memory: 2,700.0 GB{LARGE}{ADVICE}"),
]


@pytest.mark.parametrize(("fault", "line"), LINES, ids=[fault.__name__ for fault, _ in LINES])
def test_the_line_is_the_same_with_and_without_workers(fault: Callable[[], object], line: str) -> None:
    shown = []
    for workers in (0, 1):
        error = error_of(fault, workers)
        known = error if isinstance(error, UserError) else as_user_error(error, ["recipe", "workers", "data"])
        assert known is not None
        shown.append((str(known), known.exit_code))
    assert shown[0] == shown[1]
    assert shown[0][0] == line


def test_a_bug_in_a_worker_shows_where() -> None:
    error = error_of(broken, 1)
    assert isinstance(error, ZeroDivisionError)
    assert as_user_error(error) is None
    assert "in broken" in error.__notes__[0]


def test_a_killed_worker_is_one_line(tmp_path: Path) -> None:
    known = as_user_error(error_of(killed, 1), ["workers", "recipe"])
    assert known is not None
    assert known.exit_code == 3
    assert str(known) == (
        "a process that makes crops was killed; out of memory? lower the recipe's batch or resolution, "
        "--workers, or close other programs"
    )
