"""Methods of quantization-aware fine-tuning, by the name that a recipe gives them (`method`).

A method decides what of the quantization itself changes while the student trains. To add one, write a function of the
calibrated student and register it; `quantize.qat` calls it once, before the first step.
"""

from __future__ import annotations

from collections.abc import Callable

from pose.registry import Registry
from quantize.program import QatStudent

QatMethod = Callable[[QatStudent], None]
METHODS: Registry[QatMethod] = Registry("recipe: method")
register = METHODS.register


@register("frozen_ranges")
def frozen_ranges(student: QatStudent) -> None:
    """Activation ranges stay as calibration found them; weights and biases learn to live with them."""
    student.observe(False)


@register("growing_ranges")
def growing_ranges(student: QatStudent) -> None:
    """Activation ranges grow with whatever training crops show beyond the calibration crops; `minmax` estimates them so."""
    student.observe(True)
