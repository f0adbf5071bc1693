"""Ctrl-C ends a loop after the frame at hand, so that every file holds the same frames."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextlib.contextmanager
def deferred_interrupts() -> Iterator[threading.Event]:
    """An event that the first Ctrl-C sets within the block; the second one interrupts, as it does outside."""
    interrupted = threading.Event()
    if threading.current_thread() is not threading.main_thread():  # which alone may handle signals
        yield interrupted
        return
    previous = {number: signal.getsignal(number) for number in _SIGNALS}

    def note_first(*_: object) -> None:
        interrupted.set()
        restore()

    def restore() -> None:
        for number, handler in previous.items():
            signal.signal(number, handler)

    for number in _SIGNALS:
        signal.signal(number, note_first)
    try:
        yield interrupted
    finally:
        restore()
