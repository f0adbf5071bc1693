"""The frame of every command: shared flags, exit codes, errors of one line, progress bars.

Exit codes: 0 good; 1 a gate failed; 2 the input is wrong; 3 a device, a backend or the program itself failed; 130 the run
was interrupted. Results go to standard output; errors, notes and progress go to standard error.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import logging
import math
import os
import re
import stat
import sys
import traceback
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from pose import __version__, interrupts
from pose.errors import BackendError, InputError, UserError, one_line
from pose.failures import as_user_error
from pose.files import require_apart, require_writable, results_apart
from pose.streams import end, is_abandoned, open_standard_streams
from pose.terminal import console, note, progress, quiet, track

__all__ = [
    "Apk",
    "Json",
    "Seed",
    "Threads",
    "Writes",
    "console",
    "note",
    "pairs",
    "progress",
    "quiet",
    "run",
    "track",
    "writable",
]


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
        resumed: whether the command also reads them, to go on with them.
    """

    files: Callable[[Path], Iterable[Path]] = lambda path: [path]
    resumed: bool = False


Json = Annotated[
    Path | None,
    typer.Option("--json", metavar="FILE", help="Also write the result here, for machines.", callback=writable),
    Writes(),
]
MOST_THREADS = 256
Threads = Annotated[int, typer.Option(min=1, max=MOST_THREADS, help="Threads of the runtimes.")]
Apk = Annotated[Path | None, typer.Option(metavar="FILE", help="The app of android_demo, installed on phones over adb.")]
Seed = Annotated[int, typer.Option(min=0, max=2**63 - 1, help="Seed of everything random in this command.")]


SET_NAME = r"[a-z0-9][a-z0-9_-]{0,39}"  # of a set of people, which is part of the names of files


def pairs(flag: str, texts: Sequence[str]) -> dict[str, str]:
    """NAME -> VALUE of a repeated flag `--flag NAME=VALUE`.

    Raises:
        InputError: one is nothing of the kind, or a name is repeated.
    """
    values: dict[str, str] = {}
    for text in texts:
        name, _, value = text.partition("=")
        if not value or not re.fullmatch(SET_NAME, name):
            raise InputError(f"{flag} {text}: write NAME=VALUE, the name of small letters, digits, _ and -")
        if name in values:
            raise InputError(f"{flag} names {name} twice")
        values[name] = value
    return values


def run(command: Callable[..., None], module: str, example: str) -> NoReturn:
    """Parse the command line, run the command, exit.

    Args:
        command: its parameters are typer's, its docstring is the help.
        module: as in `python -m module`.
        example: one whole command line, shown by `--help`.
    """
    open_standard_streams()
    interrupts.as_exceptions()
    if not sys.warnoptions:  # python -W default shows the libraries' warnings to developers
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
    try:
        code = _invoke(command, f"python -m {module}", example)
        sys.stdout.flush()
    except KeyboardInterrupt:
        interrupts.at_the_end()
        code = _fail(interrupts.MESSAGE, interrupts.EXIT_CODE)
    except UserError as error:
        code = _fail(str(error), error.exit_code)
    except typer.TyperException as error:
        problem = error.format_message().replace(": Value error, ", ": ")  # pydantic's prefix
        code = _fail(f"{problem} (python -m {module} --help)", InputError.exit_code)
    except Exception as error:
        known = as_user_error(error, inspect.signature(command).parameters)
        if isinstance(error, BrokenPipeError) and is_abandoned():
            code = 0
        else:
            code = _fail(str(known), known.exit_code) if known else _report_bug()
    interrupts.at_the_end()
    end(code)


def _invoke(command: Callable[..., None], name: str, example: str) -> int:
    app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    app.command(epilog=f"\b\nExample:\n  {example}")(_with_version(command))
    parsed = typer.main.get_command(app)
    _require_values(sys.argv[1:])
    try:
        with parsed.make_context(name, sys.argv[1:]) as context:
            parsed.invoke(context)
    except typer.Exit as early:  # --help, --version
        return early.exit_code
    return 0


def _require_values(arguments: Sequence[str]) -> None:
    """Raises InputError where an option has an empty value, which as a path would be the current folder."""
    for flag, value in zip(["", *arguments], arguments, strict=False):
        if not value or re.fullmatch("--[a-z0-9-]+=", value):
            raise InputError(
                f"{value.removesuffix('=') or flag or 'an argument'} has an empty value; name something, or leave it out"
            )


def _with_version(command: Callable[..., None]) -> Callable[..., None]:
    """The command with one more option, `--version`."""

    signature = inspect.signature(command, eval_str=True)

    @functools.wraps(command)
    def run_command(version: bool, **options: Any) -> None:
        _require_finite(options)
        with results_apart(_require_apart(signature, options)):
            command(**options)

    option = inspect.Parameter("version", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=_Version)
    run_command.__signature__ = signature.replace(parameters=[*signature.parameters.values(), option])  # type: ignore[attr-defined]
    return run_command


def _require_finite(options: dict[str, Any]) -> None:
    """Raises InputError where a number is NaN or infinite: a range that is open above lets infinity pass."""
    for name, value in options.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise InputError(f"--{name.replace('_', '-')} {value} is no number to measure by; give a finite one")


def _require_apart(signature: inspect.Signature, options: dict[str, Any]) -> list[Path]:
    """What the command writes and must not read. Raises InputError where the options let it write over what it reads."""
    writes: list[Path] = []
    unread: list[Path] = []
    reads: list[Path] = []
    for name, value in options.items():
        parameter = signature.parameters.get(name)
        marks = getattr(parameter.annotation, "__metadata__", ()) if parameter else ()
        mark = next((mark for mark in marks if isinstance(mark, Writes)), None)
        if mark is not None:
            results = list(mark.files(value)) if value is not None else []
            writes += results
            unread += [] if mark.resumed else results
        else:
            paths = value if isinstance(value, list | tuple) else [value]
            reads += [Path(path) for path in paths if isinstance(path, Path) or _is_file(path)]
    require_apart(writes, reads)
    _require_not_input(writes)
    return unread


def _require_not_input(writes: Sequence[Path]) -> None:
    """Raises InputError where a result would be written over the file that standard input is: `- --json x < x`."""
    status = os.fstat(0)
    for path in writes if stat.S_ISREG(status.st_mode) else ():
        with contextlib.suppress(OSError, ValueError):
            if os.path.samestat(path.stat(), status):
                raise InputError(f"{path} is standard input, which would be written over; give the result another name")


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
    note("error: " + one_line(message))
    return code


def _report_bug() -> int:
    for line in traceback.format_exc().splitlines():
        note(line)
    return _fail("this is a bug; please report it with the lines above", BackendError.exit_code)
