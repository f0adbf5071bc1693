"""Freed memory is kept for the next tensor."""

from __future__ import annotations

import subprocess
import sys

import pytest

PAGE_FAULTS = """
import resource
import numpy as np
from distill.memory import keep_freed_memory
if {keep}:
    keep_freed_memory()
np.ones(1 << 23)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    np.ones(1 << 23)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc's allocator is set")
def test_pages_of_freed_memory_are_not_cleared_anew() -> None:
    faults = {
        keep: int(subprocess.check_output([sys.executable, "-c", PAGE_FAULTS.format(keep=keep)], text=True))
        for keep in (False, True)
    }
    assert faults[True] < faults[False] / 10, faults
