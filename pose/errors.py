"""The three kinds of errors that end a command, with their exit codes (README, "Exit codes").

A command raises one of these with a message of one line: what was wrong, where, how to fix it.
`pose.cli.run` prints that line and exits; nothing else in the project calls `sys.exit`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError


LONGEST = 2_000  # characters of a message


class UserError(Exception):
    """Base of the errors that end a command with one line instead of a traceback.

    A message quotes names and values of files, which may be of any length: of a long one, the middle is left out.
    """

    exit_code = 2

    def __init__(self, message: object = "") -> None:
        super().__init__(shortened(str(message)))


class InputError(UserError):
    """The input is wrong: a file, a flag, an annotation, a checkpoint."""


class GateError(UserError):
    """The input is right, and a measured result is outside the limit that the user set."""

    exit_code = 1


class BackendError(UserError):
    """A device or a backend failed."""

    exit_code = 3


def from_exit_code(code: int, message: str) -> UserError:
    """The error that another process reports by its exit code; an unknown code is a failure of that process."""
    kinds: dict[int, type[UserError]] = {kind.exit_code: kind for kind in (GateError, InputError, BackendError)}
    return kinds.get(code, BackendError)(message)


def one_line(message: object, limit: int | None = None) -> str:
    """The message of somebody else's exception, for a message of ours: on one line, cut off after `limit` characters."""
    return " ".join(str(message).split())[:limit]


def shortened(text: str, most: int = LONGEST) -> str:
    """The text, with the middle left out of one of more than `most` characters: the end says how to fix it."""
    half = (most - 5) // 2
    return text if len(text) <= most else f"{text[:half]} ... {text[-half:]}"


def first_problem(error: ValidationError) -> tuple[str, str]:
    """The first field that pydantic refused, by its dotted path ("" is the whole value), and why."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    return one_line(".".join(map(str, first["loc"])), 200), one_line(first["msg"].removeprefix("Value error, "), 500)
