"""A heatmap network of `pose.models` as a teacher: pixels in, heatmaps and decoded keypoints out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from pose import decode, models, weights
from pose.crop import CropSpec, normalise
from pose.errors import InputError
from pose.files import sha256
from pose.heatmaps import HeatmapGrid, require_heatmaps
from pose.skeleton import Skeleton


@dataclass(frozen=True)
class NetworkTeacher:
    """See `pose.models.protocols.Teacher`.

    Attributes:
        name: in `pose.models.MODELS`. model: in evaluation mode, frozen.
        skeleton: the order of its keypoints. digest: sha256 of its weights.
    """

    name: str
    model: nn.Module
    skeleton: Skeleton
    digest: str

    @property
    def crop(self) -> CropSpec:
        """The crop that it takes: weights of another origin may take another one than the network is registered with."""
        crop: CropSpec = getattr(self.model, "crop", models.MODELS[self.name].crop)
        return crop

    @property
    def grid(self) -> HeatmapGrid:
        """Where the cells of its heatmaps lie in the crop."""
        return grid_of(self.model, self.crop.width, self.crop.height)

    @torch.no_grad()
    def observe(self, crops: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Heatmaps [N, K, h, w], coordinates [N, K, 2] in 0..1 and scores [N, K] of RGB crops uint8 [N, H, W, 3]."""
        images = torch.from_numpy(np.stack([normalise(crop, self.crop) for crop in crops]))
        heatmaps = self.model(images.to(memory_format=torch.channels_last)).heatmaps.float().numpy()
        if models.MODELS[self.name].source:  # of networks of this package, the range is known
            require_heatmaps(heatmaps, self.skeleton.joints, f"teacher '{self.name}'", "return them about 0 to 1")
        return heatmaps, *decode_heatmaps(heatmaps, self.grid)


def grid_of(model: nn.Module, width: int, height: int) -> HeatmapGrid:
    """Where the cells of a network's heatmaps lie in crops of that size; see `ModelSpec.corners`."""
    return HeatmapGrid(corners=(width, height) if getattr(model, "corners", False) else None)


def decode_heatmaps(heatmaps: np.ndarray, grid: HeatmapGrid = HeatmapGrid()) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates `[N, K, 2]` in 0..1 and scores `[N, K]` of heatmaps `[N, K, H, W]`, by DARK (PAPER: section 4.1)."""
    return decode.decode(heatmaps, "dark", kernel=decode.KERNEL, grid=grid)


def load_network(name: str, path: Path | None, skeleton: Skeleton) -> NetworkTeacher:
    """A network of `pose.models.MODELS` with weights from a file, in our layout or a public one, or with bundled ones.

    Raises:
        InputError: the weights cannot be read or do not fit, or none were given and none are bundled.
    """
    path = path or weights.FOLDER / f"{name}.safetensors"
    if path.parent == weights.FOLDER and not path.is_file():
        raise InputError(f"no weights of {name} are bundled; give them with --teacher-file")
    model = models.build(name, len(skeleton), path)
    return NetworkTeacher(name, model.eval().requires_grad_(False), skeleton, sha256(path))
