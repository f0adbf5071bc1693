"""Methods of quantization-aware fine-tuning, by the name that a recipe gives them (`method`).

A method decides what of the quantization itself changes while the student trains. To add one, write a function of the
calibrated student and register it; `quantize.qat` calls it once, before the first step.
"""

from __future__ import annotations

from collections.abc import Callable

from pose.errors import InputError
from quantize.program import QatStudent

QatMethod = Callable[[QatStudent], None]
METHODS: dict[str, QatMethod] = {}


def register(name: str) -> Callable[[QatMethod], QatMethod]:
    """Decorator: make a method available to recipes under that name.

    Raises:
        ValueError: another method has the name.
    """

    def add(method: QatMethod) -> QatMethod:
        if name in METHODS:
            raise ValueError(f"a method called '{name}' is registered already")
        METHODS[name] = method
        return method

    return add


def get(name: str) -> QatMethod:
    """The method of that name.

    Raises:
        InputError: none has it.
    """
    if name not in METHODS:
        raise InputError(f"recipe: method '{name}' is not known; choose one of {', '.join(METHODS)}")
    return METHODS[name]


@register("frozen_ranges")
def frozen_ranges(student: QatStudent) -> None:
    """Activation ranges stay as calibration found them; weights and biases learn to live with them."""
    student.observe(False)


@register("growing_ranges")
def growing_ranges(student: QatStudent) -> None:
    """Activation ranges grow with whatever training crops show beyond the calibration crops; `minmax` estimates them so."""
    student.observe(True)
