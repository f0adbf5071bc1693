"""The three kinds of errors that end a command, with their exit codes (README, "Exit codes").

A command raises one of these with a message of one line: what was wrong, where, how to fix it.
`pose.cli.run` prints that line and exits; nothing else in the project calls `sys.exit`.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, get_args

if TYPE_CHECKING:
    from pydantic import ValidationError


LONGEST = 2_000  # characters of a message
# kinds of pydantic's problems: a field that there is none of, and those that the value itself explains
_UNKNOWN = ("extra_forbidden", "unexpected_keyword_argument")
_OF_A_VALUE = ("tuple_type", "_parsing", "literal_error")


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


def first_problem(error: ValidationError, model: Any = None) -> tuple[str, str]:
    """The first field that pydantic refused, by its dotted path ("" is the whole value), and why.

    Args:
        model: the model or dataclass that refused it; with it, the reason names the fields that an unknown one may be.
    """
    first = error.errors(include_url=False, include_context=False)[0]
    *around, field = first["loc"] or ("",)
    reason = one_line(first["msg"].removeprefix("Value error, "), 500)
    if first["type"] in _UNKNOWN:
        reason = f"Extra inputs are not permitted: there is no {_shown(field)} here; {_choices(str(field), model, around)}"
    elif first["type"] == "string_type":
        quotes = "; put a text in quotes" if isinstance(first["input"], int | float) else ""
        reason += f", not {_shown(first['input'])}{quotes}"
    elif first["type"].endswith(_OF_A_VALUE):
        expected = reason.partition(", unable to parse")[0].replace("a valid tuple", "a list")
        reason = f"{expected}, not {_shown(first['input'])}"
    return one_line(".".join(map(str, first["loc"])), 200), reason


def _shown(value: object) -> str:
    """A value as a message quotes it: short, and of a list or a mapping only that it is one."""
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    if isinstance(value, int) and abs(value) > 10**30:  # Python does not write out a very long one
        return "a very large number"
    text = repr(value[:40]) if isinstance(value, str) else repr(value)
    return one_line(text, 60)


def _choices(name: str, model: Any, path: Sequence[str | int]) -> str:
    """What to do about an unknown field: the nearest of the known ones, or all of them, where the model is at hand."""
    known = sorted(_fields(model, path))
    if not known:
        return "correct its name, or leave it out"
    near = difflib.get_close_matches(name, known, 1)
    return f"did you mean '{near[0]}'?" if near else f"choose among {', '.join(known)}"


def _fields(model: Any, path: Sequence[str | int]) -> list[str]:
    """Names of the fields of a model, or of the one inside it at a path as pydantic gives it; none where that is unclear."""
    for part in path:
        if isinstance(part, str):  # a number is a place in a list, whose annotation names the model already
            field = getattr(model, "__pydantic_fields__", {}).get(part)
            model = field and _model_in(field.annotation)
    return [field.alias or name for name, field in getattr(model, "__pydantic_fields__", {}).items()]


def _model_in(annotation: Any) -> Any:
    """The first model or dataclass that an annotation names: `Part` of `tuple[Part, ...] | None`."""
    if hasattr(annotation, "__pydantic_fields__"):
        return annotation
    return next((model for part in get_args(annotation) if (model := _model_in(part))), None)
