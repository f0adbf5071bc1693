"""What the rest of the project expects of a network: a student, its deploy form, a teacher.

None of these has to be inherited from: a class with these attributes and methods is one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor, nn

from pose.crop import CropSpec
from pose.errors import InputError, one_line
from pose.heatmaps import HeatmapGrid
from pose.models.output import PoseOutput
from pose.skeleton import Skeleton

Groups = dict[str, list[nn.Parameter]]


@runtime_checkable
class Student(Protocol):
    """A regression network that is trained here, an `nn.Module`.

    Attributes:
        crop: the crop that it takes, (pixel - mean) / std.
        heatmap: (width, height) of the grid on which its keypoints are compared with a teacher's heatmaps; `sigmas` are in
            cells of it.
    """

    crop: CropSpec
    heatmap: tuple[int, int]

    def __call__(self, images: Tensor) -> PoseOutput:
        """Images `[N, 3, H, W]` -> `coords` and `scores`; `sigmas` for the regression loss, tokens for the token losses.

        What is None switches off the losses that need it.
        """
        ...

    def parameter_groups(self) -> Groups:
        """Every parameter once: `backbone` (trained at the rate `backbone_lr`), `encoder` (matrices between tokens, which
        Muon may train), `rest`. A group may be empty or absent."""
        ...

    def deploy(self) -> nn.Module:
        """A copy that computes the same in evaluation mode, written as it ships: images -> `PoseOutput`, no batch norm.

        It is trained further by quantization-aware training, and has `parameter_groups`, too.
        """
        ...


class Teacher(Protocol):
    """A network that supervises a student with heatmaps of one person.

    Attributes:
        name: for messages and run settings.
        skeleton: its K joints.
        crop: the crops that it takes.
        grid: where the cells of its heatmaps lie in the crop.
    """

    @property
    def name(self) -> str: ...

    @property
    def skeleton(self) -> Skeleton: ...

    @property
    def crop(self) -> CropSpec: ...

    @property
    def grid(self) -> HeatmapGrid: ...

    def observe(self, crops: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Heatmaps [N, K, h, w], coordinates [N, K, 2] in 0..1 and scores [N, K] of RGB crops uint8 [N, H, W, 3]."""
        ...


def parameter_groups(model: nn.Module, backbone: Iterable[nn.Module], encoder: Iterable[nn.Module]) -> Groups:
    """The groups of `Student.parameter_groups` by parts: the backbone's parameters, the encoder's matrices, the rest."""
    in_backbone = {id(parameter) for part in backbone for parameter in part.parameters()}
    matrices = {id(parameter) for part in encoder for parameter in part.parameters() if parameter.ndim == 2}
    groups: Groups = {"backbone": [], "encoder": [], "rest": []}
    for parameter in model.parameters():
        key = id(parameter)
        groups["backbone" if key in in_backbone else "encoder" if key in matrices else "rest"].append(parameter)
    return groups


def group_names(model: Student) -> dict[str, str]:
    """Name of each parameter -> the group that it is in.

    Raises:
        InputError: a parameter is in no group, or in several.
    """
    assert isinstance(model, nn.Module)
    group_of: dict[int, list[str]] = {}
    for group, parameters in model.parameter_groups().items():
        for parameter in parameters:
            group_of.setdefault(id(parameter), []).append(group)
    names = {name: group_of.get(id(parameter), []) for name, parameter in model.named_parameters()}
    wrong = next((name for name, groups in names.items() if len(groups) != 1), None)
    if wrong is not None:
        groups = ", ".join(names[wrong]) or "none"
        raise InputError(f"{type(model).__name__}.parameter_groups: '{wrong}' must be in one group; it is in: {groups}")
    return {name: groups[0] for name, groups in names.items()}


@torch.no_grad()
def require_student(model: nn.Module, name: str, keypoints: int) -> None:
    """Raises InputError unless a network is a `Student` of that many keypoints; it is run on one black crop."""
    for attribute in ("crop", "heatmap", "parameter_groups", "deploy"):
        if not hasattr(model, attribute):
            raise InputError(f"student '{name}' has no `{attribute}`; see pose.models.protocols.Student")
    assert isinstance(model, Student)
    group_names(model)
    training = model.training
    try:
        output = model.eval()(torch.zeros(1, 3, model.crop.height, model.crop.width))
    except Exception as error:  # a network may raise anything
        raise InputError(f"student '{name}' does not run ({type(error).__name__}: {one_line(error, 200)})") from error
    finally:
        model.train(training)
    if not isinstance(output, PoseOutput):
        raise InputError(f"student '{name}' returns {type(output).__name__}; it must return pose.models.output.PoseOutput")
    queries = output.scores is not None and output.scores.ndim == 3 and output.scores.shape[1]
    expected = {"coords": [1, queries or keypoints, 2], "scores": [1, queries, keypoints] if queries else [1, keypoints]}
    for attribute, shape in expected.items():
        value = getattr(output, attribute)
        if value is None or list(value.shape) != shape:
            returned = "no" if value is None else f"{list(value.shape)}"
            raise InputError(f"student '{name}' returns {returned} {attribute}; it must return {shape}")
