"""Networks by name. Importing this package does not import torch: a builder imports what it needs when it is called."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pose.crop import CropSpec
from pose.errors import InputError

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class ModelSpec:
    """What the toolkit knows of a network before it is built.

    Attributes:
        builder: number of keypoints -> network with random weights.
        crop: what it sees.
        heatmap: (width, height) of the grid on which heatmaps are compared: the teacher's own, the student's simulated ones.
        teacher: it makes heatmaps; a student makes coordinates.
    """

    builder: Callable[[int], nn.Module]
    crop: CropSpec
    heatmap: tuple[int, int]
    teacher: bool


def _lazy(module: str, name: str) -> Callable[[int], nn.Module]:
    return lambda keypoints: getattr(import_module(f"pose.models.{module}"), name)(keypoints)


_PORTRAIT = CropSpec()
_SQUARE = CropSpec(width=192, height=192, mean=(127.5,) * 3, std=(127.5,) * 3)
_TEACHERS = (
    "tokenpose_t",
    "tokenpose_s_v1",
    "tokenpose_s_v2",
    "tokenpose_b",
    "tokenpose_l_d24",
    "tokenpose_s",
    "tokenpose_l",
)

MODELS: dict[str, ModelSpec] = {
    **{name: ModelSpec(_lazy("tokenpose", name), _PORTRAIT, (48, 64), teacher=True) for name in _TEACHERS},
    "distilpose_s": ModelSpec(_lazy("distilpose", "distilpose_s"), _PORTRAIT, (48, 64), teacher=False),
    "distilpose_l": ModelSpec(_lazy("distilpose", "distilpose_l"), _PORTRAIT, (48, 64), teacher=False),
    "distilpose_edge": ModelSpec(_lazy("edge", "DistilPoseEdge"), _SQUARE, (48, 48), teacher=False),
}


def build(name: str, keypoints: int = 17, weights: Path | str | Mapping[str, Any] | None = None) -> nn.Module:
    """A network of `MODELS`, in training mode; its forward returns `pose.models.output.PoseOutput`.

    Args:
        weights: a file or a state dict, in our layout or a public one (see `checkpoint.load`); random weights when None.

    Raises:
        InputError: no such model, no keypoints, or weights that cannot be read or do not fit.
    """
    if name not in MODELS:
        raise InputError(f"there is no model '{name}'; choose one of {', '.join(MODELS)}")
    if keypoints < 1:
        raise InputError(f"{name} needs at least 1 keypoint, not {keypoints}")
    model = MODELS[name].builder(keypoints)
    if weights is not None:
        from pose.models import checkpoint

        checkpoint.load(model, weights, name)
    return model
