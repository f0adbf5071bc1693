"""What a command shows: results on standard output, notes and progress on standard error.

Nothing that is printed is interpreted: names and messages come from files and devices, so markup is off and terminal escapes
are shown as text (`pose.streams.printable`). Colours are given by `style`.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from io import BufferedWriter
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from pose.errors import shortened
from pose.streams import printable, silence

Item = TypeVar("Item")


class _Output(Console):
    """Standard output. When its reader ends (`| head`), nothing more is printed; the exit code stays the same."""

    def on_broken_pipe(self) -> None:
        self.quiet = True
        silence(1)

    def render_str(self, text: str, **how: Any) -> Text:
        """Every string that is printed, those in the cells of tables included, comes through here."""
        return super().render_str(printable(text), **(how | {"markup": False, "emoji": False}))


def console() -> Console:
    """The console that results are printed on: as wide as the terminal, 125 columns in a file or a pipe."""
    return _Output(width=None if sys.stdout.isatty() else 125, highlight=False)


def note(text: str) -> None:
    """Print one line for the user that is not part of the result."""
    try:
        print(printable(shortened(text)), file=sys.stderr, flush=True)
    except OSError:  # its reader has left, or the disk is full: the result counts
        silence(2)


def open_special(path: Path) -> BufferedWriter:
    """A device or a pipe to write to. Where nothing reads the pipe yet, it says so, and waits.

    Raises:
        OSError: it cannot be opened.
    """
    try:
        number = os.open(path, os.O_WRONLY | getattr(os, "O_NONBLOCK", 0))
    except OSError as error:
        if error.errno != errno.ENXIO or not path.is_fifo():
            raise
        note(f"note: {path} is a pipe: waiting until something reads it")
        return open(path, "wb")
    os.set_blocking(number, True)
    return open(number, "wb")


@contextlib.contextmanager
def progress(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """A bar with the time left, on a terminal only. It yields a function that takes the number of steps done so far."""
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with (
        # a descriptor of its own: `quiet` does not silence the bar
        os.fdopen(os.dup(2), "w", encoding=sys.stderr.encoding, errors="backslashreplace") as stderr,
        Progress(*columns, console=Console(file=stderr), transient=True, disable=not stderr.isatty()) as bar,
    ):
        task = bar.add_task(printable(what), total=total)
        yield lambda done: bar.update(task, completed=done)


def track(items: Iterable[Item], what: str, total: int) -> Iterator[Item]:
    """The items, with a progress bar while they are iterated over."""
    with progress(what, total) as step:
        for done, item in enumerate(items, 1):
            yield item
            step(done)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Discard what native libraries write to standard error without going through Python; exceptions still pass."""
    sys.stderr.flush()
    kept = os.dup(2)
    silence(2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
