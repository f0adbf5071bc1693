"""Exceptions of Python and of the libraries that are no bug: too little memory, a missing extra, a name that is no UTF-8."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterable

from pose.errors import BackendError, InputError, UserError, one_line

# parameter of a command -> what its user can lower to need less memory
_LOWER = {
    "recipe": "the recipe's batch or resolution",
    "people": "--people",
    "calibration": "--calibration",
    "workers": "--workers",
    "limit": "--limit",
    "threads": "--threads",
}
# torch and OpenCV have no class for it (RuntimeError, cv2.error), numpy raises ValueError beyond the address space
_NO_MEMORY = re.compile(
    "can't allocate memory|out of memory|insufficient memory|failed to allocate|unable to allocate|cannot allocate memory|"
    "bad_alloc|array is too big|storage size calculation overflowed|unable to (open|mmap|write to).*shared memory|"
    "unable to (mmap|write to file)|received 0 items of ancdata",
    re.IGNORECASE,
)
_PYBIND = re.compile(r"incompatible function arguments.*'([^']*\\ud[89a-f][^']*)'", re.DOTALL)
_NO_UTF8 = "a name that is no UTF-8, which a library of the backend cannot open; rename it"
_AMOUNT = re.compile(r"([\d.]+) ?(bytes|[KMGTPE]i?B)( for an array with shape \([\d, ]*\))?")
_WORKER = re.compile(r"DataLoader worker \(pid\S* [\d, ]+\) (is killed by signal|exited unexpectedly)")


def as_user_error(error: BaseException, parameters: Iterable[str] = ()) -> UserError | None:
    """The error of one line for an exception that is not ours; None for what can only be a bug.

    Args:
        parameters: names of the command's, by which the line says what to lower.
    """
    text = str(error)
    if _WORKER.search(text):
        return BackendError(f"a process that makes crops was killed; out of memory? {_advice(parameters)}")
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
        return _no_memory(text, parameters)
    if isinstance(error, Exception) and _NO_MEMORY.search(text):
        return _no_memory(text, parameters)
    if type(error).__module__ == "cv2":  # which takes images of up to 32,766 pixels a side
        return InputError(f"OpenCV cannot process an image ({one_line(error, 200)}); is it too large, or empty?")
    if isinstance(error, RuntimeError) and "can't start new thread" in text:
        return BackendError(f"the system starts no more threads; {_advice(parameters)}")
    if isinstance(error, ImportError):
        return _not_installed(error)
    if isinstance(error, UnicodeEncodeError) and error.reason == "surrogates not allowed":
        return InputError(f"{one_line(error.object, 200)}: {_NO_UTF8}")
    if isinstance(error, TypeError) and (name := _PYBIND.search(text)):  # what pybind11 makes of the same
        return InputError(f"{name[1]}: {_NO_UTF8}")
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return InputError(f"{where}{error.strerror or error}")
    return None


def _no_memory(text: str, parameters: Iterable[str]) -> BackendError:
    amount = _AMOUNT.search(text)
    what = f": {_readable(amount[1], amount[2])}{amount[3] or ''} at once is too much" if amount else ""
    return BackendError(f"out of memory{what}; {_advice(parameters)}")


def _readable(number: str, unit: str) -> str:
    return f"{float(number) / 1e9:,.1f} GB" if unit == "bytes" else f"{number} {unit}"


def _advice(parameters: Iterable[str]) -> str:
    given = set(parameters)
    lower = [text for name, text in _LOWER.items() if name in given]
    return f"lower {', '.join(lower)}, or close other programs" if lower else "close other programs"


def _not_installed(error: ImportError) -> BackendError | None:
    from pose.installed import install_command

    module = (error.name or "").partition(".")[0]
    command = install_command(module)
    if command is None:
        return None
    if isinstance(error, ModuleNotFoundError):
        return BackendError(f"{module} is not installed; {command}")
    return BackendError(f"{module} is installed and cannot be imported ({one_line(error, 200)}); {command}")
