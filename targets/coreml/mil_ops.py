"""The operators of a MIL program, in torch: functions and parameters have the names of MIL's iOS 17 opset.

Floats are float32 here, whichever float type the program declares; integers have the program's type. The caller rounds each
result to the declared type (`targets.coreml.reference`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import zip_longest

import torch
from torch import Tensor
from torch.nn import functional as F

KERNELS: dict[str, Callable[..., Tensor]] = {}


def _mil(kernel: Callable[..., Tensor]) -> Callable[..., Tensor]:
    KERNELS[kernel.__name__] = kernel
    return kernel


def _one_of(name: str, value: str, known: Sequence[str]) -> None:
    if value not in known:
        raise NotImplementedError(f"{name} '{value}'")


def _along(vector: Tensor | float, axis: int | None, rank: int) -> Tensor:
    """A scalar, or a vector shaped so that it broadcasts along `axis` of a tensor of that rank; float32."""
    values = torch.as_tensor(vector, dtype=torch.float32)
    if values.ndim == 0 or axis is None:
        return values
    shape = [1] * rank
    shape[axis] = -1
    return values.reshape(shape)


# Quantization


@_mil
def quantize(
    input: Tensor,  # noqa: A002 - MIL's name
    scale: Tensor | float,
    output_dtype: str,
    zero_point: Tensor | int | None = None,
    axis: int | None = None,
) -> Tensor:
    limits = torch.iinfo(getattr(torch, output_dtype))
    steps = torch.round(input / _along(scale, axis, input.ndim)) + _along(
        0 if zero_point is None else zero_point, axis, input.ndim
    )
    return steps.clamp(limits.min, limits.max)


@_mil
def dequantize(
    input: Tensor,  # noqa: A002 - MIL's name
    scale: Tensor | float,
    zero_point: Tensor | int | None = None,
    axis: int | None = None,
) -> Tensor:
    return (input.float() - _along(0 if zero_point is None else zero_point, axis, input.ndim)) * _along(
        scale, axis, input.ndim
    )


@_mil
def constexpr_affine_dequantize(
    quantized_data: Tensor, zero_point: Tensor | int, scale: Tensor | float, axis: int
) -> Tensor:
    rank = quantized_data.ndim
    return (quantized_data.float() - _along(zero_point, axis, rank)) * _along(scale, axis, rank)


@_mil
def cast(x: Tensor, dtype: str) -> Tensor:
    return x  # the caller converts it to the declared type


# Arithmetic


@_mil
def conv(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    strides: Sequence[int] = (1, 1),
    pad_type: str = "valid",
    pad: Sequence[int] = (0, 0, 0, 0),
    dilations: Sequence[int] = (1, 1),
    groups: int = 1,
) -> Tensor:
    _one_of("pad_type", pad_type, ("valid", "custom", "same", "same_lower"))
    if pad_type == "custom":
        x = F.pad(x, _from_last(pad))
    elif pad_type.startswith("same"):
        sizes = zip(x.shape[2:], weight.shape[2:], strides, dilations, strict=True)
        totals = [max((-(-size // step) - 1) * step + (width - 1) * gap + 1 - size, 0) for size, width, step, gap in sizes]
        before = [total // 2 if pad_type == "same" else -(-total // 2) for total in totals]
        x = F.pad(x, _from_last([n for left, total in zip(before, totals, strict=True) for n in (left, total - left)]))
    convolve = {3: F.conv1d, 4: F.conv2d}[x.ndim]
    return convolve(x, weight, bias, tuple(strides), 0, tuple(dilations), groups)


@_mil
def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    return F.linear(x, weight, bias)


@_mil
def matmul(x: Tensor, y: Tensor, transpose_x: bool = False, transpose_y: bool = False) -> Tensor:
    return torch.matmul(x.mT if transpose_x else x, y.mT if transpose_y else y)


@_mil
def add(x: Tensor | float, y: Tensor | float) -> Tensor:
    return torch.as_tensor(x) + y


@_mil
def maximum(x: Tensor, y: Tensor | float) -> Tensor:
    return torch.maximum(x, torch.as_tensor(y, dtype=x.dtype))


@_mil
def exp(x: Tensor) -> Tensor:
    return x.exp()


@_mil
def log(x: Tensor, epsilon: float = 1e-45) -> Tensor:
    return (x + epsilon).log()


@_mil
def reduce_sum(x: Tensor, axes: Sequence[int] | None = None, keep_dims: bool = False) -> Tensor:
    return x.sum(tuple(range(x.ndim)) if axes is None else tuple(axes), keepdim=keep_dims)


@_mil
def sub(x: Tensor | float, y: Tensor | float) -> Tensor:
    return torch.as_tensor(x) - y


@_mil
def mul(x: Tensor | float, y: Tensor | float) -> Tensor:
    return torch.as_tensor(x) * y


@_mil
def real_div(x: Tensor | float, y: Tensor | float) -> Tensor:
    return torch.as_tensor(x) / y


# Normalisation and activation


@_mil
def layer_norm(
    x: Tensor, axes: Sequence[int], gamma: Tensor | None = None, beta: Tensor | None = None, epsilon: float = 1e-5
) -> Tensor:
    axes = sorted(axis % x.ndim for axis in axes)
    spread = [size if axis in axes else 1 for axis, size in enumerate(x.shape)]
    variance, mean = torch.var_mean(x, axes, correction=0, keepdim=True)
    normed = (x - mean) * torch.rsqrt(variance + epsilon)
    if gamma is not None:
        normed = normed * gamma.reshape(spread)
    return normed if beta is None else normed + beta.reshape(spread)


@_mil
def softmax(x: Tensor, axis: int = -1) -> Tensor:
    return x.softmax(axis)


@_mil
def gelu(x: Tensor, mode: str = "EXACT") -> Tensor:
    _one_of("mode", mode, ("EXACT", "TANH_APPROXIMATION", "SIGMOID_APPROXIMATION"))
    if mode == "SIGMOID_APPROXIMATION":
        return x * torch.sigmoid(1.702 * x)
    return F.gelu(x, approximate="none" if mode == "EXACT" else "tanh")


@_mil
def relu(x: Tensor) -> Tensor:
    return x.relu()


@_mil
def relu6(x: Tensor) -> Tensor:
    return x.clamp(0, 6)


@_mil
def clip(x: Tensor, alpha: float, beta: float) -> Tensor:
    return x.clamp(alpha, beta)


@_mil
def sigmoid(x: Tensor) -> Tensor:
    return x.sigmoid()


@_mil
def softplus(x: Tensor) -> Tensor:
    return F.softplus(x)


# Shape


@_mil
def reshape(x: Tensor, shape: Sequence[int]) -> Tensor:
    """A 0 in `shape` copies the dimension of x at the same place, counted from the last one; 1 where x has none."""
    paired = zip_longest(reversed(shape), reversed(x.shape[-len(shape) :]), fillvalue=1)
    return x.reshape([kept if size == 0 else size for size, kept in paired][::-1])


@_mil
def expand_dims(x: Tensor, axes: Sequence[int]) -> Tensor:
    rank = x.ndim + len(axes)
    for axis in sorted(axis % rank for axis in axes):
        x = x.unsqueeze(axis)
    return x


@_mil
def squeeze(x: Tensor, axes: Sequence[int] | None = None) -> Tensor:
    return x.squeeze() if axes is None else x.squeeze(tuple(axes))


@_mil
def transpose(x: Tensor, perm: Sequence[int]) -> Tensor:
    return x.permute(*perm)


@_mil
def slice_by_index(
    x: Tensor,
    begin: Sequence[int],
    end: Sequence[int],
    stride: Sequence[int] | None = None,
    begin_mask: Sequence[bool] | None = None,
    end_mask: Sequence[bool] | None = None,
    squeeze_mask: Sequence[bool] | None = None,
) -> Tensor:
    """x[begin:end:stride] in each dimension.

    Args:
        begin_mask, end_mask: where True, the slice starts at the first element, or ends after the last.
        squeeze_mask: where True, the dimension is indexed with `begin` and removed.
    """
    none = [False] * x.ndim
    index: list[slice | int] = []
    for first, last, step, from_start, to_end, one in zip(
        begin, end, stride or [1] * x.ndim, begin_mask or none, end_mask or none, squeeze_mask or none, strict=True
    ):
        index.append(first if one else slice(None if from_start else first, None if to_end else last, step))
    return x[tuple(index)]


@_mil
def pad(x: Tensor, pad: Sequence[int], mode: str = "constant", constant_val: float = 0.0) -> Tensor:
    _one_of("mode", mode, ("constant",))
    return F.pad(x, _from_last(pad), value=constant_val)


@_mil
def concat(values: Sequence[Tensor], axis: int, interleave: bool = False) -> Tensor:
    if not interleave:
        return torch.cat(list(values), axis)
    axis %= values[0].ndim
    return torch.stack(list(values), axis + 1).flatten(axis, axis + 1)


def _from_last(pairs: Sequence[int]) -> list[int]:
    """MIL's (before, after) pairs, first dimension first, in torch's order: last dimension first."""
    return [n for i in reversed(range(0, len(pairs), 2)) for n in pairs[i : i + 2]]


# Images


@_mil
def upsample_bilinear(
    x: Tensor,
    scale_factor_height: float = 1,
    scale_factor_width: float = 1,
    align_corners: bool = True,
    half_pixel_centers: bool | None = None,
) -> Tensor:
    if half_pixel_centers is not None and half_pixel_centers == align_corners:
        raise NotImplementedError(f"align_corners and half_pixel_centers both {align_corners}")
    size = int(x.shape[-2] * scale_factor_height), int(x.shape[-1] * scale_factor_width)
    return F.interpolate(x, size, mode="bilinear", align_corners=align_corners)


@_mil
def upsample_nearest_neighbor(x: Tensor, scale_factor_height: float = 1, scale_factor_width: float = 1) -> Tensor:
    size = int(x.shape[-2] * scale_factor_height), int(x.shape[-1] * scale_factor_width)
    return F.interpolate(x, size, mode="nearest")
