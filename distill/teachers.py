"""Finds the teacher that `--teacher` names: a foreign network, or one of ours with weights given, bundled or fitted."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from calib_data.sources import Data
from distill import recipe as recipes
from distill.fit_teacher import fitted_weights
from pose import foreign, models, weights
from pose import skeleton as skeletons
from pose.errors import InputError
from pose.files import sha256
from pose.model_files import model_digest
from pose.models.teacher import NetworkTeacher, load_network

_RECIPE = "teacher"  # of one that has to be fitted first


def names() -> list[str]:
    """Every network that `--teacher` takes by name."""
    return [*(name for name, spec in models.MODELS.items() if spec.teacher), *foreign.packaged()]


def is_foreign(name: str) -> bool:
    """Whether `--teacher` names a YAML, a packaged one or the user's own.

    Raises:
        InputError: there is no teacher of that name.
    """
    if name in models.MODELS and models.MODELS[name].teacher:
        return False
    if name in foreign.packaged() or name.endswith((".yaml", ".yml")):
        return True
    raise InputError(f"teacher '{name}' is not known; choose one of {', '.join(names())}, or give a .yaml file")


def foreign_digest(name: str, teacher: foreign.ForeignTeacher) -> str:
    """sha256 of all that a teacher's predictions follow from: the model, its external data, its YAML and its skeleton.

    Args:
        name: as `--teacher` has it.
    """
    described = Path(name) if Path(name).suffix else foreign.PACKAGED / f"{name}.yaml"
    skeleton = json.dumps(teacher.skeleton.to_dict(), sort_keys=True)
    contents = [model_digest(teacher.path), sha256(described), skeleton]
    return hashlib.sha256(" ".join(contents).encode()).hexdigest()


def digest(name: str, file: Path | None, train: Data, validation: Data, seed: int) -> str:
    """sha256 of what the predictions of the teacher that `--teacher` names follow from; one of ours is fitted if need be."""
    if is_foreign(name):
        return foreign_digest(name, foreign.load_teacher(name, file=file))
    return sha256(weights_of(name, file, train, validation, seed))


def weights_of(name: str, file: Path | None, train: Data, validation: Data, seed: int) -> Path:
    """Weights of a teacher of ours: `file`, else the bundled ones, else those fitted on the training data and cached."""
    path = file or weights.FOLDER / f"{name}.safetensors"
    if file is None and not (path.is_file() and train.source.skeleton == skeletons.get(weights.SKELETON)):
        return fitted_weights(name, train, validation, recipes.read(_RECIPE, seed=seed))
    return path


def find(name: str, file: Path | None, train: Data, validation: Data, seed: int) -> NetworkTeacher:
    """A teacher of ours with its weights, see `weights_of`."""
    return load_network(name, weights_of(name, file, train, validation, seed), train.source.skeleton)
