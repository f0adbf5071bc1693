"""What a target lets its user choose, and how a file's name tells: known without a toolchain, whose import takes seconds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Pixels = Literal["float32", "uint8"]
Delegate = Literal["xnnpack", "coreml", "vulkan"]
Compute = Literal["float32", "float16"]


@dataclass(frozen=True)
class Choice:
    """Something that a target does in one way unless told otherwise.

    Attributes:
        name: keyword of the target's `lower`, and flag of `edge.export`.
        precisions: those that it makes a difference to.
    """

    name: str
    usual: str
    precisions: tuple[str, ...] = ("fp32", "fp16", "int8")


CHOICES = {
    "tflite": Choice("input", "float32"),
    "executorch": Choice("delegate", "xnnpack"),
    "coreml": Choice("compute", "float32", ("int8",)),
}


def kind(target: str, precision: str | None, chosen: str | None) -> str:
    """What the names of files tell: the target and, when it is not the usual one, what was chosen."""
    choice = CHOICES.get(target)
    if choice is None or chosen in (None, choice.usual) or precision not in choice.precisions:
        return target
    return f"{target}-{chosen}"
