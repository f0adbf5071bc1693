"""Fits a heatmap teacher to labels: for `distill.teacher`, and first of all where `--teacher` names one without weights."""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path

import torch
from torch import nn

from calib_data.crops import Crops
from calib_data.sources import Data
from distill import processes
from distill.batches import Batches
from distill.heatmap_fit import objective_of, with_auxiliary_heads
from distill.recipe import Recipe
from distill.run_files import RESULT, TEACHER
from distill.training import Run
from distill.validation import DecodedNetwork
from distill.validation import validate as validate_network
from pose import cli, models
from pose.cache import cache_folder
from pose.crop import CropSpec
from pose.errors import InputError
from pose.files import sha256, write_json
from pose.models import checkpoint

_TIMED = 3  # steps from which the time of the rest is estimated


def fitted_weights(name: str, train: Data, validation: Data, recipe: Recipe) -> Path:
    """Weights of a teacher that is fitted with that recipe once and cached; the same command resumes an interrupted fit."""
    settings = json.dumps([recipe.settings(), train.digest, train.source.skeleton.to_dict()], sort_keys=True)
    folder = cache_folder() / f"{name}-{hashlib.sha256(settings.encode()).hexdigest()[:16]}"
    weights, process = folder / TEACHER, processes.state()
    is_cached = weights.is_file()
    process.wait_for_everyone()  # every process has looked before one writes
    if not is_cached:
        processes.note(
            f"no weights of {name} were given or are bundled: fitting it on the training data first, into {folder}; if it "
            "is interrupted, the same command resumes it. Quicker: give weights with --teacher-file, or a bundled teacher"
        )
        fit(name, folder, train, validation, recipe, resume=True)
        process.wait_for_everyone()
    return weights


def fit(
    name: str,
    folder: Path,
    train: Data,
    validation: Data,
    recipe: Recipe,
    start: Path | None = None,
    student: Path | None = None,
    resume: bool = False,
    workers: int = 0,
) -> dict[str, float]:
    """Fit a heatmap network to labels into `folder`/teacher.safetensors; returns its validation figures.

    Args:
        start: its own weights. student: weights of a student of its family, which replace these in all but the head.

    Raises:
        InputError: weights that cannot be read, or a student of another family.
    """
    recipe.require_all_learn()
    torch.manual_seed(recipe.seed)
    spec, skeleton = models.MODELS[name], train.source.skeleton
    model = models.build(name, len(skeleton), start)
    assert isinstance(model.crop, CropSpec)  # of start weights, which may be of a network that takes other crops
    if student:
        _start_from(model, student, name)
    process = processes.state()
    batches = Batches(
        Crops(train.source, model.crop, skeleton, recipe.augmentation, recipe.seed),
        *(recipe.batch, spec.heatmap, None, process.process_index, process.num_processes),
        resolution=recipe.resolution,
    )
    held_out = Crops(validation.source, batches.crops.spec, skeleton)

    def validate(module: nn.Module) -> dict[str, float]:
        return validate_network(DecodedNetwork(module), held_out)

    digests = {key: sha256(path) if path else None for key, path in (("start", start), ("student", student))}
    settings = {"teacher": name, "data": train.digest, **digests}
    run = Run(
        folder, with_auxiliary_heads(model), objective_of(model, recipe.losses, recipe.labels), batches, recipe, settings,
        validate=validate, workers=workers, resume=resume,
    )  # fmt: skip
    _train(run, name)
    figures = run.finish()
    if run.main:
        checkpoint.save(model, folder / TEACHER)
        write_json(folder / RESULT, {**settings, "people": len(validation.source), **figures})
    return figures


def _start_from(model: nn.Module, student: Path, name: str) -> None:
    missing = checkpoint.load_matching(model, checkpoint.read_for(model, student))
    if missing:
        raise InputError(
            f"{student} lacks {len(missing)} tensors of {name} ({missing[0]}, ...); give a student of its family"
        )


def _train(run: Run, name: str) -> None:
    """Train with a progress bar, and say after a few steps about how long the rest takes."""
    first, began = run.step, time.monotonic()
    with cli.progress(f"Fitting {name}", run.steps) as step:

        def report(done: int) -> None:
            step(done)
            if done - first == _TIMED:
                minutes = (time.monotonic() - began) / _TIMED * (run.steps - done) / 60
                processes.note(f"fitting {name}: {run.steps - done} more steps, about {minutes:.0f} min without validation")

        run.train(report)
