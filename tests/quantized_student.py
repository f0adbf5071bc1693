"""The tiny student as a program that targets lower, of either scheme, and what every artefact of it must answer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from tiny_student import SPEC, tiny_crops, tiny_images, tiny_student
from torch import Tensor, nn

from pose.crop import CropSpec
from pose.models.deploy import deploy
from pose.program import Program, save_program
from pose.skeleton import COCO_17
from quantize.calibrate import calibrate
from quantize.precision import Precision, Scheme
from quantize.program import describe, finish, float_program, prepare
from targets import base


def quantized_student(
    folder: Path,
    scheme: Scheme = "affine",
    spec: CropSpec = SPEC,
    images: Tensor | None = None,
    form: nn.Module | None = None,
) -> Program:
    """Calibrated on `images`, or blocks of colour, and saved in `folder`; `form` is of another student than the tiny one."""
    form = deploy(tiny_student()) if form is None else form
    student = calibrate(
        prepare(form, Precision(scheme=scheme, float_modules=("head",)), spec),
        (tiny_images() if images is None else images).split(4),
    )
    fp32, int8 = float_program(form, spec), finish(student)
    card = describe("distilpose_edge", COCO_17, fp32, int8, student.precision, spec, {"weights": "0" * 64})
    return save_program(folder, fp32, int8, card)


def assert_answers_as(program: Program, artefact: base.Artefact, median: float, p99: float) -> None:
    """The artefact's keypoints are within that many pixels of its program's, and its scores are close."""
    crops = tiny_crops(16)
    lowered, scores = base.open_artefact(artefact.path).predict(crops)
    expected, expected_scores = base.open_artefact(program.path(artefact.card.precision)).predict(crops)
    apart = np.linalg.norm((lowered - expected) * 64, axis=-1)
    assert lowered.shape == (16, 17, 2)
    assert np.median(apart) <= median
    assert np.quantile(apart, 0.99) <= p99
    assert np.abs(scores - expected_scores).max() < 0.05
    assert len(np.unique(lowered.round(5), axis=0)) == 16  # each crop has its own answer
