"""Training recipes: everything that determines a run's result, apart from the networks and the data.

The packaged ones are the YAML files of `distill/recipes`; `--recipe` also takes the path of a user's own file.
"""

from __future__ import annotations

import math
from dataclasses import asdict, field, fields, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field
from pydantic.dataclasses import dataclass

from calib_data.augment import Augmentation
from pose.errors import InputError
from pose.files import read_yaml

PACKAGED = Path(__file__).with_name("recipes")
_STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)
_Weight = Annotated[float, Field(ge=0, le=1e6)]
_Rate = Annotated[float, Field(ge=0, le=10)]
_Share = Annotated[float, Field(ge=0.125, le=4)]
_Part = Annotated[float, Field(ge=0, le=1)]
_DROPS, _DROP = (2 / 3, 13 / 15), 0.1  # PAPER: section 4.1


@dataclass(frozen=True, config=_STRICT)
class LossWeights:
    """Factor of each term of the loss; the defaults are the paper's (PAPER: section 4.1), which has no float twin.

    A recipe names terms beside these as it names these: any that is registered in `distill.losses.LOSSES`.

    Attributes:
        regression: smooth L1 between coordinates and labels.
        keypoint_token, visual_token: MSE between tokens of student and teacher.
        simulated_heatmap: MSE between the student's Gaussian and the teacher's heatmap.
        confidence: L1 between the score and the teacher's heatmap at the student's point.
        float_twin: smooth L1 between coordinates and those of the float student, in `quantize.qat` alone. It is the only
            term that says what quantization should keep: the predictions for every joint, labelled or not.
        beta: error, as a share of the crop, from which both smooth L1 are linear (the paper's 1: never).
        extra: weights of other registered terms, by name.
    """

    regression: _Weight = 1.0
    keypoint_token: _Weight = 5e-4
    visual_token: _Weight = 5e-4
    simulated_heatmap: _Weight = 1.0
    confidence: _Weight = 1e-2
    float_twin: _Weight = 0.0
    beta: Annotated[float, Field(gt=0, le=1e3)] = 1.0
    extra: dict[str, _Weight] = field(default_factory=dict)

    def factor(self, name: str) -> float:
        """The weight of a term, 0 where the recipe does not name it."""
        return self.extra[name] if name in self.extra else getattr(self, name, 0.0)


def _sort_extra(value: Any) -> Any:
    """`losses` of a recipe with registered terms that `LossWeights` has no field for under `extra`."""
    built_in = {entry.name for entry in fields(LossWeights)} - {"extra"}
    if not isinstance(value, dict) or set(value) <= built_in:
        return value
    from distill.losses import LOSSES

    unknown = [name for name in value if name not in LOSSES and name not in built_in]
    if unknown:
        known = dict.fromkeys([*LOSSES, *sorted(built_in)])
        raise ValueError(f"there is no {str(unknown[0])[:40]!r}; choose among {', '.join(known)}")
    extra = {name: weight for name, weight in value.items() if name not in built_in}
    return {**{name: weight for name, weight in value.items() if name in built_in}, "extra": extra}


def _as_sequence(value: Any) -> Any:
    return value if isinstance(value, (list, tuple)) else (value,)


@dataclass(frozen=True, config=_STRICT)
class Recipe:
    """How to train; the defaults are the paper's (section 4.1) at whatever length is asked for.

    Attributes:
        epochs: passes over the data. batch: crops a step, over all processes.
        optimiser: `adam`, `adamw`, or `muon` (see `distill.training.optimisers`).
        lr: peak learning rate; backbone_lr: that of the backbone, 0 freezes it.
        schedule: `step` or `cosine`.
        drops: shares of the run after each of which `step` multiplies the rate by `drop`; None: 2/3 and 13/15, as epochs 200
            and 260 of 300. drop: None: 0.1.
        lowest: share of the peak rate at which `cosine` ends; None: 0.
        warmup: share of the run with a linearly growing rate.
        method: of quantization-aware fine-tuning, one of `quantize.methods.METHODS`; float training has none.
        clip: largest norm of the gradient; 0 does not clip.
        ema: decay of the moving average of the weights, which is what is validated and kept; 0 keeps the last weights.
        resolution: crops are this share of the network's size (progressive resizing: most of a token network is learned at
            half, four times faster); of several shares, each step takes the next, for weights that ship at several sizes.
        bf16: autocast, where the processor multiplies bfloat16. seed: of crops and order.
        labels: how they are drawn for a teacher that is fitted, `msra` or `udp`; see `distill.label_maps`.
        learns: `new`: of a student that replaces a larger one, only what that one lacks; None: everything. See
            `distill.smaller`.
        teacher_views: in how many views a teacher that does not see the training crops themselves sees each person; its
            predictions are averaged, and weighted by their agreement.
    """

    epochs: Annotated[float, Field(gt=0, le=1e6)] = 300
    batch: Annotated[int, Field(ge=1, le=65_536)] = 256
    optimiser: Literal["adam", "adamw", "muon"] = "adam"
    lr: Annotated[float, Field(gt=0, le=10)] = 1e-3
    backbone_lr: _Rate = 1e-3
    weight_decay: _Rate = 0.0
    schedule: Literal["step", "cosine"] = "step"
    drops: Annotated[tuple[_Part, ...], Field(max_length=100)] | None = None
    drop: Annotated[float, Field(gt=0, le=1)] | None = None
    lowest: _Part | None = None
    warmup: Annotated[float, Field(ge=0, le=1)] = 0.01
    method: str = "frozen_ranges"
    clip: Annotated[float, Field(ge=0, le=1e6)] = 0.0
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.0
    resolution: Annotated[tuple[_Share, ...], BeforeValidator(_as_sequence), Field(min_length=1, max_length=16)] = (1.0,)
    labels: Literal["msra", "udp"] | None = None
    learns: Literal["new"] | None = None
    teacher_views: Annotated[int, Field(ge=1, le=4)] = 1
    bf16: bool = True
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    losses: Annotated[LossWeights, BeforeValidator(_sort_extra)] = field(default_factory=LossWeights)
    augmentation: Augmentation = field(default_factory=Augmentation)

    def settings(self) -> dict[str, Any]:
        """All fields, as runs and caches record them: as they were before some of them came.

        One resolution is a number, and a field that is None is left out, so that older runs resume and older fits are found.
        """
        only = self.resolution[0] if len(self.resolution) == 1 else self.resolution
        return {name: value for name, value in {**asdict(self), "resolution": only}.items() if value is not None}

    def steps(self, people: int) -> int:
        """Optimiser steps of the whole run over `people` crops."""
        return max(1, round(self.epochs * people / self.batch))

    def require_all_learn(self) -> None:
        """Raises InputError for a recipe that trains new weights only, where nothing larger is replaced."""
        if self.learns == "new":
            raise InputError("recipe: 'learns: new' is for a student that replaces a larger one: distill.student --replaces")

    def rate(self, step: int, steps: int) -> float:
        """Factor of the peak learning rate at a step."""
        if step < self.warmup * steps:
            return (step + 1) / (self.warmup * steps + 1)
        done = step / steps
        if self.schedule == "cosine":
            lowest = self.lowest or 0.0
            return lowest + (1 - lowest) * 0.5 * (1 + math.cos(math.pi * done))
        drops = sum(done >= part for part in (_DROPS if self.drops is None else self.drops))
        return (self.drop or _DROP) ** drops


def packaged() -> list[str]:
    """Names of the recipes that come with the package."""
    return sorted(path.stem for path in PACKAGED.glob("*.yaml"))


def read(name: str, epochs: float | None = None, seed: int | None = None) -> Recipe:
    """A packaged recipe by name, or a YAML file by path; `epochs` and `seed` take precedence over its own.

    Raises:
        InputError: no such recipe, or a field that is unknown or wrong.
    """
    path = Path(name) if name.endswith((".yaml", ".yml")) else PACKAGED / f"{name}.yaml"
    if path.parent == PACKAGED and not path.is_file():
        raise InputError(f"there is no recipe '{name}'; choose one of {', '.join(packaged())} or give a .yaml file")
    recipe = read_yaml(path, Recipe)
    return replace(recipe, epochs=epochs or recipe.epochs, seed=recipe.seed if seed is None else seed)
