"""`python -m distill.teacher`: fits a heatmap teacher to labels, for users who have none."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from calib_data import flags
from distill import options
from distill.run_files import TEACHER
from pose import cli


def main(
    teacher: Annotated[
        str, typer.Option(metavar="NAME|FILE.py:FACTORY", help="tokenpose_s, hrnet_w32, ..., or your own.")
    ] = "tokenpose_s",
    data: options.Data = None,
    images: options.Images = None,
    skeleton: options.SkeletonFile = None,
    category: flags.Category = None,
    boxes: options.Boxes = "annotation",
    exif: flags.Exif = None,
    strict: flags.Strict = False,
    val: options.Validation = None,
    val_images: options.ValImages = None,
    people: options.People = 20_000,
    recipe: options.RecipeName = "teacher",
    epochs: options.Epochs = None,
    weights: options.Weights = None,
    student_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A student's weights, from which all but the head starts.")
    ] = None,
    out: options.Out = Path("runs/teacher"),
    resume: options.Resume = False,
    workers: options.Workers = 0,
    json: cli.Json = None,
    seed: options.Seed = None,
) -> None:
    """Fit a heatmap teacher to the labels of photos, or of drawn people."""
    from distill import fit_teacher, processes, teachers
    from distill import recipe as recipes
    from distill.request import people as people_of
    from distill.run_folder import require_new_run_dir
    from pose import models
    from pose.errors import InputError
    from pose.files import write_json

    teacher = models.resolve(teacher, teacher=True)
    if teachers.is_foreign(teacher):
        raise InputError(f"{teacher} is a foreign network, which is not trained here; choose one of ours")
    chosen = recipes.read(recipe, epochs, seed)
    train, validation = people_of(
        data, images, skeleton, boxes, val, val_images, people, chosen.seed, category=category, exif=exif, strict=strict
    )
    require_new_run_dir(out, resume)
    figures = fit_teacher.fit(teacher, out, train, validation, chosen, weights, student_file, resume, workers)
    if not processes.state().is_main_process:
        return
    if json:
        write_json(json, figures)
    cli.console().print(f"{teacher}: AP {figures['ap']:.1f}, PCK@0.2 {figures['pck']:.1f}; {out / TEACHER}")


if __name__ == "__main__":
    cli.run(main, "distill.teacher", "python -m distill.teacher --teacher tokenpose_s --epochs 3")
