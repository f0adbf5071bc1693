"""Finds the teacher that `--teacher` names: a foreign file, weights given or bundled, or one that is fitted here first."""

from __future__ import annotations

import hashlib
import json
import os
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from calib_data.crops import Crops
from calib_data.sources import Data
from distill import processes
from distill import recipe as recipes
from distill.batches import Batches, network_input
from distill.fitting import HeatmapFit, WithAuxiliaryHeads
from distill.recipe import Recipe
from distill.training import Run
from distill.validation import validate as validate_network
from pose import cli, decode, foreign, models, weights
from pose.crop import CropSpec
from pose.errors import InputError
from pose.files import sha256, write_json
from pose.models import checkpoint
from pose.models.output import PoseOutput
from pose.skeleton import Skeleton

FITTED = "teacher.safetensors"  # in the folder of a run
_RECIPE = "teacher"  # of one that has to be fitted first
_TIMED = 3  # steps from which the time of the rest is estimated
_GRAIN = 32  # pixels: of every network's deepest features, and of its patches
_BLUR = 11  # kernel of the unbiased decoding, in heatmap pixels


def cache_folder() -> Path:
    """Where fitted teachers and teachers' views are kept: `$DISTILPOSE_CACHE`, or the user's cache folder."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("DISTILPOSE_CACHE") or Path(home) / "distilpose-edge")


@dataclass(frozen=True)
class NetworkTeacher:
    """A heatmap network of ours.

    Attributes:
        name: in `pose.models.MODELS`. model: in eval mode, frozen.
        skeleton: the order of its keypoints. digest: sha256 of its weights.
    """

    name: str
    model: nn.Module
    skeleton: Skeleton
    digest: str
    grid_offset: float = 0.0

    @property
    def crop(self) -> CropSpec:
        """What it sees."""
        return models.MODELS[self.name].crop

    @torch.no_grad()
    def observe(self, crops: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Heatmaps [N, K, h, w], coordinates [N, K, 2] in 0..1 and scores [N, K] of RGB crops uint8 [N, H, W, 3]."""
        heatmaps = self.model(network_input(list(crops), self.crop)).heatmaps.float().numpy()
        return heatmaps, *_decode(heatmaps)


class DecodedNetwork(nn.Module):
    """A heatmap network with its decoding behind it, so that it is scored like a student."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: torch.Tensor) -> PoseOutput:
        """Images `[N, 3, H, W]` -> coords and scores."""
        coords, scores = _decode(self.model(images).heatmaps.float().cpu().numpy())
        return PoseOutput(coords=torch.from_numpy(coords), scores=torch.from_numpy(scores))


def _decode(heatmaps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates `[N, K, 2]` in 0..1 and scores `[N, K]` (PAPER: section 4.1)."""
    return decode.decode(heatmaps, "dark", kernel=_BLUR)


def names() -> list[str]:
    """Every network that `--teacher` takes by name."""
    return [*(name for name, spec in models.MODELS.items() if spec.teacher), *foreign.packaged()]


def is_foreign(name: str) -> bool:
    """Whether `--teacher` names a YAML, a packaged one or the user's.

    Raises:
        InputError: it names nothing.
    """
    if name in models.MODELS and models.MODELS[name].teacher:
        return False
    if name in foreign.packaged() or name.endswith((".yaml", ".yml")):
        return True
    raise InputError(f"teacher '{name}' is not known; choose one of {', '.join(names())}, or give a .yaml file")


def find(name: str, file: Path | None, train: Data, validation: Data, seed: int) -> NetworkTeacher:
    """A teacher of ours: from `file`, else the bundled weights of that name, else fitted on the training data and cached."""
    skeleton = train.source.skeleton
    path = file or weights.FOLDER / f"{name}.safetensors"
    if file is None and not (path.is_file() and skeleton.name == weights.SKELETON):
        path = _fitted(name, train, validation, recipes.read(_RECIPE, seed=seed))
    model = models.build(name, len(skeleton), path)
    return NetworkTeacher(name, model.eval().requires_grad_(False), skeleton, sha256(path))


def _fitted(name: str, train: Data, validation: Data, recipe: Recipe) -> Path:
    """Weights of a teacher fitted by a recipe of its own; the same command finds them, or goes on where it was cut."""
    settings = json.dumps([asdict(recipe), train.digest, train.source.skeleton.name], sort_keys=True)
    folder = cache_folder() / f"{name}-{hashlib.sha256(settings.encode()).hexdigest()[:16]}"
    result, process = folder / FITTED, processes.state()
    found = result.is_file()
    process.wait_for_everyone()  # every process has looked before one writes
    if not found:
        processes.note(
            f"no weights of {name} were given or are bundled: fitting it on the training data first, into {folder}; "
            "killed, the same command goes on"
        )
        fit(name, folder, train, validation, recipe, resume=True)
        process.wait_for_everyone()
    return result


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
        start: its own weights. student: weights of a student, which take the place of these in all but the head.

    Raises:
        InputError: weights that cannot be read, or a student of another family.
    """
    torch.manual_seed(recipe.seed)
    spec, skeleton = models.MODELS[name], train.source.skeleton
    sized = resized(spec.crop, recipe.resolution)
    model = models.build(name, len(skeleton), start)
    if student and (strange := checkpoint.load_matching(model, checkpoint.read(student))):
        raise InputError(
            f"{student} lacks {len(strange)} tensors of {name} ({strange[0]}, ...); give a student of its family"
        )
    process = processes.state()
    crops = Crops(train.source, sized, skeleton, recipe.augmentation, recipe.seed)
    batches = Batches(crops, recipe.batch, spec.heatmap, rank=process.process_index, world=process.num_processes)
    held_out = Crops(validation.source, sized, skeleton)

    def validate(module: nn.Module) -> dict[str, float]:
        return validate_network(DecodedNetwork(module), held_out)

    given = {key: sha256(path) if path else None for key, path in (("start", start), ("student", student))}
    settings = {"teacher": name, "data": train.digest, **given}
    run = Run(
        folder,
        WithAuxiliaryHeads(model),
        HeatmapFit(recipe.losses),
        batches,
        recipe,
        settings,
        validate=validate,
        workers=workers,
        resume=resume,
    )
    first, began = run.step, time.monotonic()
    with cli.progress(f"Fitting {name}", run.steps) as step:

        def report(done: int) -> None:
            step(done)
            if done - first == _TIMED:
                minutes = (time.monotonic() - began) / _TIMED * (run.steps - done) / 60
                processes.note(f"fitting {name}: {run.steps - done} more steps, about {minutes:.0f} min without validation")

        run.train(report)
    figures = run.finish()
    if run.main:
        checkpoint.save(model, folder / FITTED)
        write_json(folder / "result.json", {**settings, "people": len(validation.source), **figures})
    return figures


def resized(crop: CropSpec, resolution: float) -> CropSpec:
    """The crop at a share of its size.

    Raises:
        InputError: the network does not divide that into patches.
    """
    small = replace(crop, width=round(crop.width * resolution), height=round(crop.height * resolution))
    if small.width % _GRAIN or small.height % _GRAIN:
        size = f"{small.width} x {small.height}"
        raise InputError(f"recipe: resolution {resolution:g}: {size} is no multiple of {_GRAIN}; take 0.5 or 1")
    return small
