"""Cross-layer equalisation: channels that share one int8 scale are given ranges alike, and the network stays what it was.

A convolution's output channel may be divided by any positive number if all that reads it multiplies by the same: ReLU, sums,
padding and resizing let it through (Nagel et al., "Data-free quantization through weight equalization and bias correction",
ICCV 2019). There the ranges come from weights; here from calibration crops, balanced against the weights that have to make
up for it as in SmoothQuant (Xiao et al., ICML 2023).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.fx import GraphModule, Interpreter, Node

aten = torch.ops.aten

_ALPHA = 0.75  # how much of a range the activations give away; the rest is the weights'
_SAME_CHANNELS = (
    aten.relu.default,
    aten.relu_.default,
    aten.pad.default,
    aten.constant_pad_nd.default,
    aten.upsample_bilinear2d.vec,
    aten.upsample_nearest2d.vec,
)


class Group:
    """Feature maps whose channels can only be scaled together, the convolutions that write them and those that read them."""

    def __init__(self) -> None:
        self.members: list[Node] = []
        self.writers: list[Node] = []
        self.readers: list[Node] = []
        self.free = True


@torch.no_grad()
def equalise(model: nn.Module, graph: GraphModule, batches: Iterable[Tensor]) -> int:
    """Rescale the channels of `model`'s convolutions, in place; its function stays the same but for rounding.

    Args:
        graph: an export of `model`, in which parameters have the names that they have there.
        batches: network inputs float32 [N, 3, H, W], without augmentation.

    Returns:
        The number of groups of feature maps that were rescaled.
    """
    groups = [group for group in _groups(graph) if group.free and group.writers and group.readers]
    ranges = _Ranges(graph, [node for group in groups for node in group.members])
    for batch in batches:
        ranges.run(batch)
    for group in groups:
        scale = _scale(group, model, torch.stack([ranges.largest[node] for node in group.members]).amax(0))
        for conv in group.writers:
            weight, bias = _parameters(model, conv)
            weight.div_(scale[:, None, None, None])
            if bias is not None:
                bias.div_(scale)
        for conv in group.readers:
            weight, _ = _parameters(model, conv)
            weight.mul_(scale[:, None, None, None] if _depthwise(conv) else scale[:, None, None])
    return len(groups)


def _scale(group: Group, model: nn.Module, largest: Tensor) -> Tensor:
    """What each channel is divided by: float32 [C], 1 in the geometric mean. Silent channels are left alone."""
    dense = [_parameters(model, conv)[0].abs().amax((0, 2, 3)) for conv in group.readers if not _depthwise(conv)]
    scale = largest**_ALPHA / torch.stack(dense).amax(0).clamp_min(1e-12) ** (1 - _ALPHA) if dense else largest.clone()
    heard = largest > 1e-6
    scale[~heard] = 1
    scale[heard] /= scale[heard].log().mean().exp()
    return scale


class _Ranges(Interpreter):
    """Largest absolute value of each channel of some nodes, over all that was run."""

    def __init__(self, graph: GraphModule, nodes: list[Node]) -> None:
        super().__init__(graph)
        self.largest: dict[Node, Tensor] = {}
        self._wanted = set(nodes)

    def run_node(self, n: Node) -> Any:
        value = super().run_node(n)
        if n in self._wanted:
            seen = value.abs().amax((0, 2, 3))
            self.largest[n] = torch.maximum(self.largest[n], seen) if n in self.largest else seen
        return value


def _groups(graph: GraphModule) -> list[Group]:
    of: dict[Node, Group] = {}
    for node in graph.graph.nodes:
        if not _is_map(node):
            for value in filter(_is_map, node.all_input_nodes):
                of[value].free = False
            continue
        of[node] = group = Group()
        group.members.append(node)
        inputs = [value for value in node.all_input_nodes if _is_map(value) and value.op != "get_attr"]
        if node.target == aten.conv2d.default and _kind(node):
            group.writers.append(node)
            of[inputs[0]].readers.append(node)
        elif node.target == aten.add.Tensor or node.target in _SAME_CHANNELS:
            for value in inputs:
                _merge(of, of[value], of[node])
        else:  # the image, a clamp from above, or something unknown
            for value in (node, *inputs):
                of[value].free = False
    return list({id(group): group for group in of.values()}.values())


def _merge(of: dict[Node, Group], one: Group, other: Group) -> None:
    if one is other:
        return
    one.members += other.members
    one.writers += other.writers
    one.readers += other.readers
    one.free &= other.free
    for node in other.members:
        of[node] = one


def _is_map(node: Node) -> bool:
    """A feature map `[N, C, H, W]`, not a parameter."""
    value = node.meta.get("val")
    return node.op != "get_attr" and isinstance(value, Tensor) and value.ndim == 4


def _kind(conv: Node) -> bool:
    """Whether each weight of the convolution reads one channel that it can tell: a dense or a depthwise one."""
    return _groups_of(conv) == 1 or _depthwise(conv)


def _depthwise(conv: Node) -> bool:
    return _groups_of(conv) == conv.meta["val"].shape[1] == conv.all_input_nodes[0].meta["val"].shape[1]


def _groups_of(conv: Node) -> int:
    return cast(int, conv.args[6]) if len(conv.args) > 6 else 1


def _parameters(model: nn.Module, conv: Node) -> tuple[Tensor, Tensor | None]:
    weight, *bias = (model.get_parameter(str(node.target)) for node in conv.all_input_nodes[1:])
    return weight, bias[0] if bias else None
