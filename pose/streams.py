"""The standard streams of a command: open, able to write any text, and without a complaint when their reader leaves."""

from __future__ import annotations

import contextlib
import io
import os
import sys
import unicodedata
from typing import NoReturn

_DIRECTIONS = {"\u061c", "\u200e", "\u200f", *map(chr, range(0x202A, 0x202F)), *map(chr, range(0x2066, 0x206A))}


def printable(text: str) -> str:
    r"""The text with everything that a terminal obeys instead of showing it as escapes: `\x1b`, `\n`, `\u202e`.

    These are control characters, line separators and changes of direction; bytes of a name that are no UTF-8 are shown as
    `\xff`.
    """
    return text if text.isprintable() else "".join(map(_shown, text))


def _shown(character: str) -> str:
    category = unicodedata.category(character)
    if category == "Cs" and "\udc80" <= character <= "\udcff":  # Python's form of a byte that could not be decoded
        return f"\\x{ord(character) - 0xDC00:02x}"
    if category in ("Cc", "Cs", "Zl", "Zp") or character in _DIRECTIONS:
        return character.encode("unicode_escape").decode()
    return character


def open_standard_streams() -> None:
    """Give the process the three standard streams, and let them escape what their encoding lacks.

    A stream that the caller closed (`>&-`) becomes the null device: otherwise the next file that is opened would get its
    descriptor, and with it whatever a native library prints.
    """
    for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free descriptor, which is this one
        if getattr(sys, name) is None:
            setattr(sys, name, open(descriptor, "r" if descriptor == 0 else "w", closefd=False))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="surrogateescape")  # names of files, of which `find` prints any


def silence(descriptor: int) -> None:
    """Let a standard stream whose reader has left swallow the rest."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, descriptor)
    os.close(null)


def is_abandoned() -> bool:
    """Whether the reader of standard output has left, with something still to be written."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        return True
    return False


def end(code: int) -> NoReturn:
    """End the process with that exit code, whether or not somebody reads what is still to be written."""
    for descriptor, stream in ((1, sys.stdout), (2, sys.stderr)):
        try:
            stream.flush()
        except (OSError, ValueError):
            with contextlib.suppress(OSError):
                silence(descriptor)  # otherwise Python tries to flush again at exit, fails, and exits with 120
    sys.exit(code)
