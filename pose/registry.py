"""Functions by the names that recipes give them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from pose.errors import InputError

T = TypeVar("T", bound=Callable)


class Registry(dict[str, T]):
    """Name -> function; `register` is the decorator that adds one.

    Args:
        kind: what the functions are, for messages.
    """

    def __init__(self, kind: str) -> None:
        super().__init__()
        self._kind = kind

    def register(self, name: str) -> Callable[[T], T]:
        """Decorator: make a function available under that name.

        Raises:
            ValueError: another one has the name.
        """

        def add(function: T) -> T:
            if name in self:
                raise ValueError(f"a {self._kind} called '{name}' is registered already")
            self[name] = function
            return function

        return add

    def find(self, name: str) -> T:
        """The function of that name.

        Raises:
            InputError: none has it.
        """
        if name not in self:
            raise InputError(f"{self._kind} '{name}' is not known; choose one of {', '.join(self)}")
        return self[name]
