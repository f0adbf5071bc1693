"""What calibration computes from crops: ranges, and biases that take back what rounding adds to the mean of each layer."""

from __future__ import annotations

import pytest
import torch
from tiny_student import SPEC, tiny_images, tiny_student
from torch import Tensor

from pose.errors import InputError
from quantize.calibrate import calibrate
from quantize.deploy import DeployPose, deploy
from quantize.precision import Precision
from quantize.program import prepare


@pytest.fixture
def form() -> DeployPose:
    """A student whose depthwise weights round badly: each kernel has one weight that is large, and the rest round alike."""
    form = deploy(tiny_student())
    depthwise = form.get_parameter("backbone.down.0.weight")
    with torch.no_grad():
        depthwise.fill_(0.4 / 127)[:, :, 1, 1] = 1.0
    return form


@torch.no_grad()
def test_biases_take_back_what_rounding_adds(form: DeployPose) -> None:
    images = tiny_images(8)
    student = calibrate(prepare(form, Precision(), SPEC), images.split(4))

    def means(tokens: Tensor) -> Tensor:
        return tokens.mean((0, 1))

    expected, corrected = means(form(images).keypoint_tokens), means(student(images).keypoint_tokens)
    for name, bias in form.named_parameters():
        if name.endswith("bias") and "norm" not in name:
            student.graph.get_parameter(name).copy_(bias)
    uncorrected = means(student(images).keypoint_tokens)
    assert (corrected - expected).abs().mean() < (uncorrected - expected).abs().mean() / 3


@torch.no_grad()
def test_the_mean_of_the_first_layer_stays(form: DeployPose) -> None:
    images = tiny_images(8)
    stem = form.get_submodule("backbone.stem.0")
    student = calibrate(prepare(form, Precision(), SPEC), images.split(3))
    (node,) = (node for node in student.graph.graph.nodes if node.name == "conv2d")
    weight = student.graph.get_submodule(node.args[1].target)(student.graph.get_parameter("backbone.stem.0.weight"))
    bias = student.graph.get_parameter("backbone.stem.0.bias")
    padded = torch.nn.functional.pad(student.graph.activation_post_process_0(images), (0, 1, 0, 1))
    means = torch.nn.functional.conv2d(padded, weight, bias, 2).mean((0, 2, 3))
    torch.testing.assert_close(means, stem(images).mean((0, 2, 3)), rtol=0, atol=1e-6)
    assert not torch.equal(bias, form.get_parameter("backbone.stem.0.bias"))


def test_calibration_needs_crops(form: DeployPose) -> None:
    with pytest.raises(InputError, match="no crops"):
        calibrate(prepare(form, Precision(), SPEC), [])
