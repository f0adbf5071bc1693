"""`python -m quantize.distill`: float distillation, from scratch or from weights."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from pose import cli
from quantize import options

if TYPE_CHECKING:
    from torch import nn

    from quantize.recipe import Recipe
    from quantize.sources import Data
    from quantize.task import Task


def data_of(
    data: list[Path] | None, images: list[Path] | None, boxes: str, val: Path | None, people: int, seed: int
) -> tuple[Data, Data]:
    """Training and validation people of a command line.

    Raises:
        InputError: files that are wrong, or flags that do not belong together.
    """
    from pose.errors import InputError
    from quantize import sources

    if images and len(images) != len(data or []):
        raise InputError(f"{len(images)} --images for {len(data or [])} --data; give one folder for each, in the same order")
    if bool(data) != bool(val):
        raise InputError("--data and --val belong together: photos are validated on photos; give both, or neither")
    if not data or val is None:
        return sources.drawn(people, seed), sources.drawn_validation()
    return sources.annotated(data, images or [], boxes), sources.annotated([val], [], boxes)


def start(student: str, task: Task, weights: Path | None, trunk: Path | None, recipe: Recipe) -> nn.Module:
    """The student before its first step: given weights, or random ones with what its teacher or a trunk's file can lend.

    As the paper starts DistilPose-L from its teacher's backbone, every tensor that the teacher has under the same name and
    with the same shape is taken over; the head is always the student's own.
    """
    import torch

    from pose import models
    from quantize import processes

    torch.manual_seed(recipe.seed)
    model = models.build(student, len(task.skeleton), weights)
    if trunk is not None:
        from pose.models.backbones.movenet import MoveNetTrunk, import_weights

        import_weights(cast(MoveNetTrunk, model.backbone), trunk)
    if weights is None and task.teacher_model is not None:
        lent = {k: v for k, v in task.teacher_model.state_dict().items() if not k.startswith("head.")}
        own = model.state_dict()
        lent = {key: value for key, value in lent.items() if key in own and own[key].shape == value.shape}
        model.load_state_dict(lent, strict=False)
        processes.note(f"{len(lent)} of the student's {len(own)} tensors start from {task.teacher}")
    return model


def distill(
    out: Path,
    student: str,
    teacher: str,
    teacher_file: Path | None,
    train: Data,
    validation: Data,
    recipe: Recipe,
    *,
    weights: Path | None = None,
    trunk: Path | None = None,
    resume: bool = False,
    workers: int = 0,
) -> dict[str, float]:
    """Distil a float student into `out`/student.safetensors; returns its validation figures."""
    from pose.files import sha256, write_json
    from pose.models import checkpoint
    from quantize import task as tasks
    from quantize.distillation import project
    from quantize.training import Run, claim

    tasks.check_names(student, teacher)
    claim(out, resume)
    task = tasks.build(student, teacher, teacher_file, train, validation, recipe)
    network = start(student, task, weights, trunk, recipe)
    model = project(network, network, task.live)
    given = {name: sha256(path) for name, path in (("weights", weights), ("trunk", trunk)) if path}
    settings = {"student": student, "teacher": task.teacher, "digests": {**task.digests, **given}}
    run = Run(
        out, model, task.objective, task.batches, recipe, settings, validate=task.validate, workers=workers, resume=resume
    )
    with cli.progress(f"Distilling {student}", run.steps) as step:
        run.train(step)
    figures = run.finish()
    if run.main:
        checkpoint.save(network, out / "student.safetensors")
        write_json(out / "result.json", {**settings, "people": len(validation.source), **figures})
    return figures


def main(
    student: options.Student = "distilpose_s",
    teacher: options.Teacher = "tokenpose_s",
    teacher_file: options.TeacherFile = None,
    data: options.Data = None,
    images: options.Images = None,
    boxes: options.Boxes = "annotation",
    val: options.Validation = None,
    people: options.People = 20_000,
    recipe: options.RecipeName = "paper",
    epochs: options.Epochs = None,
    weights: options.Weights = None,
    trunk: Annotated[
        Path | None, typer.Option(metavar="ONNX", help="MoveNet Lightning, whose trunk distilpose_edge starts from.")
    ] = None,
    out: options.Out = Path("runs/distill"),
    resume: options.Resume = False,
    workers: options.Workers = 0,
    json: cli.Json = None,
    seed: options.Seed = None,
) -> None:
    """Distil a float regression student from a heatmap teacher."""
    from pose.files import write_json
    from quantize import processes
    from quantize import recipe as recipes

    chosen = recipes.read(recipe, epochs, seed)
    train, validation = data_of(data, images, boxes, val, people, chosen.seed)
    figures = distill(
        out, student, teacher, teacher_file, train, validation, chosen,
        weights=weights, trunk=trunk, resume=resume, workers=workers,
    )  # fmt: skip
    if not processes.state().is_main_process:
        return
    cli.console().print(f"{student}: AP {figures['ap']:.1f}, PCK@0.2 {figures['pck']:.1f}; {out / 'student.safetensors'}")
    if json:
        write_json(json, figures)


if __name__ == "__main__":
    cli.run(main, "quantize.distill", "python -m quantize.distill --student distilpose_s --teacher tokenpose_s --epochs 3")
