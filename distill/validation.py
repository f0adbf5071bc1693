"""Validation of a network in torch: while it trains, and of the finished program as `edge.check` scores it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

from calib_data.crops import Crops
from calib_data.sample import Labels
from calib_data.scored_people import people_of
from distill.batches import network_input
from pose import decode, scoring
from pose.crop import to_image
from pose.models.output import PoseOutput

BATCH = 4  # larger ones are slower: their tensors outgrow the cache, and glibc hands each one back to the kernel
_BLUR = 11  # kernel of the unbiased decoding, in heatmap pixels


def decode_heatmaps(heatmaps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates `[N, K, 2]` in 0..1 and scores `[N, K]` of heatmaps `[N, K, H, W]`, by DARK (PAPER: section 4.1)."""
    return decode.decode(heatmaps, "dark", kernel=_BLUR)


class DecodedNetwork(nn.Module):
    """A heatmap network followed by its decoding, so that it is scored like a student."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> PoseOutput:
        """Images `[N, 3, H, W]` -> coords and scores."""
        coords, scores = decode_heatmaps(self.model(images).heatmaps.float().cpu().numpy())
        return PoseOutput(coords=torch.from_numpy(coords), scores=torch.from_numpy(scores))


def validate(model: nn.Module, crops: Crops) -> dict[str, float]:
    """`ap` and `pck` of a network in evaluation mode on plain crops, 0..100; nan where the data does not define them."""
    model.eval()
    device = next(model.parameters()).device

    def run(images: Tensor) -> tuple[Tensor, Tensor]:
        output = model(images.to(device))
        return output.coords, output.scores

    return _score(run, crops, BATCH)


def validate_program(program: ExportedProgram, crops: Crops) -> dict[str, float]:
    """`ap` and `pck` of a finished program, person by person on one thread: to the last digit what `edge.check` gives."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return _score(program.module(), crops, 1)
    finally:
        torch.set_num_threads(before)


@torch.no_grad()
def _score(run: Callable[[Tensor], tuple[Tensor, Tensor]], crops: Crops, batch: int) -> dict[str, float]:
    samples: list[Labels] = []
    coords: list[np.ndarray] = []
    scores: list[np.ndarray] = []
    for start in range(0, len(crops), batch):
        numbers = range(start, min(start + batch, len(crops)))
        some = [crops.get(index) for index in numbers]
        samples += [crops.source.labels(index) for index in numbers]
        outputs = run(network_input([crop.pixels for crop in some], crops.spec))
        points, confidences = (output.cpu().float().numpy().astype(np.float64) for output in outputs)
        coords += [to_image(person, crop.matrix, crops.spec) for person, crop in zip(points, some, strict=True)]
        scores += list(confidences)
    scored = scoring.score(people_of(crops.source, samples), np.stack(coords), np.stack(scores), crops.skeleton)
    return {"ap": _number(scored.ap), "pck": _number(scored.pck)}


def _number(points: float | None) -> float:
    return np.nan if points is None else points
