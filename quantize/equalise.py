"""Cross-layer equalisation: channels that share one int8 scale get similar ranges; the network's function stays the same.

An output channel of a convolution or a LayerNorm may be divided by any positive number if every layer that reads it
multiplies by the same number: ReLU, sums, padding and resizing pass the factor on (Nagel et al., "Data-free quantization
through weight equalization and bias correction", ICCV 2019). There the ranges come from weights; here from calibration
crops, balanced against the weights that take up the factor, as in SmoothQuant (Xiao et al., ICML 2023). All channels
together are then scaled so that int8 spans them with a step that is a power of two (`quantize.exact`). A clamp passes the
factor on, too, if its limit is scaled.

The output of the patch embedding is added to the tokens as it is, so its channels cannot be scaled; but the middle of each
range can be moved into the constant that is added next. One step then spans a half to two thirds of what it did.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.fx import GraphModule, Interpreter, Node

from quantize.precision import COMPUTE, MAP_RANK, Scheme

aten = torch.ops.aten

_ALPHA = 0.75  # how much of a range the activations give away; the rest is the weights'
_RELUS = (aten.relu.default, aten.relu_.default)
_SAME_CHANNELS = (
    *_RELUS,
    aten.pad.default,
    aten.upsample_bilinear2d.vec,
    aten.upsample_nearest2d.vec,
)
_CLAMPS = (aten.hardtanh.default, aten.hardtanh_.default)


class Group:
    """Activations whose channels can only be scaled together, what writes them and what reads them."""

    def __init__(self) -> None:
        self.members: list[Node] = []
        self.writers: dict[str, Node] = {}  # by the name of the weight: a layer may be called twice
        self.readers: dict[str, Node] = {}
        self.clamps: list[Node] = []
        self.scalable = True


@torch.no_grad()
def equalise(model: nn.Module, graph: GraphModule, batches: Iterable[Tensor], scheme: Scheme = "affine") -> int:
    """Rescale the channels of `model`'s activations by way of its weights, in place; its function stays but for rounding.

    The patch embedding's channels are centred, where the model can do that (`DeployPose.centre`).

    Args:
        graph: an export of `model`, in which parameters have the names that they have there.
        batches: network inputs float32 [N, 3, H, W], without augmentation.
        scheme: of the activations, see `quantize.precision.Precision`.

    Returns:
        The number of groups of activations that were rescaled.
    """
    groups = [group for group in _groups(graph) if group.scalable and group.writers and group.readers]
    groups = [group for group in groups if all(_is_module(model, clamp) for clamp in group.clamps)]
    for group in groups:
        group.members = [node for node in group.members if not _is_fused(node)]
    centred = _centred(model, graph)
    ranges = _Ranges(graph, [*centred, *(node for group in groups for node in group.members)])
    for batch in batches:
        ranges.run(batch)
    for group in groups:
        low, high = (torch.stack([side[node] for node in group.members]) for side in (ranges.low, ranges.high))
        scale = _scale(group, model, low.amin(0), high.amax(0), scheme)
        for clamp in group.clamps:
            limit = cast(float, clamp.args[2]) / scale[0].item()  # all channels have one
            model.set_submodule(_module(clamp), nn.Hardtanh(0.0, limit))
        for layer in group.writers.values():
            for parameter in _parameters(model, layer):
                parameter.div_(scale.reshape(-1, *[1] * (parameter.ndim - 1)))
        for layer in group.readers.values():
            weight = _parameters(model, layer)[0]
            weight.mul_(scale.reshape(-1, 1, 1, 1) if _depthwise(layer) else scale.reshape(-1, *[1] * (weight.ndim - 2)))
    for node in centred:
        cast(Any, model).centre((ranges.low[node] + ranges.high[node]) / 2)
    return len(groups)


def _centred(model: nn.Module, graph: GraphModule) -> list[Node]:
    """Outputs of the layer whose channels may be centred: of a model with `centred_weight`, the name of its weight."""
    weight = getattr(model, "centred_weight", None)
    layers = graph.graph.find_nodes(op="call_function", target=aten.conv2d.default)
    return [layer for layer in layers if _weight(layer) == weight]


def _scale(group: Group, model: nn.Module, low: Tensor, high: Tensor, scheme: Scheme) -> Tensor:
    """What each channel, of range `low` to `high`, is divided by: float32 [C]. Silent channels are left alone."""
    scale = torch.ones_like(high)
    if not group.clamps:
        scale = _balance(group, model, torch.maximum(-low, high))
    least, most = (low / scale).amin().clamp(max=0), (high / scale).amax().clamp(min=0)
    for clamp in group.clamps:
        most = torch.tensor(cast(float, clamp.args[2]))  # int8 ends there, and the clamp need not be computed
    step = torch.maximum(-least, most) / 127 if scheme == "symmetric" else (most - least) / 255
    if step == 0 or group.members[0].meta["val"].ndim != MAP_RANK:
        return scale
    return scale * step / torch.exp2(step.log2().round())


def _balance(group: Group, model: nn.Module, largest: Tensor) -> Tensor:
    """What makes channels alike: 1 in the geometric mean."""
    dense = [_parameters(model, layer)[0] for layer in group.readers.values() if not _depthwise(layer)]
    scale = largest.clone()
    if dense:
        weights = torch.stack([weight.abs().transpose(0, 1).flatten(1).amax(1) for weight in dense]).amax(0)
        scale = largest**_ALPHA / weights.clamp_min(1e-12) ** (1 - _ALPHA)
    active = largest > 1e-6
    scale[~active] = 1
    scale[active] /= scale[active].log().mean().exp()
    return scale


class _Ranges(Interpreter):
    """Lowest and highest value of each channel of some nodes, over all that was run."""

    def __init__(self, graph: GraphModule, nodes: list[Node]) -> None:
        super().__init__(graph)
        self.low: dict[Node, Tensor] = {}
        self.high: dict[Node, Tensor] = {}
        self._wanted = set(nodes)

    def run_node(self, n: Node) -> Any:
        value = super().run_node(n)
        if n in self._wanted:
            channels = value.transpose(0, 1 if value.ndim == MAP_RANK else -1).flatten(1)
            low, high = channels.amin(1), channels.amax(1)
            self.low[n] = torch.minimum(self.low.get(n, low), low)
            self.high[n] = torch.maximum(self.high.get(n, high), high)
        return value


def _groups(graph: GraphModule) -> list[Group]:
    of: dict[Node, Group] = {}
    writes: dict[str, Node] = {}
    reads: dict[str, Node] = {}
    for node in graph.graph.nodes:
        inputs = [value for value in node.all_input_nodes if value in of]
        if node.op == "get_attr" or not (inputs or _is_written(node)):
            continue
        if _is_written(node) or _keeps_channels(node):
            of[node] = Group()
            of[node].members.append(node)
        if _keeps_channels(node) and len(inputs) == len(node.all_input_nodes):
            for value in inputs:
                _merge(of, value, node)
            if node.target in _CLAMPS:
                of[node].clamps.append(node)
            continue
        if _is_written(node) and node.op != "placeholder":
            of[node].writers[_weight(node)] = node
            _merge(of, writes.setdefault(_weight(node), node), node)
        elif node in of:  # the image, or added to something whose scale is not ours
            of[node].scalable = False
        if inputs and node.target in COMPUTE and _has_per_channel_weights(node):
            of[inputs[0]].readers[_weight(node)] = node
            _merge(of, reads.setdefault(_weight(node), inputs[0]), inputs[0])
        else:
            for value in inputs:
                of[value].scalable = False
            if node in of and _groups_of(node) > 1:
                of[node].scalable = False
    return list({id(group): group for group in of.values()}.values())


def _merge(of: dict[Node, Group], first: Node, second: Node) -> None:
    one, other = of[first], of[second]
    if one is other:
        return
    one.members += other.members
    one.writers |= other.writers
    one.readers |= other.readers
    one.clamps += other.clamps
    one.scalable &= other.scalable
    for node in other.members:
        of[node] = one


def _is_written(node: Node) -> bool:
    """The image, or an activation whose channels have each a row of weights of their own."""
    return node.op == "placeholder" or node.target in (aten.conv2d.default, aten.layer_norm.default)


def _is_fused(node: Node) -> bool:
    """Whether nothing but a ReLU or a clamp sees the node's values: those are never rounded."""
    return len(node.users) == 1 and next(iter(node.users)).target in (*_RELUS, *_CLAMPS)


def _keeps_channels(node: Node) -> bool:
    """Whether scaled inputs give the output scaled: ReLU, zero padding, resizing, a sum, some of the tokens `[N, L, D]`.

    A clamp from 0 does where its limit is scaled, too.
    """
    if node.target in _CLAMPS:
        return bool(node.args[1] == 0)
    if node.target == aten.add.Tensor:
        return all(isinstance(value, Node) for value in node.args)
    if node.target == aten.slice.Tensor:
        return bool(node.args[1] == 1 and node.meta["val"].ndim == 3)
    padded_with = node.args[3] if node.target == aten.pad.default and len(node.args) > 3 else None
    return node.target in _SAME_CHANNELS and not padded_with


def _has_per_channel_weights(layer: Node) -> bool:
    """Whether each weight of the layer reads a single input channel; weights of other grouped convolutions read several."""
    return _groups_of(layer) == 1 or _depthwise(layer)


def _depthwise(layer: Node) -> bool:
    if layer.target != aten.conv2d.default:
        return False
    channels = layer.meta["val"].shape[1], layer.all_input_nodes[0].meta["val"].shape[1]
    return channels == (_groups_of(layer),) * 2


def _groups_of(layer: Node) -> int:
    return cast(int, layer.args[6]) if layer.target == aten.conv2d.default and len(layer.args) > 6 else 1


def _module(node: Node) -> str:
    """Name of the module that a node is of."""
    *_, (name, _) = node.meta["nn_module_stack"].values()
    return str(name)


def _is_module(model: nn.Module, clamp: Node) -> bool:
    """Whether a clamp is a module of its own, whose limit can move; ReLU6 is a Hardtanh."""
    return isinstance(model.get_submodule(_module(clamp)), nn.Hardtanh)


def _weight(layer: Node) -> str:
    return str(layer.all_input_nodes[1].target)


def _parameters(model: nn.Module, layer: Node) -> list[Tensor]:
    """The weight, and the bias if there is one."""
    return [model.get_parameter(str(node.target)) for node in layer.all_input_nodes[1:]]
