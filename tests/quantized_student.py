"""The tiny student as a program that targets lower, of either scheme."""

from __future__ import annotations

from pathlib import Path

from tiny_student import SPEC, tiny_images, tiny_student

from pose.program import Program, save_program
from quantize.calibrate import calibrate
from quantize.deploy import deploy
from quantize.precision import Precision, Scheme
from quantize.program import describe, finish, float_program, prepare


def quantized_student(folder: Path, scheme: Scheme) -> Program:
    """Calibrated on blocks of colour and saved in `folder`."""
    form = deploy(tiny_student())
    student = calibrate(prepare(form, Precision(scheme=scheme), SPEC), tiny_images().split(4))
    fp32, int8 = float_program(form, SPEC), finish(student)
    card = describe("distilpose_edge", "coco17", fp32, int8, student.precision, SPEC, {"weights": "0" * 64})
    return save_program(folder, fp32, int8, card)
