"""The scheme `integer`: in the `.tflite` of a gated student all is int8 but what reads the maps, and keypoints stay."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from quantized_student import quantized_student
from tiny_student import SPEC, tiny_crops
from torch import Tensor, nn
from torch.nn import functional as F

from pose.models.backbones.movenet import MoveNetHeads, SameConv2d
from pose.models.gated import GatedRead
from pose.models.output import PoseOutput
from targets import base
from targets.tflite import backend, flatbuffer

pytestmark = pytest.mark.minutes

MEDIAN_PX, MOST_PX = 0.25, 1.0  # of 64, between the default file and the integer one


class TinyGated(nn.Module):
    """A trunk with one resized map, MoveNet's heads and the gated read, at 64 pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(SameConv2d(3, 24, 3, 2), nn.ReLU6(), SameConv2d(24, 24, 3, 2), nn.ReLU6())
        self.down, self.lateral = nn.Sequential(SameConv2d(24, 24, 3, 2), nn.ReLU6()), nn.Conv2d(24, 24, 1)
        self.maps, self.head = MoveNetHeads(17), GatedRead(17, 24, 16)

    def forward(self, images: Tensor) -> PoseOutput:
        fine = self.stem(images)
        features = (F.interpolate(self.down(fine), scale_factor=2.0, mode="bilinear") + self.lateral(fine)).relu()
        output: PoseOutput = self.head(*self.maps(features), features)
        return output


@pytest.fixture(scope="module")
def artefacts(tmp_path_factory) -> dict[str, base.Artefact]:
    torch.manual_seed(0)
    form, made = TinyGated().eval(), {}
    for scheme in ("affine", "integer"):
        folder = tmp_path_factory.mktemp(scheme)
        made[scheme] = backend.lower(quantized_student(folder, scheme, form=form), folder, "int8")
    return made


def _operators(artefact: base.Artefact) -> list[tuple[str, str]]:
    """Name and type of each operator, in the order in which they run."""
    tensors, operators = flatbuffer.read(artefact.path.read_bytes())
    return [(operator.name, tensors[operator.outputs[0]].dtype) for operator in operators]


def test_all_is_int8_up_to_the_maps(artefacts) -> None:
    assert ("resize_bilinear", "float32") in _operators(artefacts["affine"])
    assert artefacts["integer"].card.scheme == "integer"
    operators = _operators(artefacts["integer"])
    assert operators[:2] == [("quantize", "int8"), ("depthwise_conv_2d", "int8")]
    assert ("resize_bilinear", "int8") in operators
    *convolutions, correction = [operator for operator in operators if "conv_2d" in operator[0]]
    assert correction == ("conv_2d", "float32")  # of the read
    assert set(convolutions) == {("conv_2d", "int8"), ("depthwise_conv_2d", "int8")}
    last = max(index for index, operator in enumerate(operators) if operator == ("conv_2d", "int8"))
    assert {dtype for name, dtype in operators[:last] if name not in ("dequantize", "reshape", "transpose")} == {"int8"}


def test_the_integer_file_answers_as_the_default_one(artefacts) -> None:
    crops = tiny_crops(16)
    affine, integer = (base.open_artefact(artefacts[scheme].path).predict(crops) for scheme in ("affine", "integer"))
    apart = np.linalg.norm((affine[0] - integer[0]) * 64, axis=-1)
    assert len(np.unique(integer[0].round(5), axis=0)) == 16
    assert np.median(apart) <= MEDIAN_PX
    assert apart.max() <= MOST_PX
    assert np.abs(affine[1] - integer[1]).max() < 0.05


@pytest.mark.parametrize("colour", ["RGB", "BGR"])
@pytest.mark.parametrize(("std", "most"), [((127.5,) * 3, 0), ((58.395, 57.12, 57.375), 1)])
def test_bytes_normalised_in_int8_are_those_normalised_in_float(
    artefacts, std: tuple[float, ...], most: int, colour: str
) -> None:
    """Every byte in every channel, in what the network reads first; the bias rounds a mean that is no whole number."""
    from ai_edge_litert.interpreter import Interpreter

    content = artefacts["integer"].path.read_bytes()
    steps, card = artefacts["integer"].card.input.quantization, artefacts["integer"].card.input
    mean = (123.675, 116.28, 103.53) if std[0] < 100 else card.mean
    wanted = card.model_copy(update={"std": std, "mean": mean, "colour": colour})
    interpreter = Interpreter(
        model_content=flatbuffer.with_input(_without_normalisation(content), wanted, integer=True),
        experimental_preserve_all_tensors=True,
    )
    interpreter.allocate_tensors()
    ramp = (np.arange(SPEC.width * SPEC.height).reshape(1, SPEC.height, SPEC.width, 1) % 256).repeat(3, 3)
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], ramp.astype(np.uint8))
    interpreter.invoke()
    centred = (ramp - np.float64(mean)) / np.float64(std)
    expected = np.round(centred[..., :: -1 if colour == "BGR" else 1] / steps.scale) + steps.zero_point
    _, (_, depthwise, *_) = flatbuffer.read(flatbuffer.with_input(_without_normalisation(content), wanted, integer=True))
    apart = np.abs(interpreter.get_tensor(depthwise.outputs[0]) - expected.clip(-128, 127))
    assert apart.max() <= most
    assert apart.mean() < 0.005


def _without_normalisation(content: bytes) -> bytes:
    """The file as litert-torch made it: its first two operators are gone, and it takes int8."""
    model = flatbuffer._unpacked(content)
    graph = model.subgraphs[0]
    graph.inputs = graph.operators[1].outputs
    model.signatureDefs[0].inputs[0].tensorIndex = int(graph.inputs[0])
    graph.operators = graph.operators[2:]
    return flatbuffer.packed(model)
