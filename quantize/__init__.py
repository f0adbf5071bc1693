"""Int8: calibration and quantization-aware fine-tuning of a float student, with the distillation losses active.

Start reading at `quantize.qat`, the command; `quantize.precision` says what is int8, `quantize.exact` why backends agree.
"""

import pose.interrupts  # noqa: F401 - first: Ctrl-C while the rest is imported
