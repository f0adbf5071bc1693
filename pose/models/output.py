"""The output of every pose network, teacher or student."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class PoseOutput:
    """A batch of predictions; what a network does not predict is None.

    Attributes:
        coords: `[N, K, 2]`, (x, y) in 0..1 of the crop.
        scores: `[N, K]`, confidence; a trained network's lie in about 0..1.
        sigmas: `[N, K, 2]`, standard deviation of the keypoint in heatmap pixels.
        heatmaps: `[N, K, H, W]`, peak about 1.
        keypoint_tokens: `[N, K, D]`, after the last encoder block.
        visual_tokens: `[N, P, D]`, after the last encoder block, row by row of the patch grid.
        layer_coords, layer_sigmas, layer_logits: `[N, L, Q, 2]`, `[N, L, Q, 2]`, `[N, L, Q, K + 1]` of every decoder layer,
            the last layer last, for the losses of networks that are trained on all of them.

    A network of queries, as PRTR, predicts Q points for K joints: `coords [N, Q, 2]`, `sigmas [N, Q, 2]`, and `scores
    [N, Q, K]`, the probability that a query is a joint; `pose.decode.assign_queries` makes K predictions of them.
    """

    coords: Tensor | None = None
    scores: Tensor | None = None
    sigmas: Tensor | None = None
    heatmaps: Tensor | None = None
    keypoint_tokens: Tensor | None = None
    visual_tokens: Tensor | None = None
    layer_coords: Tensor | None = None
    layer_sigmas: Tensor | None = None
    layer_logits: Tensor | None = None
