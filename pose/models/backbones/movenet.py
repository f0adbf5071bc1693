"""The trunk of MoveNet Lightning: MobileNetV2 (width 1.0) and a feature pyramid up to stride 4, batch norm already folded.

Source: the graph of the published network (Apache-2.0) from its input to tensor `Relu_337`.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pose.errors import InputError

# Expansion, channels, repeats, stride of each stage (MobileNetV2, table 2).
_STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
_TRUNK_OUTPUT = "Relu_337"


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


def _separable(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(_conv(inputs, inputs, 3, groups=inputs, bias=False), _conv(inputs, outputs), nn.ReLU())


class MoveNetTrunk(nn.Module):
    """RGB `[N, 3, H, W]` in -1..1 -> features `[N, 24, H/4, W/4]`; H and W are multiples of 32."""

    channels = 24

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(_conv(3, 32, 3, 2), nn.ReLU6())
        blocks, inputs = [], 32
        for expansion, outputs, repeats, stride in _STAGES:
            for index in range(repeats):
                blocks.append(InvertedResidual(inputs, outputs, stride if index == 0 else 1, expansion))
                inputs = outputs
        self.blocks = nn.ModuleList(blocks)
        self.last = nn.Sequential(_conv(320, 1280), nn.ReLU6())
        self.laterals = nn.ModuleList([_conv(24, 24), _conv(32, 32), _conv(64, 64)])  # strides 4, 8, 16
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


def import_weights(trunk: MoveNetTrunk, path: Path) -> None:
    """Copy the weights of MoveNet Lightning's ONNX file into `trunk`.

    Raises:
        InputError: the file is not ONNX, or its graph is not MoveNet Lightning's.
    """
    import onnx
    from onnx import numpy_helper

    try:
        graph = onnx.load(path).graph
    except Exception as error:  # onnx raises protobuf's DecodeError, OSError and its own
        raise InputError(
            f"cannot read {path} as ONNX ({type(error).__name__}); give MoveNet Lightning's .onnx file"
        ) from error
    values = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:  # weights are stored as float16 behind a Cast
        if node.op_type == "Cast" and node.input[0] in values:
            values[node.output[0]] = values[node.input[0]]
    nodes = []
    for node in graph.node:
        if node.op_type == "Conv":
            nodes.append(node)
        if _TRUNK_OUTPUT in node.output:
            break
    layers = _convolutions(trunk)
    if len(nodes) != len(layers):
        raise InputError(
            f"{path} has {len(nodes)} convolutions before '{_TRUNK_OUTPUT}', MoveNet Lightning has {len(layers)}"
        )
    with torch.no_grad():
        for node, layer in zip(nodes, layers, strict=True):
            tensors = [torch.tensor(numpy_helper.to_array(values[name]), dtype=torch.float32) for name in node.input[1:]]
            parameters = [layer.weight, *([layer.bias] if layer.bias is not None else [])]
            for parameter, tensor in zip(parameters, tensors, strict=True):
                if parameter.shape != tensor.shape:
                    raise InputError(
                        f"{path}: {node.name or node.output[0]} is {list(tensor.shape)}, expected {list(parameter.shape)}"
                    )
                parameter.copy_(tensor)
