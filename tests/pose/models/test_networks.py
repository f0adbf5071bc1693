"""Shapes, gradients and names of the networks, without reference data."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pose.errors import InputError
from pose.models import MODELS, build
from pose.models.backbones.hrnet import HRNet
from pose.models.encoder import Attention, sine_position
from pose.models.output import PoseOutput
from pose.models.profile import parameters

LIGHT = ("tokenpose_t", "tokenpose_s", "distilpose_s", "distilpose_edge")


def run(name: str, keypoints: int, batch: int) -> PoseOutput:
    crop = MODELS[name].crop
    with torch.no_grad():
        return build(name, keypoints).eval()(torch.randn(batch, 3, crop.height, crop.width))


@pytest.mark.parametrize("name", LIGHT)
@settings(max_examples=3, deadline=None)
@given(keypoints=st.integers(1, 40), batch=st.integers(1, 2))
def test_any_number_of_keypoints_and_crops(name: str, keypoints: int, batch: int) -> None:
    output, spec = run(name, keypoints, batch), MODELS[name]
    assert output.keypoint_tokens is not None
    assert output.keypoint_tokens.shape[:2] == (batch, keypoints)
    if name != "distilpose_edge":  # whose features are no sequence of patches
        assert output.visual_tokens is not None
        assert output.visual_tokens.shape[0] == batch
    if spec.teacher:
        assert output.coords is output.scores is output.sigmas is None
        assert output.heatmaps is not None
        assert output.heatmaps.shape == (batch, keypoints, spec.heatmap[1], spec.heatmap[0])
    else:
        assert output.heatmaps is None
        assert output.coords is not None
        assert output.scores is not None
        assert output.sigmas is not None
        assert output.coords.shape == output.sigmas.shape == (batch, keypoints, 2)
        assert output.scores.shape == (batch, keypoints)
        assert ((output.coords > 0) & (output.coords < 1)).all()
        assert (output.sigmas > 0).all()


@pytest.mark.parametrize(("width", "stages", "size"), [(32, 3, 7_685_632), (48, 3, 16_705_824), (48, 4, 63_594_912)])
def test_hrnet_reads_the_stride_4_branch(width: int, stages: int, size: int) -> None:
    network = HRNet(width, stages).eval()
    with torch.no_grad():
        assert network(torch.randn(1, 3, 64, 96)).shape == (1, width, 16, 24)
    assert parameters(network) == size


@pytest.mark.parametrize("name", ["tokenpose_s", "distilpose_s"])
def test_every_parameter_but_the_position_learns(name: str) -> None:
    model = build(name, 3)
    with torch.autocast("cpu", torch.bfloat16):
        output = model(torch.randn(2, 3, 256, 192))
    made = [output.heatmaps, output.coords, output.scores, output.sigmas, output.visual_tokens]
    sum(value.float().square().sum() for value in made if value is not None).backward()
    still = {key for key, value in model.named_parameters() if value.grad is None or not value.grad.any()}
    assert still == {"position"}


def test_attention_trains_alike_in_bf16_and_float32() -> None:
    torch.manual_seed(0)
    attention = Attention(48, heads=4, scale=12**-0.5)
    tokens = torch.randn(9, 31, 48, requires_grad=True)
    expected = attention(tokens)
    (reference,) = torch.autograd.grad(expected.square().sum(), tokens)
    expected = expected.detach()
    with torch.autocast("cpu", torch.bfloat16):
        output = attention(tokens)
    (gradient,) = torch.autograd.grad(output.float().square().sum(), tokens)
    assert output.dtype == torch.bfloat16
    torch.testing.assert_close(output.detach().float(), expected, rtol=0, atol=0.02 * float(expected.abs().max()))
    torch.testing.assert_close(gradient, reference, rtol=0, atol=0.04 * float(reference.abs().max()))


def test_sine_position_tells_rows_from_columns() -> None:
    position = sine_position(3, 2, 8).unflatten(1, (3, 2))[0]
    assert torch.equal(position[:, 0, :4], position[:, 1, :4])
    assert torch.equal(position[0, :, 4:], position[2, :, 4:])
    assert len(position.flatten(0, 1).unique(dim=0)) == 6


def test_unknown_model_and_no_keypoints_are_input_errors() -> None:
    with pytest.raises(InputError, match="no model 'tokenpose_xl'; choose one of tokenpose_t, "):
        build("tokenpose_xl")
    with pytest.raises(InputError, match="at least 1 keypoint, not 0"):
        build("distilpose_s", 0)


def test_the_names_come_without_torch() -> None:
    code = "import sys, pose.models; assert 'distilpose_s' in pose.models.MODELS; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
