"""The limit that a runtime is measured by: an int8 matrix product as large as a network has.

A backend's package may have a module `peak` with `open_peak(threads) -> call`, which runs `LAYERS` convolutions of 1 x 1, of
`CHANNELS` to `CHANNELS`, on `SIDE` x `SIDE` cells, one after the other: what such a network computes in one ms is the most
that another network may hope for. A chain, because the first input and the last output are copied.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from targets.base import get_spec

LAYERS, CHANNELS, SIDE = 8, 256, 24
MULTIPLY_ADDS = LAYERS * SIDE * SIDE * CHANNELS * CHANNELS
SCALE = 0.05  # of the input and of every layer's output, whose zero point is 0
WEIGHT_SCALE = 2**-8


def open_peak(target: str, threads: int) -> Callable[[], object] | None:
    """A call that makes a runtime compute the product; None where the backend has no such module.

    Raises:
        BackendError: the runtime is not installed.
    """
    name = f"targets.{target}.peak"
    try:
        module = import_module(name)
    except ModuleNotFoundError as error:
        if error.name == name:
            return None
        raise get_spec(target).not_installed(error.name) from error
    call: Callable[[], object] = module.open_peak(threads)
    return call
