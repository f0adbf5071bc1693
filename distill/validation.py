"""Validation of a network in torch: while it trains, and of the finished program as `edge.check` scores it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Lock

import numpy as np
import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

from calib_data.crops import Crops
from calib_data.sample import Labels
from calib_data.scored_people import people_of
from distill.batches import network_input
from pose import scoring
from pose.crop import to_image
from pose.decode import assign_queries
from pose.models.output import PoseOutput
from pose.models.teacher import decode_heatmaps, grid_of

BATCH = 4  # larger ones are slower: their tensors outgrow the cache
_one_reader = Lock()  # sources of photos are not made for several threads


class DecodedNetwork(nn.Module):
    """A heatmap network followed by its decoding, so that it is scored like a student."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> PoseOutput:
        """Images `[N, 3, H, W]` -> coords and scores."""
        grid = grid_of(self.model, images.shape[-1], images.shape[-2])
        coords, scores = decode_heatmaps(self.model(images).heatmaps.float().cpu().numpy(), grid)
        return PoseOutput(coords=torch.from_numpy(coords), scores=torch.from_numpy(scores))


def validate(model: nn.Module, crops: Crops) -> dict[str, float]:
    """`ap` and `pck` of a network in evaluation mode on plain crops, 0..100; nan where the data does not define them."""
    model.eval()
    device = next(model.parameters()).device

    def run(images: Tensor) -> tuple[Tensor, Tensor]:
        output = model(images.to(device))
        return output.coords, output.scores

    return _points(_score(crops, [_answer(run, crops, numbers) for numbers in _batches(crops, BATCH)]))


def validate_program(program: ExportedProgram, crops: Crops) -> dict[str, float]:
    """`ap` and `pck` of a finished program; see `score_program`."""
    return _points(score_program(program, crops))


def score_program(program: ExportedProgram, crops: Crops, resamples: int = 0) -> scoring.Score:
    """Accuracy of a finished program, to the last digit what `edge.check` gives: one person at a time on one thread.

    As many people as torch has threads are at work at the same time.

    Args:
        resamples: of the people, for intervals; 0 computes none.
    """
    run, threads = program.module(), torch.get_num_threads()
    try:
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            return _score(crops, pool.map(partial(_answer, run, crops), _batches(crops, 1)), resamples)
    finally:
        torch.set_num_threads(threads)


Run = Callable[[Tensor], tuple[Tensor, Tensor]]
Answer = tuple[Labels, np.ndarray, np.ndarray]  # of one person, coords [S, 2] in image pixels, scores [S]


def _batches(crops: Crops, size: int) -> list[range]:
    return [range(start, min(start + size, len(crops))) for start in range(0, len(crops), size)]


@torch.no_grad()
def _answer(run: Run, crops: Crops, numbers: range) -> list[Answer]:
    with _one_reader:
        batch, labels = zip(*((crops.get(number), crops.source.labels(number)) for number in numbers), strict=True)
    outputs = run(network_input([crop.pixels for crop in batch], crops.spec))
    coords, scores = assign_queries(*(output.cpu().float().numpy().astype(np.float64) for output in outputs))
    placed = [to_image(person, crop.matrix, crops.spec) for person, crop in zip(coords, batch, strict=True)]
    return list(zip(labels, placed, scores, strict=True))


def _score(crops: Crops, parts: Iterable[list[Answer]], resamples: int = 0) -> scoring.Score:
    samples, coords, scores = zip(*itertools.chain.from_iterable(parts), strict=True)
    people, placed = people_of(crops.source, samples), np.stack(coords)
    return scoring.score(people, placed, np.stack(scores), crops.skeleton, resamples=resamples)


def _points(scored: scoring.Score) -> dict[str, float]:
    return {"ap": _number(scored.ap), "pck": _number(scored.pck)}


def _number(points: float | None) -> float:
    return np.nan if points is None else points
