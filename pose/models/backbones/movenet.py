"""MoveNet: MobileNetV2 and a feature pyramid up to stride 4, then a small head for each kind of map; batch norm is folded.

Source: the graphs of the published networks (Apache-2.0), Lightning (width 1.0) and Thunder (1.75). The trunk ends at tensor
`Relu_337` of either.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pose.errors import InputError

# Expansion, channels, repeats, stride of each stage (MobileNetV2, table 2).
_STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))


class SameConv2d(nn.Conv2d):
    """Convolution with TensorFlow's SAME padding: where the padding is odd, the extra row and column are below and right."""

    def forward(self, features: Tensor) -> Tensor:
        if self.stride[0] == 2 and self.kernel_size[0] == 3:
            return F.conv2d(F.pad(features, (0, 1, 0, 1)), self.weight, self.bias, self.stride, 0, 1, self.groups)
        return super().forward(features)


def _conv(inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1, bias: bool = True) -> SameConv2d:
    padding = kernel // 2 if stride == 1 else 0
    return SameConv2d(inputs, outputs, kernel, stride, padding, groups=groups, bias=bias)


class InvertedResidual(nn.Module):
    """Expand, depthwise, project; the input is added where the shapes agree."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        self.residual = stride == 1 and inputs == outputs
        expand = [_conv(inputs, hidden), nn.ReLU6()] if expansion > 1 else []
        depthwise = [_conv(hidden, hidden, 3, stride, groups=hidden), nn.ReLU6()]
        self.layers = nn.Sequential(*expand, *depthwise, _conv(hidden, outputs))

    def forward(self, features: Tensor) -> Tensor:
        out = self.layers(features)
        return features + out if self.residual else out


def _separable(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(_conv(inputs, inputs, 3, stride, groups=inputs, bias=False), _conv(inputs, outputs), nn.ReLU())


class MoveNetTrunk(nn.Module):
    """RGB `[N, 3, H, W]` in -1..1 -> features `[N, 24, H/4, W/4]`; H and W are multiples of 32."""

    channels = 24

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        inputs = _widened(32, width)
        self.stem = nn.Sequential(_conv(3, inputs, 3, 2), nn.ReLU6())
        blocks = []
        for expansion, channels, repeats, stride in _STAGES:
            outputs = _widened(channels, width)
            for index in range(repeats):
                blocks.append(InvertedResidual(inputs, outputs, stride if index == 0 else 1, expansion))
                inputs = outputs
        self.blocks = nn.ModuleList(blocks)
        self.last = nn.Sequential(_conv(inputs, 1280), nn.ReLU6())
        lateral = {4: 24, 8: 32, 16: 64}  # stride -> channels, in MobileNetV2 and, whatever the width, in the pyramid
        self.laterals = nn.ModuleList(_conv(_widened(channels, width), channels) for channels in lateral.values())
        self.top = _conv(1280, 64)
        self.merges = nn.ModuleList([_separable(64, 32), _separable(32, 24), _separable(24, 24)])  # strides 16, 8, 4

    def forward(self, images: Tensor) -> Tensor:
        features, pyramid = self.stem(images), []
        for index, block in enumerate(self.blocks):
            features = block(features)
            if index in _TAPS:
                pyramid.append(self.laterals[_TAPS.index(index)](features))
        features = self.top(self.last(features))
        for lateral, merge in zip(reversed(pyramid), self.merges, strict=True):
            features = merge(F.interpolate(features, scale_factor=2.0, mode="bilinear") + lateral)
        return features


def _widened(channels: int, width: float) -> int:
    """A multiple of 8 near `width` times the channels, and at least 90 % of it (MobileNetV2's rule)."""
    wanted = channels * width
    rounded = max(8, int(wanted + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * wanted else rounded


_TAPS = (2, 5, 9)  # the last blocks of strides 4, 8 and 16 that the pyramid reads


def _convolutions(trunk: MoveNetTrunk) -> list[nn.Conv2d]:
    """The trunk's convolutions in the order in which the published graph runs them."""
    parts: list[nn.Module] = [trunk.stem]
    for index, block in enumerate(trunk.blocks):
        parts.append(block)
        if index in _TAPS:
            parts.append(trunk.laterals[_TAPS.index(index)])
    parts += [trunk.last, trunk.top, *trunk.merges]
    return [module for part in parts for module in part.modules() if isinstance(module, nn.Conv2d)]


class MoveNetHeads(nn.Module):
    """Features `[N, 24, S, S]` -> logits of heatmaps `[N, K, S, S]`, displacements `[N, 2 K, s, s]`, logits of centres
    `[N, 1, s, s]`.

    Channels 2k and 2k + 1 of the displacements are x and y, in cells of S, from a cell to joint k of the person centred
    there. MoveNet has them, and the centres, in every cell. Here s = S / 4: index i is what MoveNet has in cell 4 i + 1.
    """

    coarse_stride = 4

    def __init__(self, keypoints: int) -> None:
        super().__init__()
        self.heatmaps = _head(keypoints)
        self.displacements = _head(2 * keypoints, self.coarse_stride)
        self.centre = _head(1, self.coarse_stride)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return self.heatmaps(features), self.displacements(features), self.centre(features)


def _head(outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(*_separable(MoveNetTrunk.channels, 96, stride), _conv(96, outputs))


def import_weights(trunk: MoveNetTrunk, path: Path, heads: MoveNetHeads | None = None) -> None:
    """Copy the weights of MoveNet's ONNX file (Lightning or Thunder, as the trunk is wide) into `trunk` and `heads`.

    Heads of another number of keypoints than MoveNet's 17 keep their own last layers, but for the centre's.

    Raises:
        InputError: the file is not ONNX, or its graph is not that of a MoveNet of this width.
    """
    nodes = _published(path)
    layers = _convolutions(trunk)
    if len(nodes) != len(layers) + 4 * _HEAD_LAYERS:
        raise InputError(f"{path} has {len(nodes)} convolutions, MoveNet has {len(layers) + 4 * _HEAD_LAYERS}")
    for name, tensors, layer in zip(nodes, nodes.values(), layers, strict=False):
        _copy(path, name, tensors, layer)
    if heads is None:
        return
    # The depthwise layers of heatmaps, displacements, centre and offsets; then their second layers; then their last ones.
    rows = [list(nodes)[len(layers) + 4 * row : len(layers) + 4 * row + 3] for row in range(_HEAD_LAYERS)]
    for head, names in zip((heads.heatmaps, heads.displacements, heads.centre), zip(*rows, strict=True), strict=True):
        convolutions = [module for module in head if isinstance(module, nn.Conv2d)]
        for name, layer in zip(names, convolutions, strict=True):
            tensors = nodes[name]
            if head is heads.displacements and layer is convolutions[-1]:  # published as (y, x) of each joint
                tensors = [tensor.unflatten(0, (-1, 2)).flip(1).flatten(0, 1) for tensor in tensors]
            if layer is not convolutions[-1] or len(layer.weight) == len(tensors[0]):
                _copy(path, name, tensors, layer)


_HEAD_LAYERS = 3


def _published(path: Path) -> dict[str, list[Tensor]]:
    """Name of each convolution of an ONNX file, in the order of its graph -> weight and bias, if it has one."""
    import onnx
    from onnx import numpy_helper

    try:
        graph = onnx.load(path).graph
    except Exception as error:  # onnx raises protobuf's DecodeError, OSError and its own
        raise InputError(f"cannot read {path} as ONNX ({type(error).__name__}); give MoveNet's .onnx file") from error
    values = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:  # weights are stored as float16 behind a Cast
        if node.op_type == "Cast" and node.input[0] in values:
            values[node.output[0]] = values[node.input[0]]
    nodes = [node for node in graph.node if node.op_type == "Conv"]
    if not all(name in values for node in nodes for name in node.input[1:]):
        raise InputError(f"{path} computes some of its weights; give MoveNet's .onnx file as it was published")
    return {
        node.output[0]: [torch.tensor(numpy_helper.to_array(values[name]), dtype=torch.float32) for name in node.input[1:]]
        for node in nodes
    }


@torch.no_grad()
def _copy(path: Path, name: str, tensors: list[Tensor], layer: nn.Conv2d) -> None:
    parameters = [layer.weight, *([layer.bias] if layer.bias is not None else [])]
    shapes = [[list(value.shape) for value in values] for values in (tensors, parameters)]
    if shapes[0] != shapes[1]:
        raise InputError(f"{path}: {name} is {shapes[0]}, expected {shapes[1]}; is it a MoveNet of another width?")
    for parameter, tensor in zip(parameters, tensors, strict=True):
        parameter.copy_(tensor)
