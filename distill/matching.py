"""Queries to joints, one to one: the matching and the loss of PRTR (Li et al., CVPR 2021, section 3.3; DETR's set loss)."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional as F

from pose.models.output import PoseOutput

_COORDS = 5.0  # weight of a distance against a probability, in the cost of a match and in the loss
_NOTHING = 0.1  # weight of the class of queries that are no joint, which most are


@torch.no_grad()
def match(logits: Tensor, coords: Tensor, target: Tensor) -> Tensor:
    """The query `[N, K]` of each joint: that matching whose probabilities are high and whose points are near the labels.

    Args:
        logits: `[N, Q, K + 1]`, the last one of no joint; coords: `[N, Q, 2]`; target: `[N, K, 2]`, the labels.
    """
    from scipy.optimize import linear_sum_assignment

    probabilities = logits.softmax(-1)[..., :-1]
    cost = _COORDS * torch.cdist(coords, target, p=1) - probabilities  # [N, Q, K]
    costs = cost.transpose(1, 2).double().nan_to_num(1e6, 1e6, -1e6).cpu().numpy()
    return torch.stack([torch.from_numpy(linear_sum_assignment(one)[1]) for one in costs]).to(coords.device)


def hungarian(logits: Tensor, coords: Tensor, target: Tensor, weight: Tensor, queries: Tensor) -> tuple[Tensor, Tensor]:
    """The loss of one decoder layer: of classes, and of points (already times its factor).

    Args:
        logits, coords, target: see `match`, whose result is `queries`; weight: `[N, K]`, 0 where a joint is not labelled.
    """
    people, joints, nothing = len(target), target.shape[1], logits.shape[-1] - 1
    classes = torch.full(logits.shape[:2], nothing, device=logits.device)
    classes.scatter_(1, queries, torch.arange(joints, device=logits.device).expand(people, -1))
    factors = logits.new_ones(nothing + 1)
    factors[nothing] = _NOTHING
    points = coords.gather(1, queries[..., None].expand(-1, -1, 2))
    distance = ((points - target).abs() * weight[..., None]).mean()
    return F.cross_entropy(logits.transpose(1, 2), classes, factors), _COORDS * joints * distance


def matched(output: PoseOutput, target: Tensor) -> PoseOutput:
    """The output of a network of queries as that of one of joints: the query that matches each label stands for its joint.

    An output that has one prediction a joint is returned as it is.
    """
    if output.scores is None or output.scores.ndim < 3 or output.layer_logits is None:
        return output
    assert output.coords is not None
    queries = match(output.layer_logits[:, -1], output.coords, target)
    pairs = queries[..., None].expand(-1, -1, 2)
    own = output.scores.gather(1, queries[..., None].expand(-1, -1, output.scores.shape[-1]))
    return replace(
        output,
        coords=output.coords.gather(1, pairs),
        scores=own.diagonal(dim1=1, dim2=2),
        sigmas=None if output.sigmas is None else output.sigmas.gather(1, pairs),
    )


def network_hungarian(output: PoseOutput, target: Tensor, weight: Tensor) -> Tensor | None:
    """The loss of a network of queries, summed over its layers, each matched anew; None of another network.

    Args:
        target: `[N, K, 2]` in 0..1 of the crop; weight: `[N, K]`.
    """
    if output.layer_logits is None or output.layer_coords is None:
        return None
    values: list[Tensor] = []
    for logits, coords in zip(output.layer_logits.unbind(1), output.layer_coords.unbind(1), strict=True):
        values += hungarian(logits, coords, target, weight, match(logits, coords, target))
    return torch.stack(values).sum()
