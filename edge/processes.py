"""Calls of one function in subprocesses, as many at once as there are processors."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from multiprocessing.connection import Connection, wait
from typing import Any

from pose.errors import BackendError, UserError, from_exit_code
from pose.lifetime import end_with_parent

_MOST = 64 << 20  # bytes of an answer
_PROCESSOR_SECONDS = 2 * 3600  # of one process, its threads together: a limit that other work on the machine does not use up
_PATIENCE = 10.0  # seconds for a process to end that has closed its end


def run_in_subprocesses(call: Callable[..., Any], arguments: Mapping[str, tuple[Any, ...]]) -> Iterator[tuple[str, Any]]:
    """(name, result of `call` with its arguments) as the calls end; they start in the order given, so put the longest first.

    An exception in one call is raised here. It, or an interrupt, ends the others, which unwind: no half-written file stays.
    They also end with this process, however that ends.

    Args:
        call: returns what json can hold: a process that runs files of others is not trusted, so it sends no pickle.
        arguments: name -> arguments of one call.

    Raises:
        BackendError: a process crashed, was killed, or computed for more than two hours.
    """
    context = multiprocessing.get_context("spawn")  # torch's threads do not survive a fork
    waiting = list(arguments.items())
    running: dict[Any, tuple[str, Any]] = {}
    try:
        while waiting or running:
            while waiting and len(running) < _processors():
                name, call_arguments = waiting.pop(0)
                receiver, sender = context.Pipe(duplex=False)
                process = context.Process(target=_answer, args=(sender, call, call_arguments, _PROCESSOR_SECONDS))
                process.start()
                sender.close()
                running[receiver] = name, process
            done = wait(list(running))
            for ready in [receiver for receiver in running if receiver in done]:
                name, process = running[ready]
                try:
                    answer = json.loads(ready.recv_bytes(_MOST))
                except (EOFError, OSError, ValueError):
                    process.join(_PATIENCE)
                    raise BackendError(f"the process for {name} {_how_it_ended(process.exitcode)}") from None
                process.join()
                del running[ready]
                if "value" not in answer:
                    raise _exception(answer)
                yield name, answer["value"]
    finally:
        for _, process in running.values():
            process.terminate()
        for _, process in running.values():
            process.join()


def _how_it_ended(exit_code: int | None) -> str:
    if exit_code in (None, -signal.SIGKILL):
        return "was killed; out of memory? do one at a time"
    how = signal.Signals(-exit_code).name if exit_code and exit_code < 0 else f"exit status {exit_code}"
    return f"crashed ({how}); is the program one that quantize wrote? take another --target"


def _exception(answer: dict[str, Any]) -> Exception:
    if answer["code"] is not None:
        return from_exit_code(answer["code"], answer["error"])
    error = RuntimeError(answer["error"])
    error.add_note(answer["traceback"])
    return error


def _answer(sender: Connection, call: Callable[..., Any], arguments: tuple[Any, ...], seconds: int) -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None and parent.pid is not None  # noqa: PT018
    end_with_parent(parent.pid)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _end)
    _limit_processor_time(seconds)
    try:
        answer: dict[str, Any] = {"value": call(*arguments)}
    except UserError as error:
        answer = {"error": str(error), "code": error.exit_code}
    except Exception as error:
        answer = {"error": f"{type(error).__name__}: {error}", "code": None, "traceback": traceback.format_exc()}
    sender.send_bytes(json.dumps(answer).encode())


def _limit_processor_time(seconds: int) -> None:
    """Raise a BackendError in this process after so many seconds; what runs in native code then is killed a minute later."""

    def end(*_: object) -> None:
        raise BackendError(f"it took more than {seconds:,} s of processor time and was ended; take another --target")

    with contextlib.suppress(ImportError, ValueError):  # not on Windows; a lower limit is set already
        import resource

        signal.signal(signal.SIGXCPU, end)
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 60))


def _end(*_: object) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # a second signal must not interrupt the unwinding
    sys.exit(2)


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
