"""`python -m distill.student`: float distillation, from scratch or from weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from calib_data import flags
from distill import options
from distill.run_files import RESULT, STUDENT
from pose import cli

if TYPE_CHECKING:
    from torch import nn

    from distill.objective import Distillation
    from distill.request import Request
    from distill.task import Task


def start(request: Request, task: Task, trunk: Path | None, larger: nn.Module | None = None) -> nn.Module:
    """The student before its first step: given weights, or random ones with what its teacher or a trunk's file can lend.

    Where it replaces a `larger` one, it takes over what the two share.

    As the paper starts DistilPose-L from its teacher's backbone, every tensor that the teacher has under the same name and
    with the same shape is taken over; the head is always the student's own.
    """
    import torch

    from distill import processes, smaller
    from pose import models
    from pose.models import checkpoint

    torch.manual_seed(request.recipe.seed)
    model = models.build(request.student, len(task.skeleton))
    if larger is not None:
        smaller.take_over(model, larger, str(request.replaces), only_new=request.recipe.learns == "new")
    elif request.weights is not None:
        _load(model, request.weights, request.student)
    if trunk is not None:
        import_trunk(model, trunk, request.student)
    if request.weights is None and larger is None and task.teacher_model is not None:
        own = checkpoint.load_matching(model, task.teacher_model.state_dict())
        taken = sum(not key.startswith("head.") for key in model.state_dict()) - len(own)
        if taken:
            processes.note(f"the student starts from {task.teacher}: {taken} tensors are its, {len(own)} are new")
    return model


def replaced(request: Request, task: Task) -> nn.Module | None:
    """The larger student that the request's replaces, with its weights, in evaluation mode; None where there is none.

    Raises:
        InputError: they are another network's.
    """
    from pose import models

    if request.replaces is None:
        return None
    return models.build(request.replaces, len(task.skeleton), request.weights).eval().requires_grad_(False)


def compared(objective: Distillation, network: nn.Module, larger: nn.Module | None) -> Distillation:
    """The objective of a student that is compared with the larger one as far as its recipe asks for it."""
    from distill.smaller import Features

    weights = objective.weights
    if larger is None:
        return objective
    features = Features(network, larger) if weights.factor("features") else None
    return replace(objective, twin=larger if features or weights.float_twin else None, features=features)


def import_trunk(model: nn.Module, trunk: Path, name: str) -> None:
    """Copy the weights of MoveNet's ONNX file into a student of its trunk.

    Raises:
        InputError: the student has another trunk, or the file is not MoveNet's.
    """
    from pose.errors import InputError
    from pose.models.backbones.movenet import MoveNetTrunk, import_weights

    backbone = getattr(model, "backbone", None)
    if not isinstance(backbone, MoveNetTrunk):
        raise InputError(f"{trunk} has MoveNet's trunk, and {name} has another; leave it out")
    import_weights(backbone, trunk, getattr(model, "maps", None))


def _load(model: nn.Module, weights: Path, name: str) -> None:
    """Copy the weights in; of a student of another number of keypoints, every tensor but those that depend on it.

    Raises:
        InputError: they cannot be read, or are of another network.
    """
    from distill import processes
    from pose.models import checkpoint

    state, tokens = checkpoint.read_for(model, weights), "keypoint_token"
    own = model.state_dict()
    same_width = tokens in own and tokens in state and own[tokens].shape[2:] == state[tokens].shape[2:]
    if same_width and own[tokens].shape != state[tokens].shape:
        checkpoint.load(model, {**state, tokens: own[tokens]}, name)
        processes.note(f"{weights} has another number of keypoints: the keypoint tokens start from random values")
    else:
        checkpoint.load(model, weights, name)


def distill(request: Request, trunk: Path | None = None) -> dict[str, float]:
    """Distil a float student into `out`/student.safetensors; returns its validation figures.

    Args:
        trunk: the ONNX file whose trunk the student starts from.

    Raises:
        InputError: see `distill.task.build` and `distill.training.Run`.
    """
    from distill import task as tasks
    from distill.objective import project
    from distill.run_folder import require_new_run_dir
    from distill.training import Run
    from pose import models
    from pose.errors import InputError
    from pose.files import write_json
    from pose.model_files import model_digest
    from pose.models import checkpoint
    from pose.weights import weights_file

    out, student = request.out, request.student
    tasks.check_names(student, request.teacher)
    if request.replaces is not None:
        tasks.check_names(request.replaces, request.teacher)
        if trunk:
            raise InputError(f"--replaces {request.replaces} lends its trunk; leave out --trunk {trunk}")
        request = replace(request, weights=request.weights or weights_file(request.replaces))
    require_new_run_dir(out, request.resume)
    task = tasks.build(request)
    larger = replaced(request, task)
    network = start(request, task, trunk, larger)
    model = project(network, task.live, task.batches.crops.spec)
    files = {"weights": request.weights, "trunk": trunk, "student's code": models.MODELS[student].source}
    given = {name: model_digest(path) for name, path in files.items() if path}
    settings = {
        "student": student,
        "teacher": task.teacher,
        "data weights": [*request.train.weights],
        "digests": {**task.digests, **given},
    }
    if request.replaces:
        settings["replaces"] = request.replaces
    run = Run(
        out, model, compared(task.objective, network, larger), task.batches, request.recipe, settings,
        validate=task.validate, workers=request.workers, resume=request.resume,
    )  # fmt: skip
    with cli.progress(f"Distilling {student}", run.steps) as step:
        run.train(step)
    figures = run.finish()
    if run.main:
        checkpoint.save(network, out / STUDENT)
        write_json(out / RESULT, {**settings, "people": len(request.validation.source), **figures})
    return figures


def main(
    student: options.Student = "distilpose_s",
    teacher: options.Teacher = "tokenpose_s",
    teacher_file: options.TeacherFile = None,
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
    people: options.People = 20_000,
    recipe: options.RecipeName = "paper",
    epochs: options.Epochs = None,
    weights: options.Weights = None,
    trunk: Annotated[
        Path | None, typer.Option(metavar="ONNX", help="MoveNet, whose weights a distilpose_edge starts from.")
    ] = None,
    replaces: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE.py:FACTORY", help="A larger student, whose --weights are; see docs/add-a-student.md."
        ),
    ] = None,
    out: options.Out = Path("runs/distill"),
    resume: options.Resume = False,
    workers: options.Workers = 0,
    json: cli.Json = None,
    seed: options.Seed = None,
) -> None:
    """Distil a float regression student from a heatmap teacher."""
    from distill import processes
    from distill import recipe as recipes
    from distill import request as requests
    from pose import models
    from pose.files import write_json

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
        out, student, teacher, teacher_file, train, validation, chosen, weights, resume, workers,
        models.resolve(replaces) if replaces else None,
    )  # fmt: skip
    figures = distill(request, trunk)
    if not processes.state().is_main_process:
        return
    if json:
        write_json(json, figures)
    cli.console().print(f"{student}: AP {figures['ap']:.1f}, PCK@0.2 {figures['pck']:.1f}; {out / STUDENT}")


if __name__ == "__main__":
    cli.run(main, "distill.student", "python -m distill.student --student distilpose_s --teacher tokenpose_s --epochs 3")
