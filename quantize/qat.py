"""`python -m quantize.qat`: calibration, then quantization-aware fine-tuning with the distillation losses active."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from calib_data import flags
from distill import options
from pose import cli


def main(
    teacher: options.Teacher = "tokenpose_s",
    student: options.Student = "distilpose_s",
    teacher_file: options.TeacherFile = None,
    weights: options.Weights = None,
    data: options.Data = None,
    data_weight: options.DataWeights = None,
    images: options.Images = None,
    skeleton: options.SkeletonFile = None,
    category: flags.Category = None,
    boxes: options.Boxes = "annotation",
    exif: flags.Exif = None,
    strict: flags.Strict = False,
    val: options.Validation = None,
    val_images: options.ValImages = None,
    people: options.People = 2_000,
    recipe: options.RecipeName = "qat",
    epochs: options.Epochs = None,
    scheme: Annotated[
        Literal["affine", "symmetric", "integer"],
        typer.Option(help="symmetric: zero point 0, for TensorRT. integer: resized maps are int8, too, for NPUs."),
    ] = "affine",
    estimator: Annotated[
        Literal["minmax", "percentile", "mse"], typer.Option(help="How activation ranges are found.")
    ] = "minmax",
    percentile: Annotated[
        float | None, typer.Option(help="Upper end of the ranges, with --estimator percentile [default: 99.99].")
    ] = None,
    keep_float: Annotated[
        list[str] | None, typer.Option(metavar="MODULE", help="Stays float, beside the head; repeatable.")
    ] = None,
    calibration: Annotated[int, typer.Option(min=1, help="Crops to find the ranges on.")] = 128,
    out: options.Out = Path("runs/qat"),
    resume: options.Resume = False,
    workers: options.Workers = 0,
    json: cli.Json = None,
    seed: options.Seed = None,
) -> None:
    """Make an int8 student: calibrate it, then fine-tune it under fake quantization against its teacher."""
    from rich.table import Table

    from distill import processes
    from distill import recipe as recipes
    from distill import request as requests
    from pose import models
    from pose.errors import InputError
    from pose.files import write_json
    from quantize.pipeline import quantize
    from quantize.precision import FLOAT_MODULES, Precision

    student, teacher = models.resolve(student), models.resolve(teacher, teacher=True)
    chosen = recipes.read(recipe, epochs, seed)
    train, validation = requests.people(
        *(data, images, skeleton, boxes, val, val_images, people, chosen.seed),
        unlabelled=teacher != requests.LABELS,
        weights=data_weight,
        category=category,
        exif=exif,
        strict=strict,
    )
    request = requests.Request(
        out, student, teacher, teacher_file, train, validation, chosen, weights, resume, workers
    )  # fmt: skip
    if percentile is not None and (estimator != "percentile" or not 50 < percentile <= 100):
        raise InputError(f"--percentile {percentile:g} is for --estimator percentile, above 50 and at most 100")
    float_modules = (*FLOAT_MODULES, *(keep_float or []))
    precision = Precision(scheme, float_modules, estimator, 99.99 if percentile is None else percentile)
    figures = quantize(request, precision, calibration)
    if not processes.state().is_main_process:
        return
    if json:
        write_json(json, figures)
    table = Table(student, "AP", "PCK@0.2")
    for column, figure in figures.items():
        table.add_row(column, f"{figure['ap']:.1f}", f"{figure['pck']:.1f}")
    cli.console().print(table)
    cli.console().print(f"program: {out}; next: python -m edge.export --program {out}")


if __name__ == "__main__":
    cli.run(main, "quantize.qat", "python -m quantize.qat --teacher tokenpose_s --epochs 1 --out runs/qat")
