"""Networks of a few thousand parameters under names of their own, for commands and training runs that take no time."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from tiny_student import SPEC, TinyBackbone, tiny_student
from torch import nn

from calib_data import sources
from calib_data.synthetic import SyntheticPeople
from distill import validation
from pose import models
from pose.models import ModelSpec, checkpoint
from pose.models.encoder import PatchEmbedding, TokenEncoder
from pose.models.output import PoseOutput
from pose.models.tokenpose import TokenPose

GRID = (16, 16)


class TinyTeacher(TokenPose):
    """As many patches as the student; wider tokens; heatmaps of 16x16."""

    def __init__(self, width: int = 48, side: int = 4) -> None:
        torch.manual_seed(1)
        encoder = TokenEncoder(width, 1, heads=2)
        super().__init__(TinyBackbone(), PatchEmbedding(8, (32 // side,) * 2, width), (side, side), 17, encoder)
        self.head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 256), nn.Unflatten(-1, GRID))

    def forward(self, images: torch.Tensor) -> PoseOutput:
        keypoint, visual = self.split(self.encoder(*self.embed(images)))
        return PoseOutput(heatmaps=self.head(keypoint), keypoint_tokens=keypoint, visual_tokens=visual)


class Plain(nn.Module):
    """A student without batch norm, so that it does not matter how a batch is shared."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.grid = (4, 4)
        self.keypoint_token = nn.Parameter(torch.randn(1, 17, 8))
        self.backbone = nn.Conv2d(3, 8, 16, 16)
        self.head = nn.Linear(8 * 16, 17 * 5)

    def forward(self, images: torch.Tensor) -> PoseOutput:
        features = self.backbone(images).tanh()
        raw = self.head(features.flatten(1)).unflatten(-1, (17, 5))
        visual = features.flatten(2).transpose(1, 2)
        keypoint = self.keypoint_token + visual.mean(1, keepdim=True)
        return PoseOutput(raw[..., :2].sigmoid(), raw[..., 2], nn.functional.softplus(raw[..., 3:]), None, keypoint, visual)


class NoTokens(nn.Module):
    """A student of coordinates, scores and sigmas, and nothing else."""

    def __init__(self) -> None:
        super().__init__()
        self.plain = Plain()

    def forward(self, images: torch.Tensor) -> PoseOutput:
        output = self.plain(images)
        return PoseOutput(output.coords, output.scores, output.sigmas)


MODELS = {
    "tiny": ModelSpec(lambda keypoints: tiny_student(), SPEC, GRID, teacher=False),
    "tiny_plain": ModelSpec(lambda keypoints: Plain(), SPEC, GRID, teacher=False),
    "tiny_teacher": ModelSpec(lambda keypoints: TinyTeacher(), SPEC, GRID, teacher=True),
}


def register(cache: Path, patch: pytest.MonkeyPatch | None = None) -> None:
    """Give the commands these networks, a small validation set, and a cache of their own."""
    patch = patch or pytest.MonkeyPatch()
    for name, spec in MODELS.items():
        patch.setitem(models.MODELS, name, spec)
    patch.setenv("DISTILPOSE_CACHE", str(cache))
    held_out = sources.Data(SyntheticPeople(6, 1), "1" * 64)
    patch.setattr(sources, "drawn_validation", lambda: held_out)


def save(name: str, path: Path) -> Path:
    """Random weights of one of them as a file."""
    checkpoint.save(models.build(name), path)
    return path


@contextmanager
def home(folder: Path, recipe: str) -> Iterator[Path]:
    """The folder with random weights of student and teacher and a recipe.yaml; the networks are registered meanwhile."""
    with pytest.MonkeyPatch.context() as patch:
        register(folder / "cache", patch)
        save("tiny", folder / "student.safetensors")
        save("tiny_teacher", folder / "teacher.safetensors")
        (folder / "recipe.yaml").write_text(recipe)
        yield folder


if __name__ == "__main__":  # tiny_models.py CACHE COMMAND ...: a command, with these networks
    import runpy

    from distill import training

    register(Path(sys.argv[1]))
    training._CHECKPOINT_SECONDS = 0.0
    validation.BATCH = 6
    sys.argv = sys.argv[2:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
