"""The frame of every command: shared flags, exit codes, errors of one line, progress bars.

Exit codes: 0 good; 1 a gate failed; 2 the input is wrong, or the run was interrupted; 3 a device, a backend or the program
itself failed. Results go to standard output; errors, notes and progress go to standard error.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import logging
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from pose import __version__
from pose.errors import BackendError, InputError, UserError, one_line
from pose.files import require_apart, require_writable

Item = TypeVar("Item")


def writable(path: Path | None) -> Path | None:
    """The path that a flag names, after a check that a file can be written there."""
    if path is not None:
        require_writable(path)
    return path


@dataclass(frozen=True)
class Writes:
    """Marks a flag as the name of what a command writes; the other flags with paths name what it reads.

    Attributes:
        files: the files that are written for the value of the flag.
    """

    files: Callable[[Path], Iterable[Path]] = lambda path: [path]


Json = Annotated[
    Path | None,
    typer.Option("--json", metavar="FILE", help="Also write the result here, for machines.", callback=writable),
    Writes(),
]
Threads = Annotated[int, typer.Option(min=1, max=256, help="Threads of the runtimes.")]
Seed = Annotated[int, typer.Option(min=0, max=2**63 - 1, help="Seed of everything random in this command.")]


class _Output(Console):
    """Standard output. When its reader ends (`| head`), nothing more is printed; the exit code stays the same."""

    def on_broken_pipe(self) -> None:
        self.quiet = True
        _silence_stdout()


def console() -> Console:
    """The console that results are printed on: as wide as the terminal, 125 columns in a file or a pipe."""
    return _Output(width=None if sys.stdout.isatty() else 125, highlight=False)


def note(text: str) -> None:
    """Print one line for the user that is not part of the result."""
    print(text, file=sys.stderr, flush=True)


@contextlib.contextmanager
def progress(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """A bar with the time left, on a terminal only. It yields a function that takes the number of steps done so far."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with (
        os.fdopen(os.dup(2), "w") as stderr,  # a descriptor of its own: `quiet` does not silence the bar
        Progress(*columns, console=Console(file=stderr), transient=True, disable=not stderr.isatty()) as bar,
    ):
        task = bar.add_task(what, total=total)
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
    kept, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    os.close(null)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def run(command: Callable[..., None], module: str, example: str) -> NoReturn:
    """Parse the command line, run the command, exit.

    Args:
        command: its parameters are typer's, its docstring is the help.
        module: as in `python -m module`.
        example: one whole command line, shown by `--help`.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # an exception, so that temporary files are removed
    if not sys.warnoptions:  # python -W default shows the libraries' warnings to developers
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
    try:
        code = _invoke(command, f"python -m {module}", example)
        sys.stdout.flush()
    except KeyboardInterrupt:
        code = _fail("interrupted; nothing half-written is left", 2)
    except UserError as error:
        code = _fail(str(error), error.exit_code)
    except typer.TyperException as error:
        code = _fail(f"{error.format_message()} (python -m {module} --help)", InputError.exit_code)
    except BrokenPipeError:
        _silence_stdout()
        code = 0
    except MemoryError:
        code = _fail("out of memory; close other programs, or give less at a time (--limit)", BackendError.exit_code)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        code = _fail(f"{where}{error.strerror or error}", InputError.exit_code)
    except Exception:
        traceback.print_exc()
        code = _fail("this is a bug; please report it with the lines above", BackendError.exit_code)
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.exit(code)
    _silence_stdout()  # otherwise Python tries to flush again at exit, and fails
    sys.exit(code)


def _invoke(command: Callable[..., None], name: str, example: str) -> int:
    app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    app.command(epilog=f"\b\nExample:\n  {example}")(_with_version(command))
    parsed = typer.main.get_command(app)
    try:
        with parsed.make_context(name, sys.argv[1:]) as context:
            parsed.invoke(context)
    except typer.Exit as end:  # --help, --version
        return end.exit_code
    return 0


def _with_version(command: Callable[..., None]) -> Callable[..., None]:
    """The command with one more option, `--version`."""

    signature = inspect.signature(command, eval_str=True)

    @functools.wraps(command)
    def run_command(version: bool, **options: Any) -> None:
        _require_apart(signature, options)
        command(**options)

    option = inspect.Parameter("version", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=_Version)
    run_command.__signature__ = signature.replace(parameters=[*signature.parameters.values(), option])  # type: ignore[attr-defined]
    return run_command


def _require_apart(signature: inspect.Signature, options: dict[str, Any]) -> None:
    """Raises InputError where the options let a command write over what it reads."""
    writes: list[Path] = []
    reads: list[Path] = []
    for name, value in options.items():
        parameter = signature.parameters.get(name)
        marks = getattr(parameter.annotation, "__metadata__", ()) if parameter else ()
        mark = next((mark for mark in marks if isinstance(mark, Writes)), None)
        if mark is not None:
            writes += mark.files(value) if value is not None else []
        else:
            paths = value if isinstance(value, list | tuple) else [value]
            reads += [Path(path) for path in paths if isinstance(path, Path) or _is_file(path)]
    require_apart(writes, reads)


def _is_file(value: Any) -> bool:
    """Whether a flag that takes a name or a path was given the path of a file."""
    with contextlib.suppress(OSError, ValueError):
        return isinstance(value, str) and Path(value).is_file()
    return False


def _show_version(is_given: bool) -> None:
    if is_given:
        print(f"distilpose-edge {__version__}")
        raise typer.Exit


_Version = Annotated[
    bool, typer.Option("--version", is_eager=True, callback=_show_version, help="Show the version and exit.")
]


def _fail(message: str, code: int) -> int:
    with contextlib.suppress(OSError):
        note("error: " + one_line(message))
    return code


def _silence_stdout() -> None:
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)
