"""A process that another one started ends with it, however that one ends."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time

_PR_SET_PDEATHSIG = 1  # prctl.h
_POLL = 0.5  # seconds


def end_with_parent(parent: int) -> None:
    """Kill this process as soon as the one that started it has ended.

    Linux does it by itself, also during a call into native code; elsewhere a thread watches.

    Args:
        parent: process id of the one that started this one, which may have ended already.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    else:
        threading.Thread(target=_watch, args=(parent,), daemon=True).start()
    if os.getppid() != parent:
        os._exit(1)


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_POLL)
    os._exit(1)
