"""Calls of one function in subprocesses, as many at once as there are processors."""

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


def run_in_subprocesses(call: Callable[..., T], arguments: Mapping[str, tuple[Any, ...]]) -> Iterator[tuple[str, T]]:
    """(name, result of `call` with its arguments) as the calls end; they start in the order given, so put the longest first.

    An exception in one call is raised here. It, or an interrupt, ends the others, which unwind: no half-written file stays.

    Args:
        arguments: name -> arguments of one call.

    Raises:
        BackendError: a process was killed.
    """
    context = multiprocessing.get_context("spawn")  # torch's threads do not survive a fork
    waiting = list(arguments.items())
    running: dict[Any, tuple[str, Any]] = {}
    try:
        while waiting or running:
            while waiting and len(running) < _processors():
                name, call_arguments = waiting.pop(0)
                receiver, sender = context.Pipe(duplex=False)
                process = context.Process(target=_answer, args=(sender, call, call_arguments))
                process.start()
                sender.close()
                running[receiver] = name, process
            done = wait(list(running))
            for ready in [receiver for receiver in running if receiver in done]:
                name, process = running[ready]
                try:
                    succeeded, value = ready.recv()
                except EOFError:
                    raise BackendError(f"the process for {name} was killed; out of memory? do one at a time") from None
                process.join()
                del running[ready]
                if not succeeded:
                    raise value
                yield name, value
    finally:
        for _, process in running.values():
            process.terminate()
        for _, process in running.values():
            process.join()


def _answer(sender: Connection, call: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _end)
    try:
        answer: tuple[bool, Any] = True, call(*arguments)
    except Exception as error:
        if not isinstance(error, UserError):
            error.add_note(traceback.format_exc())  # pickling an error drops its traceback
        answer = False, error
    sender.send(answer)


def _end(*_: object) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # a second signal must not interrupt the unwinding
    sys.exit(2)


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
