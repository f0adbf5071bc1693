"""`python -m quantize.qat`: calibration, then quantization-aware fine-tuning with the distillation losses active."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from distill import options
from pose import cli

if TYPE_CHECKING:
    from torch import Tensor

    from calib_data.crops import Crops
    from distill.request import Request
    from quantize.precision import Precision


def quantize(request: Request, precision: Precision, calibration: int = 128) -> dict[str, dict[str, float]]:
    """Write two programs, `out`/ptq (calibrated only) and `out` (fine-tuned), each with its float twin.

    Args:
        calibration: crops of the training people, without augmentation, that the activation ranges come from, for equalising
            channels (`quantize.equalise`) and for the scales.

    Returns:
        Validation figures of the finished programs, by `fp32`, `ptq` and `qat`: those that `edge.check` gives for them.

    Raises:
        InputError: no float weights, or anything that `distill.task.build` raises.
    """
    from calib_data.crops import Crops
    from distill import processes
    from distill import task as tasks
    from distill.objective import project
    from distill.training import Run, check_resume_settings, require_new_run_dir
    from distill.validation import BATCH, validate_program
    from pose import models
    from pose.errors import InputError
    from pose.files import sha256, write_json
    from pose.program import save_program
    from pose.weights import weights_file
    from quantize import program as programs
    from quantize.calibrate import calibrate
    from quantize.deploy import deploy
    from quantize.equalise import equalise

    out, student, recipe = request.out, request.student, request.recipe
    if recipe.resolution != 1:
        raise InputError(f"recipe: resolution {recipe.resolution:g}: a program is trained at the size that it ships with, 1")
    if recipe.bf16 or recipe.optimiser == "muon":
        raise InputError("recipe: a program is trained in float32, by adam or adamw; take --recipe qat, or bf16: false")
    tasks.check_names(student, request.teacher)
    require_new_run_dir(out, request.resume)
    process = processes.state()
    start = request.weights or weights_file(student)
    task = tasks.build(request)
    crop = models.MODELS[student].crop
    network = models.build(student, len(task.skeleton), start).eval()
    form = deploy(network)
    strangers = sorted({*precision.float_modules} - {name for name, _ in form.named_modules() if name})
    if strangers:
        parts = ", ".join(name for name, _ in form.named_children())
        raise InputError(f"--keep-float {strangers[0]!r}: {student} has no such module; its parts are {parts}")
    plain = Crops(request.train.source, crop, task.skeleton)
    indices = range(min(calibration, len(plain)))
    sources = {"weights": sha256(start), "calibration": pixels_digest(plain, indices), **task.digests}
    settings = {
        "student": student,
        "teacher": task.teacher,
        "precision": asdict(precision),
        "calibration": calibration,
        "digests": sources,
    }
    check_resume_settings(out, {"recipe": asdict(recipe), **settings}, request.resume)
    fp32 = programs.float_program(form, crop)
    figures = {"fp32": validate_program(fp32, task.held_out)}
    task.compare(figures["fp32"])

    def batches(doing: str) -> Iterable[Tensor]:
        return cli.track(tasks.images(plain, indices, BATCH), doing, math.ceil(len(indices) / BATCH))

    equalise(form, programs.trace(form, crop), batches("Equalising"), precision.scheme)
    quantized = programs.prepare(form, precision, crop)
    calibrate(quantized, batches("Calibrating"))

    def save(folder: Path, column: str) -> None:
        int8 = programs.finish(quantized)
        figures[column] = validate_program(int8, task.held_out)
        measured: dict[str, Any] = {"validation": {name: figures[name] for name in ("fp32", column)}}
        card = programs.describe(student, task.skeleton, fp32, int8, precision, crop, sources, measured)
        save_program(folder, fp32, int8, card)

    if process.is_main_process:
        save(out / "ptq", "ptq")
    model = project(quantized, network, task.live)
    objective = replace(task.objective, twin=network) if recipe.losses.float_twin else task.objective
    run = Run(
        out, model, objective, task.batches, recipe, settings,
        validate=task.validate, workers=request.workers, resume=request.resume,
    )  # fmt: skip
    with cli.progress(f"Fine-tuning {student}", run.steps) as step:
        run.train(step)
    run.finish()
    if process.is_main_process:
        save(out, "qat")
        write_json(out / "result.json", {**settings, "people": len(request.validation.source), **figures})
    return figures


def pixels_digest(crops: Crops, indices: Iterable[int]) -> str:
    """sha256 of what calibration sees: the size of the crops, and their pixels in order."""
    digest = hashlib.sha256(f"{crops.spec.width}x{crops.spec.height}".encode())
    for index in indices:
        digest.update(crops.get(index).pixels.tobytes())
    return digest.hexdigest()


def main(
    teacher: options.Teacher = "tokenpose_s",
    student: options.Student = "distilpose_s",
    teacher_file: options.TeacherFile = None,
    weights: options.Weights = None,
    data: options.Data = None,
    images: options.Images = None,
    boxes: options.Boxes = "annotation",
    val: options.Validation = None,
    val_images: options.ValImages = None,
    people: options.People = 2_000,
    recipe: options.RecipeName = "qat",
    epochs: options.Epochs = None,
    scheme: Annotated[
        Literal["affine", "symmetric"], typer.Option(help="symmetric: zero point 0, for TensorRT.")
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
    from pose.errors import InputError
    from pose.files import write_json
    from quantize.precision import FLOAT_MODULES, Precision

    chosen = recipes.read(recipe, epochs, seed)
    train, validation = requests.people(data, images, boxes, val, val_images, people, chosen.seed)
    request = requests.Request(
        out, student, teacher, teacher_file, train, validation, chosen, weights, resume, workers
    )  # fmt: skip
    if percentile is not None and (estimator != "percentile" or not 50 < percentile <= 100):
        raise InputError(f"--percentile {percentile:g} is for --estimator percentile, above 50 and at most 100")
    kept = (*FLOAT_MODULES, *(keep_float or []))
    precision = Precision(scheme, kept, estimator) if percentile is None else Precision(scheme, kept, estimator, percentile)
    figures = quantize(request, precision, calibration)
    if not processes.state().is_main_process:
        return
    table = Table(student, "AP", "PCK@0.2")
    for name, each in figures.items():
        table.add_row(name, f"{each['ap']:.1f}", f"{each['pck']:.1f}")
    cli.console().print(table)
    cli.console().print(f"program: {out}; next: python -m edge.export --program {out}")
    if json:
        write_json(json, figures)


if __name__ == "__main__":
    cli.run(main, "quantize.qat", "python -m quantize.qat --teacher tokenpose_s --epochs 1 --out runs/qat")
