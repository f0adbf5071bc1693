"""What is int8 in a student and how its ranges are found: a policy as data, and the PT2E quantizer that carries it out.

The annotations are those of ExecuTorch's XNNPACK quantizer where it has one, written on torchao alone so that training
needs no backend installed. It differs in seven places: ReLU6 fuses with the convolution before it as ReLU does; padding
keeps the scale of what it reads (XNNPACK folds it into the convolution); a sum has the scale of what it adds; a map that is
resized stays float until it is added, because backends round halves otherwise; the backbone's scales are exact
(`quantize.exact`); the image has one fixed scale from the pixel range; modules can be left in float by name. Softmax, GELU,
LayerNorm and `bmm` are float, and so is the residual stream of the tokens: keypoint tokens enter it far smaller than visual
ones, and one scale for both rounds them all to the same.

The scheme `integer` is `affine`, but a map that is resized is rounded at once, to the scale of what was resized: an NPU
computes nothing in float, and each float operator between two of its own costs a transfer. Backends may then differ by one
step where they resize.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch.fx import GraphModule
from torchao.quantization.pt2e import FakeQuantize, HistogramObserver, MinMaxObserver
from torchao.quantization.pt2e.quantizer import (
    FixedQParamsQuantizationSpec,
    QuantizationAnnotation,
    QuantizationSpec,
    Quantizer,
    SharedQuantizationSpec,
)
from torchao.quantization.pt2e.quantizer.quantizer import Q_ANNOTATION_KEY

from pose.card import Quantization
from pose.crop import CropSpec
from quantize import exact
from quantize.exact import COMPUTE

aten = torch.ops.aten

Scheme = Literal["affine", "symmetric", "integer"]
Estimator = Literal["minmax", "percentile", "mse"]

FLOAT_MODULES = ("head",)  # what turns tokens into coordinates: its rounding would go straight into them
MAP_RANK = 4  # of what the backbone computes, exactly; tokens have one dimension less
_CLAMPS = (aten.relu.default, aten.relu_.default, aten.hardtanh.default, aten.hardtanh_.default, aten.relu6.default)
_KEEP_SCALE = (
    *_CLAMPS,
    aten.max_pool2d.default,
    aten.pad.default,
    aten.constant_pad_nd.default,
    aten.permute.default,
    aten.transpose.int,
    aten.view.default,
    aten.reshape.default,
    aten.flatten.using_ints,
    aten.unflatten.int,
    aten.slice.Tensor,
)
_RESIZINGS = (aten.upsample_bilinear2d.vec, aten.upsample_nearest2d.vec)


@dataclass(frozen=True)
class Precision:
    """The precision policy of one int8 program.

    Attributes:
        scheme: `affine` int8 activations, `symmetric` ones with zero point 0 (TensorRT), or `integer`: affine ones, and the
            backbone holds nothing but int8, resized maps included (NPUs). Weights are symmetric and per channel.
        float_modules: names of modules in the deploy form that stay float, with all that is inside them.
        estimator: how activation ranges are found: `minmax` over all that was seen, `percentile` (moving average over
            batches), `mse` (histogram, least squared error).
        percentile: of the upper end of a range, above 50 and at most 100; 100 - p is that of its lower end. A smaller one
            clips more and rounds finer.
    """

    scheme: Scheme = "affine"
    float_modules: tuple[str, ...] = FLOAT_MODULES
    estimator: Estimator = "minmax"
    percentile: float = 99.99


def image_quantization(spec: CropSpec, scheme: Scheme) -> Quantization:
    """The one quantization of the network's input: 0 (the padding) is exact, and white alone may clip, by one step."""
    low = min(-mean / std for mean, std in zip(spec.mean, spec.std, strict=True))
    high = max((255 - mean) / std for mean, std in zip(spec.mean, spec.std, strict=True))
    zero_point = 0 if scheme == "symmetric" else round(-128 - low / ((high - low) / 255))
    step = max(high / (128 - zero_point), low / (-128 - zero_point))
    return Quantization(scale=float(exact.round_up(torch.tensor(step), exact.STEP_BITS)), zero_point=zero_point)


class StudentQuantizer(Quantizer):
    """Annotates an exported deploy form by a `Precision`; see the module."""

    def __init__(self, precision: Precision, crop: CropSpec) -> None:
        super().__init__()
        self._precision = precision
        self._image = image_quantization(crop, precision.scheme)

    def annotate(self, model: GraphModule) -> GraphModule:
        fused: set[Any] = set()  # activations whose producer was annotated with them
        for node in model.graph.nodes:
            if node.op == "placeholder":
                _annotate(node, {}, self._image_spec())
            elif node in fused or self._stays_float(node):
                continue
            elif node.target in COMPUTE:
                inputs = {node.args[0]: self._read(node.args[0], node), node.args[1]: _weight_spec(node)}
                self._annotate_fused(node, inputs, _activation_spec(node, self._precision), fused)
            elif node.target == aten.add.Tensor and node.meta["val"].ndim == MAP_RANK:
                self._annotate_sum(node, fused)
            elif self._keeps_scale(node) and _is_quantized(node.args[0]):
                shared = SharedQuantizationSpec(node.args[0])
                _annotate(node, {node.args[0]: shared}, shared)
        return model

    def validate(self, model: GraphModule) -> None:
        """Nothing to check: `annotate` only writes what it knows."""

    def _annotate_sum(self, node: Any, fused: set[Any]) -> None:
        """One scale for what is added and the sum, however long the chain of sums: nothing is rounded, some is clipped.

        What is float comes with more bits than int8 has: its sum is float, and has a scale of its own. So has the sum of a
        resized map, which would otherwise coarsen all that is added to it.
        """
        known = [value for value in node.all_input_nodes if _is_quantized(value)]
        if len(known) < len(node.all_input_nodes) or any(value.target in _RESIZINGS for value in known):
            own = _activation_spec(node, self._precision)
            self._annotate_fused(node, {value: SharedQuantizationSpec(value) for value in known}, own, fused)
            return
        first, *others = sorted({_scaled_with(value) for value in known})  # in the order of the graph
        shared = SharedQuantizationSpec(first)
        for other in others:
            other.meta[Q_ANNOTATION_KEY].output_qspec = shared
        self._annotate_fused(node, dict.fromkeys(known, shared), shared, fused)

    def _annotate_fused(self, node: Any, inputs: dict[Any, Any], output: Any, fused: set[Any]) -> None:
        """Annotate an operator together with the clamp that alone reads it, if there is one."""
        users = list(node.users)
        if len(users) == 1 and users[0].target in _CLAMPS and not self._stays_float(users[0]):
            _annotate(node, inputs, None)
            _annotate(users[0], {}, output)
            fused.add(users[0])
        else:
            _annotate(node, inputs, output)

    def _read(self, value: Any, reader: Any) -> object:
        """Spec of an input edge: that of the value where it is quantized already, or of the first operator that reads it."""
        if _is_quantized(value):
            return SharedQuantizationSpec(value)
        for other in value.users:
            annotation = other.meta.get(Q_ANNOTATION_KEY)
            if other is not reader and annotation is not None and value in annotation.input_qspec_map:
                return SharedQuantizationSpec((value, other))
        return _activation_spec(value, self._precision)

    def _keeps_scale(self, node: Any) -> bool:
        return node.target in _KEEP_SCALE or (self._precision.scheme == "integer" and node.target in _RESIZINGS)

    def _stays_float(self, node: Any) -> bool:
        names = [name for name, _ in node.meta.get("nn_module_stack", {}).values()]
        return any(name == kept or name.startswith(f"{kept}.") for name in names for kept in self._precision.float_modules)

    def _image_spec(self) -> FixedQParamsQuantizationSpec:
        return FixedQParamsQuantizationSpec(
            torch.int8, self._image.scale, self._image.zero_point, -128, 127, torch.per_tensor_affine
        )


def _annotate(node: Any, inputs: dict[Any, object], output: object) -> None:
    node.meta[Q_ANNOTATION_KEY] = QuantizationAnnotation(inputs, output, _annotated=True)


def _scaled_with(node: Any) -> Any:
    """The first node whose scale this one has."""
    while isinstance(spec := node.meta[Q_ANNOTATION_KEY].output_qspec, SharedQuantizationSpec):
        node = spec.edge_or_node
    return node


def _is_quantized(node: Any) -> bool:
    annotation = node.meta.get(Q_ANNOTATION_KEY)
    return annotation is not None and annotation.output_qspec is not None


def _activation_spec(value: Any, precision: Precision) -> QuantizationSpec:
    is_map = [node.op != "output" and node.meta["val"].ndim == MAP_RANK for node in (value, *value.users)]
    exactly = is_map[0] and any(is_map[1:])  # the patch embedding's answer leaves as tokens
    observers = {
        "minmax": exact.ExactMinMax if exactly else MinMaxObserver,
        "percentile": (exact.ExactPercentile if exactly else exact.PercentileObserver).with_args(
            percentile=precision.percentile
        ),
        "mse": exact.ExactHistogram if exactly else HistogramObserver,
    }
    fake_quantize = FakeQuantize.with_args(observer=observers[precision.estimator])
    qscheme = torch.per_tensor_symmetric if precision.scheme == "symmetric" else torch.per_tensor_affine
    return QuantizationSpec(torch.int8, fake_quantize, -128, 127, qscheme)


def _weight_spec(layer: Any) -> QuantizationSpec:
    observer = exact.ExactWeight if layer.meta["val"].ndim == MAP_RANK else exact.WeightObserver
    fake_quantize = FakeQuantize.with_args(observer=observer)
    return QuantizationSpec(torch.int8, fake_quantize, -127, 127, torch.per_channel_symmetric, ch_axis=0)
