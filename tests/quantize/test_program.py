"""Train form, deploy form, fake-quantized student and shipped program are one network, seen with more and more rounding."""

from __future__ import annotations

import copy

import pytest
import torch
from tiny_regression import deeppose
from tiny_student import SPEC, tiny_images, tiny_student, used
from torch import nn

from pose import models
from pose.crop import CropSpec
from pose.models.deploy import DeployPose, deploy
from pose.models.output import PoseOutput
from pose.skeleton import COCO_17
from quantize.calibrate import calibrate
from quantize.precision import Precision, image_quantization
from quantize.program import QatStudent, describe, finish, float_program, prepare

FIELDS = ("coords", "scores", "sigmas", "keypoint_tokens", "visual_tokens")


@pytest.fixture(scope="module")
def tiny() -> DeployPose:
    return deploy(tiny_student())


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return tiny_images()


@pytest.fixture(scope="module")
def calibrated(tiny: DeployPose, images: torch.Tensor) -> QatStudent:
    return calibrate(prepare(tiny, Precision(), SPEC), images.split(4))


@pytest.fixture
def student(calibrated: QatStudent) -> QatStudent:
    return copy.deepcopy(calibrated)


def differences(a: PoseOutput, b: PoseOutput) -> dict[str, float]:
    return {field: (getattr(a, field) - getattr(b, field)).abs().max().item() for field in FIELDS}


def pixels(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return (a - b).abs() * 64


@torch.no_grad()
def test_the_deploy_form_is_the_trained_network() -> None:
    torch.manual_seed(0)
    spec = models.MODELS["distilpose_s"].crop
    model = used(models.build("distilpose_s"))
    images = torch.randn(2, 3, spec.height, spec.width)
    expected, deployed = model(images), deploy(model)(images)
    for field in FIELDS:
        scale = max(1.0, getattr(expected, field).abs().max().item())  # of tokens; float32 has 7 digits
        assert differences(expected, deployed)[field] < 1e-5 * scale, field


def test_only_students_have_a_deploy_form() -> None:
    with pytest.raises(TypeError, match="regression students"):
        deploy(nn.Linear(1, 1))


@torch.no_grad()
def test_without_rounding_the_student_is_the_deploy_form_in_every_mode(tiny: DeployPose, images) -> None:
    student = prepare(tiny, Precision(), SPEC)
    student.fake_quant(False)
    for switched in (student, student.train(), student.eval()):
        assert set(differences(switched(images), tiny(images)).values()) == {0.0}


@torch.no_grad()
def test_rounding_moves_the_keypoints_a_little(student: QatStudent, tiny: DeployPose, images) -> None:
    moved = pixels(student(images).coords, tiny(images).coords)
    assert 0 < moved.median() < 1


def test_the_student_trains_at_any_batch_and_its_ranges_hold_still(student: QatStudent, images) -> None:
    state = copy.deepcopy(student.state_dict())
    optimiser = torch.optim.SGD(student.parameters(), 0.1)
    losses = []
    for _ in range(6):
        for batch in (images[:3], images[3:]):
            loss = (student(batch).coords - 0.25).abs().mean() + student(batch).visual_tokens.square().mean() * 1e-3
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            losses.append(loss.item())
    assert losses[-2] < 0.9 * losses[0]
    untouched = [name for name, parameter in student.named_parameters() if parameter.grad is None]
    assert all("head.scores" in name or "head.sigmas" in name for name in untouched), untouched
    ranges = [key for key in state if key.endswith("scale") and state[key].numel() == 1]
    assert ranges
    assert all(torch.equal(state[key], student.state_dict()[key]) for key in ranges)


def test_weights_that_were_trained_channels_last_are_shipped_contiguous(student: QatStudent) -> None:
    student.to(memory_format=torch.channels_last)
    assert any(not parameter.is_contiguous() for parameter in student.parameters())
    program = finish(student)
    tensors = [*program.state_dict.values(), *program.constants.values()]
    assert all(tensor.is_contiguous() for tensor in tensors if isinstance(tensor, torch.Tensor))


def test_a_saved_student_goes_on_to_the_last_bit(student: QatStudent, tiny: DeployPose, images, tmp_path) -> None:
    def steps(model: QatStudent) -> torch.Tensor:
        optimiser = torch.optim.SGD(model.parameters(), 0.1)
        for _ in range(3):
            loss = model(images[:2]).coords.mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        return model(images).coords

    torch.save(student.state_dict(), tmp_path / "state.pt")
    resumed = prepare(tiny, Precision(), SPEC)
    resumed.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    assert torch.equal(steps(resumed), steps(student))


@torch.no_grad()
def test_what_ships_is_what_was_trained(student: QatStudent, images) -> None:
    program = finish(student)
    coords, scores = program.module()(images[:1])
    assert coords.shape == (1, 17, 2)
    assert scores.shape == (1, 17)
    shipped = torch.cat([program.module()(image[None])[0] for image in images])
    trained = torch.cat([student(image[None]).coords for image in images])  # one by one: another batch sums in another order
    assert pixels(shipped, trained).max() < 0.1
    weights = [value for value in program.state_dict.values() if value.dtype == torch.int8]
    floats = {name for name, value in program.state_dict.items() if value.is_floating_point() and value.ndim > 1}
    assert len(weights) == 16  # backbone, patch embedding and two blocks
    kept = ("head", "start", "position")  # the last two are added to the tokens, whose stream is float
    assert all(any(part in name for part in kept) for name in floats), floats
    targets = {str(node.target) for node in program.graph.nodes}
    assert not any(word in target for target in targets for word in ("softplus", "batch_norm", "expand", "cat"))


@torch.no_grad()
def test_the_float_program_is_the_deploy_form(tiny: DeployPose, images) -> None:
    coords, scores = float_program(tiny, SPEC).module()(images[:1])
    torch.testing.assert_close(coords, tiny(images[:1]).coords, atol=1e-6, rtol=0)
    torch.testing.assert_close(scores, tiny(images[:1]).scores, atol=1e-6, rtol=0)


@pytest.mark.parametrize("estimator", ["minmax", "percentile", "mse"])
@torch.no_grad()
def test_every_estimator_finds_ranges(estimator, tiny: DeployPose, images) -> None:
    student = calibrate(prepare(tiny, Precision(estimator=estimator), SPEC), images.split(4))
    assert pixels(student(images).coords, tiny(images).coords).median() < 1


@torch.no_grad()
def test_a_lower_percentile_rounds_finer(tiny: DeployPose, images) -> None:
    def scales(percentile: float) -> torch.Tensor:
        precision = Precision(estimator="percentile", percentile=percentile)
        program = finish(calibrate(prepare(tiny, precision, SPEC), images.split(4)))
        return torch.tensor([node.args[1] for node in program.graph.nodes if "quantize_per_tensor" in str(node.target)])

    coarse, fine = scales(100.0), scales(95.0)
    assert (fine <= coarse + 1e-6).all()
    assert fine.log().mean() < coarse.log().mean() - 0.2


@torch.no_grad()
def test_the_symmetric_scheme_has_no_zero_points(tiny: DeployPose, images) -> None:
    program = finish(calibrate(prepare(tiny, Precision(scheme="symmetric"), SPEC), images.split(4)))
    zero_points = [node.args[2] for node in program.graph.nodes if "quantize_per_tensor" in str(node.target)]
    assert zero_points
    assert set(zero_points) == {0}


@torch.no_grad()
def test_a_module_stays_float_by_name(tiny: DeployPose, images) -> None:
    def int8_weights(*kept: str) -> int:
        student = calibrate(prepare(tiny, Precision(float_modules=("head", *kept)), SPEC), [images])
        return sum(value.dtype == torch.int8 and value.ndim > 1 for value in finish(student).state_dict.values())

    assert int8_weights() - int8_weights("blocks.0.up", "backbone.lateral") == 2
    with pytest.raises(ValueError, match=r"blocks\.9: no such module"):
        prepare(tiny, Precision(float_modules=("blocks.9",)), SPEC)


@pytest.mark.parametrize("scheme", ["affine", "symmetric"])
@pytest.mark.parametrize("spec", [SPEC, CropSpec()])
def test_every_pixel_but_white_fits_the_image_scale_and_zero_is_exact(scheme, spec: CropSpec) -> None:
    image = image_quantization(spec, scheme)
    values = [(pixel - mean) / std for mean, std in zip(spec.mean, spec.std, strict=True) for pixel in range(256)]
    steps = [round(value / image.scale) + image.zero_point for value in values]
    assert min(steps) >= -128
    assert max(steps) <= 128
    assert max(steps[:255]) <= 127
    assert max(steps) - min(steps) > 200
    assert scheme == "affine" or image.zero_point == 0


@torch.no_grad()
def test_the_image_is_quantized_once_by_the_pixel_range(student: QatStudent) -> None:
    program = finish(student)
    image = next(node for node in program.graph.nodes if node.op == "placeholder" and node.name == "images")
    (first,) = image.users
    expected = image_quantization(SPEC, "affine")
    assert "quantize_per_tensor" in str(first.target)
    assert first.args[1:3] == (pytest.approx(expected.scale), expected.zero_point)


def test_the_card_describes_both_graphs(student: QatStudent, tiny: DeployPose) -> None:
    fp32, int8 = float_program(tiny, SPEC), finish(student)
    card = describe("distilpose_edge", COCO_17, fp32, int8, student.precision, SPEC, {"weights": "0" * 64})
    assert card.spec == SPEC
    assert set(card.golden.expected) == {"fp32", "int8"}
    assert card.golden.expected["fp32"] != card.golden.expected["int8"]
    assert card.float_modules == ["head"]


def test_max_pooling_keeps_the_steps_of_what_it_reads(images: torch.Tensor) -> None:
    """The largest of several integers is one of them: nothing is rounded again."""
    clipping = Precision(estimator="percentile", percentile=97.0)  # of which a pooled map has other ends
    graph = finish(calibrate(prepare(deeppose().deploy(), clipping, SPEC), images.split(4))).graph
    (pool,) = graph.find_nodes(op="call_function", target=torch.ops.aten.max_pool2d.default)
    (quantize,) = pool.users
    assert quantize.args[1:] == pool.args[0].args[1:]
