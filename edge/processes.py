"""Calls of one function, each in a process of its own, as many at once as there are processors."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from multiprocessing.connection import Connection, wait
from typing import Any, TypeVar

from pose.errors import BackendError, UserError

T = TypeVar("T")


def each_in_its_own(call: Callable[..., T], arguments: Mapping[str, tuple[Any, ...]]) -> Iterator[tuple[str, T]]:
    """(name, what `call` answers to its arguments) as each is done; started in the order given, the longest best first.

    What one raises is raised here; it, or an interrupt, ends the others, which unwind: no half-written file stays.

    Raises:
        BackendError: a process was killed.
    """
    context = multiprocessing.get_context("spawn")  # torch's threads do not survive a fork
    waiting = list(arguments.items())
    running: dict[Any, tuple[str, Any]] = {}
    try:
        while waiting or running:
            while waiting and len(running) < _processors():
                name, given = waiting.pop(0)
                answers, own_end = context.Pipe(duplex=False)
                process = context.Process(target=_answer, args=(own_end, call, given))
                process.start()
                own_end.close()
                running[answers] = name, process
            done = wait(list(running))
            for ready in [each for each in running if each in done]:
                name, process = running[ready]
                try:
                    good, value = ready.recv()
                except EOFError:
                    raise BackendError(f"the process for {name} was killed; out of memory? do one at a time") from None
                process.join()
                del running[ready]
                if not good:
                    raise value
                yield name, value
    finally:
        for _, process in running.values():
            process.terminate()
        for _, process in running.values():
            process.join()


def _answer(to: Connection, call: Callable[..., Any], given: tuple[Any, ...]) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _end)
    try:
        answer: tuple[bool, Any] = True, call(*given)
    except Exception as error:
        if not isinstance(error, UserError):
            error.add_note(traceback.format_exc())  # it does not travel with the error
        answer = False, error
    to.send(answer)


def _end(*_: object) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # once is enough: what unwinds is not interrupted
    sys.exit(2)


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
