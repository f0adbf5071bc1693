"""Ctrl-C ends a command with one line and exit code 130 at any time, also while its modules are imported.

`pose` imports this module first, and so does every package that has commands. A process that is not started as a command of
ours keeps the handlers that it has. Until this module has run, Python itself answers: it imports what takes no time only.
"""

from __future__ import annotations

import os
import signal
import sys

EXIT_CODE = 130  # what a shell reports of a process that SIGINT ended
MESSAGE = "interrupted; nothing half-written is left"
PACKAGES = ("calib_data", "distill", "quantize", "edge", "android_demo", "pose")  # whose modules are commands


def during_imports() -> None:
    """Until `as_exceptions`, let Ctrl-C end the process at once: imports may hide an exception, or show it."""
    if _is_command() and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _end)


def as_exceptions() -> None:
    """Let Ctrl-C and SIGTERM raise KeyboardInterrupt from now on, so that temporary files are removed."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if signal.getsignal(signal.SIGINT) is _end:  # not where the caller ignores it, as `nohup` and `&` of a script do
        signal.signal(signal.SIGINT, signal.default_int_handler)


def at_the_end() -> None:
    """Let a further Ctrl-C end the process without a word: everything is said."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def _is_command() -> bool:
    arguments = sys.orig_argv[1:]  # sys.argv is passed on to the processes that multiprocessing starts
    if sys.argv[:1] == ["-m"]:  # while Python looks for the module, and imports the packages around it
        return any(argument.removeprefix("-m").partition(".")[0] in PACKAGES for argument in arguments)
    return any(os.path.basename(argument) in ("distilpose", "distilpose.exe") for argument in arguments)  # noqa: PTH119


def _end(*_: object) -> None:
    os.write(2, f"error: {MESSAGE}\n".encode())
    os._exit(EXIT_CODE)


during_imports()
