"""What glibc's allocator does with the memory of freed tensors while a network trains on the CPU."""

from __future__ import annotations

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # malloc.h
_NEVER = -1


def keep_freed_memory() -> None:
    """Keep the memory of freed tensors for the next ones, for the rest of this process.

    By default every large tensor is mapped anew and the kernel clears its pages each time. That takes a third of the time of
    fine-tuning `distilpose_s` on two cores and half of its calibration. The process stays as large as its largest step.
    Does nothing where the C library is another one.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(_M_MMAP_MAX, 0)
        mallopt(_M_TRIM_THRESHOLD, _NEVER)
