"""What a target lets its user choose, and how a file's name tells: known without a toolchain, whose import takes seconds."""

from __future__ import annotations

from typing import Literal, get_args

Pixels = Literal["float32", "uint8"]
Delegate = Literal["xnnpack", "coreml", "vulkan"]
Compute = Literal["float32", "float16"]

# Target -> keyword of its `lower`, which is a flag of `edge.export` too, and its values, the usual one first.
CHOICES = {
    "tflite": ("input", get_args(Pixels)),
    "executorch": ("delegate", get_args(Delegate)),
    "coreml": ("compute", get_args(Compute)),
}


def is_usual(target: str, choice: str) -> bool:
    """Whether it is what the target does unless told otherwise."""
    return choice == CHOICES[target][1][0]


def kind(target: str, choice: str) -> str:
    """What the names of files tell: the target and, when it is not the usual one, the choice."""
    return target if is_usual(target, choice) else f"{target}-{choice}"
