"""Key lists and outputs of public networks beside `POSE_DATA`, and the made-up weights that gave the outputs."""

from __future__ import annotations

import json
import os
import re
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

FOLDER = Path(os.environ.get("POSE_DATA", "absent")).parent / "parity"
SYSTEMS = FOLDER / "systems"  # of the other systems in the paper's tables
needed = pytest.mark.skipif(not SYSTEMS.is_dir(), reason="POSE_DATA is not set, or no parity vectors lie beside it")


def made_up(name: str, shape: list[int], gains: list[list[Any]] | None = None) -> Tensor:
    """The value that the vectors' authors gave to a tensor: seeded by its name, spread by its kind.

    Args:
        gains: `[pattern, factor]` or `[pattern, factor, offset]`; the last one whose pattern is in the name is applied.
    """
    leaf, rng = name.rpartition(".")[2], np.random.RandomState(zlib.crc32(name.encode()))
    if leaf == "num_batches_tracked":
        return torch.zeros(shape, dtype=torch.int64)
    value = _constant_of_flow(leaf, shape)
    if value is None and leaf == "running_var":
        value = rng.uniform(0.5, 1.5, shape)
    elif value is None:
        value = rng.standard_normal(shape)
        if leaf == "running_mean" or leaf.endswith("bias"):
            value *= 0.1
        elif len(shape) < 2:
            value = 1 + 0.1 * value
        elif "token" in leaf or "pos_embedding" in leaf:
            value *= 0.5
        else:
            value /= np.sqrt(np.prod(shape[1:]))
    for _, factor, *offset in [gain for gain in gains or [] if re.search(gain[0], name)][-1:]:
        value = value * factor + sum(offset)
    return torch.tensor(value, dtype=torch.float32)


def _constant_of_flow(leaf: str, shape: list[int]) -> np.ndarray | None:
    """Masks and the normal distribution of a RealNVP, which are no weights."""
    if leaf == "mask" and shape[1:] == [2]:
        return np.tile([[0.0, 1.0], [1.0, 0.0]], (shape[0] // 2, 1))
    return {("loc", 2): np.zeros(2), ("cov", 4): np.eye(2)}.get((leaf, int(np.prod(shape))))


def reference(name: str) -> dict[str, Any]:
    """Key list, parameters and multiply-adds of one of the other systems."""
    value: dict[str, Any] = json.loads((SYSTEMS / f"{name}.json").read_text())
    return value


def official_state(name: str) -> dict[str, Tensor]:
    """The made-up state dict of one of the other systems, in its own layout."""
    described = reference(name)
    return {key: made_up(key, shape, described.get("gains")) for key, shape in described["keys"].items()}


def images() -> Tensor:
    """The input of every vector, `[2, 3, 256, 192]`."""
    return torch.tensor(np.random.RandomState(0).standard_normal((2, 3, 256, 192)).astype(np.float32))


def assert_near(actual: Tensor, expected: np.ndarray, tolerance: float = 1e-4) -> None:
    """The largest difference, as a share of the largest value where that is above 1."""
    difference = np.abs(actual.detach().numpy().astype(np.float64) - expected).max()
    assert tuple(actual.shape) == expected.shape
    assert difference / max(1.0, np.abs(expected).max()) <= tolerance
