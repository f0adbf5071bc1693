"""Training batches as a function of the step alone, so that a run resumes bit-exact at any step."""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from calib_data.crops import Crops
from distill.losses import Target
from distill.teacher_cache import TeacherCache
from distill.teacher_views import warp_heatmaps
from pose.crop import CropSpec, normalise
from pose.errors import InputError, UserError

_GRAIN = 32  # pixels: of every network's deepest features, and of its patches


@dataclass(frozen=True)
class Batch:
    """`images [N, 3, H, W]`, labels, and the teacher's heatmaps `[N, K, h, w]` where they come from a cache.

    Attributes:
        people: the N people's numbers in the source.
        epoch: passes over the data before this batch.
    """

    images: Tensor
    target: Target
    heatmaps: Tensor | None
    people: tuple[int, ...]
    epoch: float = 0.0

    def to(self, device: torch.device) -> Batch:
        """The batch on a device."""
        target = Target(self.target.coords.to(device), self.target.weight.to(device))
        heatmaps = None if self.heatmaps is None else self.heatmaps.to(device)
        return replace(self, images=self.images.to(device), target=target, heatmaps=heatmaps)


def network_input(crops: Sequence[np.ndarray], spec: CropSpec) -> Tensor:
    """Normalised images `[N, 3, H, W]`, channels last, of RGB crops uint8 `[H, W, 3]`."""
    images = torch.from_numpy(np.stack([normalise(crop, spec) for crop in crops]))
    return images.to(memory_format=torch.channels_last)


class Batches(Dataset[Batch]):
    """Batch number `step` of an endless run over `crops`, reshuffled every epoch.

    Args:
        size: crops a batch, over all processes. rank, world: which share of every batch this process has.
        cache: of a teacher that saw the same samples; None where the teacher runs on the crops themselves.
        grid: (width, height) of the heatmaps that the losses compare.
        weights: float `[len(crops)]` above 0, how often each person is seen in relation to others; None for once an epoch.
        resolution: shares of the crops' size; each step takes the next one.

    Raises:
        InputError: the processes cannot share a batch evenly, or a size does not fit; see `resized`.
    """

    def __init__(
        self,
        crops: Crops,
        size: int,
        grid: tuple[int, int],
        cache: TeacherCache | None = None,
        rank: int = 0,
        world: int = 1,
        weights: np.ndarray | None = None,
        resolution: Sequence[float] = (1.0,),
    ) -> None:
        if size % world:
            raise InputError(f"a batch of {size} does not divide among {world} processes; change the recipe's batch")
        self._sized = [crops.at(resized(crops.spec, share)) for share in resolution]
        self.crops, self.size, self.grid, self.cache = self._sized[0], size // world, grid, cache
        self.rank, self.world, self.weights = rank, world, weights
        self._order: tuple[int, np.ndarray] = (-1, np.empty(0, np.int64))

    def __getitem__(self, step: int) -> Batch:
        start = (step * self.world + self.rank) * self.size
        places = [divmod(place, len(self.crops)) for place in range(start, start + self.size)]
        indices = [int(self._permutation(epoch)[place]) for epoch, place in places]
        sized = self._sized[step % len(self._sized)]
        crops = [sized.get(index, epoch) for index, (epoch, _) in zip(indices, places, strict=True)]
        images = network_input([crop.pixels for crop in crops], sized.spec)
        coords = torch.from_numpy(np.stack([crop.coords for crop in crops]))
        weight = torch.from_numpy(np.stack([crop.weight for crop in crops]))
        heatmaps = None
        if self.cache is not None:
            view = torch.from_numpy(self.cache.heatmaps[indices]).float()
            pairs = zip(indices, crops, strict=True)
            to_grid = np.stack([self.cache.to_grid(index, crop.matrix, sized.spec, self.grid) for index, crop in pairs])
            flip = torch.tensor([crop.flipped for crop in crops])
            mirrored = torch.from_numpy(self.crops.skeleton.flip)
            heatmaps = warp_heatmaps(view, torch.from_numpy(to_grid), flip, mirrored, self.grid)
        passes = step * self.size * self.world / len(self.crops)
        return Batch(images, Target(coords, weight), heatmaps, tuple(indices), passes)

    def _permutation(self, epoch: int) -> np.ndarray:
        if self._order[0] != epoch:
            rng = np.random.default_rng((self.crops.seed, epoch))
            order = rng.permutation(len(self.crops))
            self._order = epoch, order if self.weights is None else systematic_sample(self.weights, rng)[order]
        return self._order[1]

    def loader(self, start: int, stop: int, workers: int) -> Iterator[Batch]:
        """Batches `start` to `stop`, prepared by `workers` processes ahead of time (0: in this one).

        Raises:
            Exception: what `__getitem__` raised, whichever process it was in.
        """
        for prepared in DataLoader(_Prepared(self), batch_size=None, sampler=range(start, stop), num_workers=workers):
            if isinstance(prepared, Exception):
                raise prepared
            yield prepared


def systematic_sample(weights: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """As many indices as there are weights; each occurs as often as its share says, rounded up or down at random."""
    ends = weights.cumsum() / weights.sum()
    places = (np.arange(len(weights)) + rng.random()) / len(weights)
    return np.minimum(np.searchsorted(ends, places, side="right"), len(weights) - 1)


class _Prepared(Dataset[Batch | Exception]):
    """Batches, or what came in their place: DataLoader would bury a worker's exception in the text of another one."""

    def __init__(self, batches: Batches) -> None:
        self._batches = batches

    def __getitem__(self, step: int) -> Batch | Exception:
        try:
            return self._batches[step]
        except Exception as error:
            if not isinstance(error, UserError):
                error.add_note(traceback.format_exc())  # pickling an error drops its traceback
            return error


def resized(crop: CropSpec, resolution: float) -> CropSpec:
    """The crop at a share of its size.

    Raises:
        InputError: the networks cannot cut that into patches.
    """
    if resolution == 1:
        return crop
    small = replace(crop, width=round(crop.width * resolution), height=round(crop.height * resolution))
    if not small.width or not small.height or small.width % _GRAIN or small.height % _GRAIN:
        size = f"{small.width} x {small.height}"
        raise InputError(f"recipe: resolution {resolution:g}: {size} is no multiple of {_GRAIN}; take 0.5 or 1")
    return small
