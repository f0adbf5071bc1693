"""Validation figures of a network in torch, while it trains."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from calib_data.crops import Crops
from pose import metrics
from pose.crop import to_image
from quantize.batches import network_input

BATCH = 4  # larger ones are slower: their tensors outgrow the cache, and glibc hands each one back to the kernel


@torch.no_grad()
def predict(model: nn.Module, crops: Crops) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates float64 `[M, K, 2]` in image pixels and scores `[M, K]` of the crops, in eval mode."""
    model.eval()
    device = next(model.parameters()).device
    coords, scores = [], []
    for start in range(0, len(crops), BATCH):
        batch = [crops.get(index) for index in range(len(crops))[start : start + BATCH]]
        output = model(network_input([crop.pixels for crop in batch], crops.spec).to(device))
        for crop, points, confidence in zip(
            batch, output.coords.cpu().double().numpy(), output.scores.cpu().float().numpy(), strict=True
        ):
            coords.append(to_image(points, crop.matrix, crops.spec))
            scores.append(confidence)
    return np.stack(coords), np.stack(scores)


def score(coords: np.ndarray, scores: np.ndarray, crops: Crops) -> dict[str, float]:
    """`ap` (OKS) and `pck` (0.2 of the torso), 0..100, over the joints that the network and the data share."""
    source = crops.source
    samples = [source[index] for index in range(len(coords))]
    joints = source.skeleton.shared(crops.skeleton)
    theirs, ours = source.skeleton.indices(joints), crops.skeleton.indices(joints)
    truth = np.stack([sample.keypoints for sample in samples])
    part = source.skeleton.only(joints)
    ids = [sample.image_id for sample in samples]
    areas, boxes = np.array([sample.area for sample in samples]), np.stack([sample.box for sample in samples])
    annotations = metrics.as_annotations(truth[:, theirs], areas, boxes, ids)
    results = metrics.as_results(coords[:, ours], scores[:, ours], ids)
    return {
        "ap": 100 * metrics.average_precision(annotations, results, part.sigmas)["ap"],
        "pck": 100 * metrics.pck(coords[:, ours], truth[:, theirs], part),
    }
