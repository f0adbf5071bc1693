"""The evaluator of MIL programs computes the same as torch: every operator is built, saved, read back and run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import coremltools as ct
import numpy as np
import pytest
import torch
import torch.ao.quantization.fx._decomposed
from coremltools.converters.mil.mil import Builder, types
from torch import Tensor
from torch.nn import functional as F

from pose.errors import BackendError
from targets.coreml.mil_ops import KERNELS
from targets.coreml.reference import MilProgram

OPS = torch.ops.quantized_decomposed  # what programs are made of
_random = np.random.default_rng(0)


def numbers(*shape: int) -> np.ndarray:
    return _random.normal(size=shape).astype(np.float16).astype(np.float32)  # fp16 has them, too


def save(build: Callable[[Any], Any], shape: tuple[int, ...], path: Path, dtype: type = types.fp32) -> Path:
    """A package with one function of x, which has the operators of `build` and no others."""

    @Builder.program(input_specs=[Builder.TensorSpec(shape, dtype)], opset_version=ct.target.iOS17)
    def program(x: Any) -> Any:
        return build(x)

    model = ct.convert(
        program,
        minimum_deployment_target=ct.target.iOS17,
        compute_precision=ct.precision.FLOAT32,
        pass_pipeline=ct.PassPipeline.EMPTY,
        skip_model_load=True,
    )
    model.save(str(path))
    return path


@dataclass(frozen=True)
class Case:
    """An operator: how MIL builds it of x, its constants in x's type through `c`, and what torch makes of x."""

    op: str
    shape: tuple[int, ...]
    build: Callable[[Any, Any], Any]
    expected: Callable[[Tensor], Tensor]


W, B, M, V = numbers(6, 2, 3, 3), numbers(6), numbers(5, 4), numbers(4)
GAMMA, SHIFT = numbers(3, 4), numbers(3, 4)
WEIGHT, BIAS, MATRIX, VECTOR = (torch.from_numpy(array) for array in (W, B, M, V))
BYTES, SCALES = _random.integers(-128, 128, (3, 4), dtype=np.int8), np.array([0.25, 0.5, 0.125, 2], np.float32)


def convolution(**others: Any) -> Callable[[Any, Any], Any]:
    return lambda x, c: Builder.conv(x=x, weight=c(W), bias=c(B), groups=2, **others)


def quantized_and_back(x: Tensor) -> Tensor:
    q = OPS.quantize_per_tensor(x, 0.25, 7, 0, 255, torch.uint8)
    return OPS.dequantize_per_tensor(q, 0.25, 7, 0, 255, torch.uint8)


def quantized_and_back_by_channel(x: Tensor) -> Tensor:
    parameters = (torch.from_numpy(SCALES[:3]), torch.tensor([0, 5, -3]), 1, -128, 127, torch.int8)
    return OPS.dequantize_per_channel(OPS.quantize_per_channel(x, *parameters), *parameters)


CASES = [
    Case("add", (3, 4), lambda x, c: Builder.add(x=x, y=c(V)), lambda x: x + VECTOR),
    Case("add", (3, 4), lambda x, c: Builder.add(x=c(0.5), y=x), lambda x: 0.5 + x),
    Case("sub", (3, 4), lambda x, c: Builder.sub(x=c(V), y=x), lambda x: VECTOR - x),
    Case("mul", (3, 4), lambda x, c: Builder.mul(x=x, y=c(V)), lambda x: x * VECTOR),
    Case("real_div", (3, 4), lambda x, c: Builder.real_div(x=x, y=c(V)), lambda x: x / VECTOR),
    Case("relu", (3, 4), lambda x, c: Builder.relu(x=x), F.relu),
    Case("relu6", (3, 4), lambda x, c: Builder.relu6(x=Builder.mul(x=x, y=c(9.0))), lambda x: F.relu6((x * 9).to(x))),
    Case("clip", (3, 4), lambda x, c: Builder.clip(x=x, alpha=c(-0.5), beta=c(0.75)), lambda x: x.clamp(-0.5, 0.75)),
    Case("maximum", (3, 4), lambda x, c: Builder.maximum(x=x, y=c(0.25)), lambda x: x.clamp_min(0.25)),
    Case("exp", (3, 4), lambda x, c: Builder.exp(x=x), torch.exp),
    Case("log", (3, 4), lambda x, c: Builder.log(x=Builder.sigmoid(x=x), epsilon=c(0.0)), lambda x: x.sigmoid().log()),
    Case(
        "reduce_sum",
        (2, 3, 4),
        lambda x, c: Builder.reduce_sum(x=x, axes=[1], keep_dims=True),
        lambda x: x.sum(1, keepdim=True),
    ),
    Case("reduce_sum", (2, 3, 4), lambda x, c: Builder.reduce_sum(x=x, axes=[-1, 0]), lambda x: x.sum((0, 2))),
    Case("sigmoid", (3, 4), lambda x, c: Builder.sigmoid(x=x), torch.sigmoid),
    Case("softplus", (3, 4), lambda x, c: Builder.softplus(x=x), F.softplus),
    Case("softmax", (3, 4), lambda x, c: Builder.softmax(x=x, axis=0), lambda x: x.softmax(0)),
    Case("softmax", (3, 4), lambda x, c: Builder.softmax(x=x), lambda x: x.softmax(-1)),
    Case("gelu", (3, 4), lambda x, c: Builder.gelu(x=x), F.gelu),
    Case("gelu", (3, 4), lambda x, c: Builder.gelu(x=x, mode="EXACT"), F.gelu),
    Case("gelu", (3, 4), lambda x, c: Builder.gelu(x=x, mode="TANH_APPROXIMATION"), lambda x: F.gelu(x, approximate="tanh")),
    Case("gelu", (3, 4), lambda x, c: Builder.gelu(x=x, mode="SIGMOID_APPROXIMATION"), lambda x: x * (1.702 * x).sigmoid()),
    Case(
        "layer_norm",
        (2, 3, 4),
        lambda x, c: Builder.layer_norm(x=x, axes=[-1], gamma=c(V), beta=c(V), epsilon=c(2.0**-10)),
        lambda x: F.layer_norm(x, (4,), VECTOR, VECTOR, 2.0**-10),
    ),
    Case(
        "layer_norm",
        (2, 3, 4),
        lambda x, c: Builder.layer_norm(x=x, axes=[1, 2], gamma=c(GAMMA), beta=c(SHIFT), epsilon=c(2.0**-10)),
        lambda x: F.layer_norm(x, (3, 4), torch.from_numpy(GAMMA), torch.from_numpy(SHIFT), 2.0**-10),
    ),
    Case("linear", (3, 4), lambda x, c: Builder.linear(x=x, weight=c(M)), lambda x: x @ MATRIX.T),
    Case(
        "linear",
        (3, 4),
        lambda x, c: Builder.linear(x=x, weight=c(M), bias=c(M[:, 0])),
        lambda x: x @ MATRIX.T + MATRIX[:, 0],
    ),
    Case("matmul", (2, 3, 4), lambda x, c: Builder.matmul(x=x, y=c(M), transpose_y=True), lambda x: x @ MATRIX.T),
    Case("matmul", (2, 5, 3), lambda x, c: Builder.matmul(x=x, y=c(M), transpose_x=True), lambda x: x.mT @ MATRIX),
    Case("conv", (1, 4, 7, 8), convolution(), lambda x: F.conv2d(x, WEIGHT, BIAS, groups=2)),
    Case(
        "conv",
        (1, 4, 7, 8),
        convolution(strides=[2, 1], dilations=[1, 2], pad_type="custom", pad=[1, 2, 0, 3]),
        lambda x: F.conv2d(F.pad(x, (0, 3, 1, 2)), WEIGHT, BIAS, (2, 1), 0, (1, 2), 2),
    ),
    Case(
        "conv",
        (1, 4, 7, 8),
        convolution(strides=[2, 2], pad_type="same"),
        lambda x: F.conv2d(F.pad(x, (0, 1, 1, 1)), WEIGHT, BIAS, 2, groups=2),
    ),
    Case(
        "conv",
        (1, 4, 7, 8),
        convolution(strides=[2, 2], pad_type="same_lower"),
        lambda x: F.conv2d(F.pad(x, (1, 0, 1, 1)), WEIGHT, BIAS, 2, groups=2),
    ),
    Case("reshape", (3, 4), lambda x, c: Builder.reshape(x=x, shape=[2, -1]), lambda x: x.reshape(2, 6)),
    Case("reshape", (2, 5), lambda x, c: Builder.reshape(x=x, shape=[1, 0, -1, 0]), lambda x: x.reshape(1, 1, 2, 5)),
    Case("expand_dims", (3, 4), lambda x, c: Builder.expand_dims(x=x, axes=[0, -1]), lambda x: x[None, ..., None]),
    Case("squeeze", (1, 3, 1), lambda x, c: Builder.squeeze(x=x, axes=[0]), lambda x: x[0]),
    Case("squeeze", (1, 3, 1), lambda x, c: Builder.squeeze(x=x), lambda x: x[0, :, 0]),
    Case("transpose", (2, 3, 4), lambda x, c: Builder.transpose(x=x, perm=[2, 0, 1]), lambda x: x.permute(2, 0, 1)),
    Case(
        "slice_by_index",
        (3, 6, 4),
        lambda x, c: Builder.slice_by_index(
            x=x,
            begin=[1, 1, 2],
            end=[0, 5, 3],
            stride=[1, 2, 1],
            begin_mask=[False, False, True],
            end_mask=[True, False, False],
        ),
        lambda x: x[1:, 1:5:2, :3],
    ),
    Case(
        "slice_by_index",
        (3, 6),
        lambda x, c: Builder.slice_by_index(x=x, begin=[1, -3], end=[2, -1], squeeze_mask=[True, False]),
        lambda x: x[1, -3:-1],
    ),
    Case(
        "pad",
        (1, 3, 4),
        lambda x, c: Builder.pad(x=x, pad=[1, 2, 3, 4], constant_val=c(5.0)),
        lambda x: F.pad(x, (3, 4, 1, 2), value=5),
    ),
    Case(
        "concat",
        (3, 4),
        lambda x, c: Builder.concat(values=(x, Builder.relu(x=x)), axis=1),
        lambda x: torch.cat((x, x.relu()), 1),
    ),
    Case(
        "concat",
        (3, 4),
        lambda x, c: Builder.concat(values=(x, Builder.relu(x=x)), axis=0, interleave=True),
        lambda x: torch.stack((x, x.relu()), 1).reshape(6, 4),
    ),
    Case("cast", (3, 4), lambda x, c: Builder.cast(x=Builder.cast(x=x, dtype="int32"), dtype="fp32"), torch.trunc),
    Case(
        "upsample_bilinear",
        (1, 2, 3, 4),
        lambda x, c: Builder.upsample_bilinear(x=x, scale_factor_height=2.0, scale_factor_width=3.0, align_corners=False),
        lambda x: F.interpolate(x, (6, 12), mode="bilinear"),
    ),
    Case(
        "upsample_bilinear",
        (1, 2, 3, 4),
        lambda x, c: Builder.upsample_bilinear(x=x, scale_factor_height=2.0, scale_factor_width=2.0),
        lambda x: F.interpolate(x, (6, 8), mode="bilinear", align_corners=True),
    ),
    Case(
        "upsample_nearest_neighbor",
        (1, 2, 3, 4),
        lambda x, c: Builder.upsample_nearest_neighbor(x=x, scale_factor_height=2.0, scale_factor_width=3.0),
        lambda x: F.interpolate(x, (6, 12)),
    ),
    Case(
        "quantize",
        (3, 40),
        lambda x, c: Builder.dequantize(
            input=Builder.quantize(input=x, scale=c(0.03125), zero_point=np.int8(9), output_dtype="int8"), scale=c(1.0)
        ),
        lambda x: OPS.quantize_per_tensor(x, 0.03125, 9, -128, 127, torch.int8).float(),
    ),
    Case(
        "quantize",
        (3, 40),
        lambda x, c: Builder.dequantize(
            input=Builder.quantize(input=x, scale=c(0.03125), output_dtype="uint8"), scale=c(1.0)
        ),
        lambda x: OPS.quantize_per_tensor(x, 0.03125, 0, 0, 255, torch.uint8).float(),
    ),
    Case(
        "dequantize",
        (3, 40),
        lambda x, c: Builder.dequantize(
            input=Builder.quantize(input=x, scale=c(0.25), zero_point=np.uint8(7), output_dtype="uint8"),
            scale=c(0.25),
            zero_point=np.uint8(7),
        ),
        quantized_and_back,
    ),
    Case(
        "dequantize",
        (2, 3, 4),
        lambda x, c: Builder.dequantize(
            input=Builder.quantize(
                input=x, scale=c(SCALES[:3]), zero_point=np.array([0, 5, -3], np.int8), axis=1, output_dtype="int8"
            ),
            scale=c(SCALES[:3]),
            zero_point=np.array([0, 5, -3], np.int8),
            axis=1,
        ),
        quantized_and_back_by_channel,
    ),
    Case(
        "constexpr_affine_dequantize",
        (3, 4),
        lambda x, c: Builder.add(
            x=x,
            y=Builder.constexpr_affine_dequantize(
                quantized_data=BYTES, zero_point=np.array([0, 1, -2, 3], np.int8), scale=c(SCALES), axis=1
            ),
        ),
        lambda x: x + (torch.from_numpy(BYTES).float() - torch.tensor([0, 1, -2, 3])) * torch.from_numpy(SCALES),
    ),
    Case(
        "constexpr_affine_dequantize",
        (3, 4),
        lambda x, c: Builder.add(
            x=x,
            y=Builder.constexpr_affine_dequantize(quantized_data=BYTES, zero_point=np.int8(4), scale=c(0.5), axis=0),
        ),
        lambda x: x + (torch.from_numpy(BYTES).float() - 4) * 0.5,
    ),
]


@pytest.mark.parametrize("dtype", [types.fp32, types.fp16], ids=["fp32", "fp16"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.op)
def test_an_operator_computes_the_same_as_torch(case: Case, dtype: type, tmp_path: Path) -> None:
    half = dtype == types.fp16

    def constant(value: Any) -> Any:
        return np.asarray(value, np.float16 if half else np.float32)[()]

    program = MilProgram(save(lambda x: case.build(x, constant), case.shape, tmp_path / "p.mlpackage", dtype))
    assert case.op in {op.op_type for op in program.function.operations}
    x = torch.from_numpy(numbers(*case.shape))
    (answer,) = program(x=x).values()
    expected = case.expected(x)
    assert answer.shape == expected.shape
    if half:
        assert (answer == answer.half().float()).all()  # fp16 can represent every value
        torch.testing.assert_close(answer, expected.half().float(), rtol=2**-10, atol=2**-14)  # the last bit of a sum
    else:
        torch.testing.assert_close(answer, expected, rtol=1e-5, atol=1e-6)


def test_every_supported_operator_is_tested() -> None:
    assert {case.op for case in CASES} == set(KERNELS)


def test_every_fp16_result_is_rounded_once(tmp_path: Path) -> None:
    """2048 + 1 is 2048 in fp16, and 70000 is out of its range: a program in float32 has both."""
    path = save(
        lambda x: Builder.sub(x=Builder.add(x=x, y=np.float16(1)), y=np.float16(2048)),
        (2,),
        tmp_path / "a.mlpackage",
        types.fp16,
    )
    (answer,) = MilProgram(path)(x=torch.tensor([2048.0, 60000.0])).values()
    assert answer[0] == 0
    path = save(lambda x: Builder.mul(x=x, y=np.float16(2)), (1,), tmp_path / "b.mlpackage", types.fp16)
    assert MilProgram(path)(x=torch.tensor([35000.0]))[mil_output(path)].isinf()
    path = save(
        lambda x: Builder.sub(x=Builder.add(x=x, y=np.float32(1)), y=np.float32(2048)), (1,), tmp_path / "c.mlpackage"
    )
    (answer,) = MilProgram(path)(x=torch.tensor([2048.0])).values()
    assert answer[0] == 1


def mil_output(path: Path) -> str:
    return MilProgram(path).function.outputs[0].name


def test_an_unknown_operator_is_named(tmp_path: Path) -> None:
    path = save(lambda x: Builder.erf(x=x), (3,), tmp_path / "p.mlpackage")
    with pytest.raises(BackendError, match="operator erf"):
        MilProgram(path)


def test_unsupported_parameters_of_an_operator_are_named(tmp_path: Path) -> None:
    path = save(lambda x: Builder.pad(x=x, pad=[1, 1], mode="reflect"), (1, 3, 4), tmp_path / "p.mlpackage")
    with pytest.raises(BackendError, match=r"pad .*mode 'reflect'"):
        MilProgram(path)(x=torch.zeros(1, 3, 4))


@pytest.mark.parametrize("name", ["model.mlmodel", "weight.bin"])
def test_a_truncated_package_is_refused_in_one_line(tmp_path: Path, name: str) -> None:
    path = save(lambda x: Builder.linear(x=x, weight=numbers(64, 64)), (3, 64), tmp_path / "p.mlpackage")
    file = next(path.rglob(name))
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(BackendError, match="cannot read") as error:
        MilProgram(path)
    assert "\n" not in str(error.value)
