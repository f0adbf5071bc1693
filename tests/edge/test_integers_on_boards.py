"""Exact arithmetic: the bundled student's trunk, int8 from the image on, gives the same answers on boards and here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

from calib_data.synthetic import validation
from edge import dist, run
from edge.devices import answers
from edge.devices import open as open_device
from edge.devices.parallel import together
from pose import models, weights
from pose.card import card_path, read
from pose.crop import affine, normalise, warp
from pose.program import save_program
from pose.skeleton import COCO_17
from quantize.precision import Precision, StudentQuantizer
from quantize.program import describe
from targets import base

STUDENT = "distilpose_edge"
SPEC = models.MODELS[STUDENT].crop
TARGETS = ("tflite", "onnx")


class Halves(nn.Module):
    """A head, which is float: exact, and the answers leave the network as floats."""

    def forward(self, parts: Tensor) -> Tensor:
        return parts * 0.5


class Integers(nn.Module):
    """Some of what the trunk answers, in the shapes of coordinates and scores."""

    def __init__(self) -> None:
        super().__init__()
        self.head = Halves()
        self.trunk = models.build(STUDENT, weights=weights.weights_file(STUDENT)).get_submodule("backbone")

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        parts = self.head(self.trunk(images)[:, :17, 20:21, 10:40:10].flatten(2))
        return parts[:, :, :2], parts[:, :, 2:].flatten(1)


@pytest.fixture(scope="module")
def crops() -> list[np.ndarray]:
    people = validation(8)
    return [warp(people.image(n), affine(people.labels(n).box, SPEC), SPEC) for n in range(len(people))]


@pytest.fixture(scope="module")
def artefacts(crops: list[np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Of `TARGETS`."""
    examples = [torch.from_numpy(normalise(crop, SPEC)[None]) for crop in crops]
    made = []
    for target in TARGETS:
        folder = tmp_path_factory.mktemp(target)
        with torch.no_grad():
            fp32 = torch.export.export(Integers().eval(), (examples[0],))
            prepared = prepare_pt2e(fp32.module(), StudentQuantizer(Precision(), SPEC))
            for image in examples:
                prepared(image)
            int8 = torch.export.export(convert_pt2e(prepared), (examples[0],))
        card = describe(STUDENT, COCO_17, fp32, int8, Precision(), SPEC, {"weights": "0" * 64})
        made.append(base.get(target).lower(save_program(folder / "program", fp32, int8, card), folder, "int8").path)
    return made


def test_boards_compute_the_same_integers_as_this_machine(lab: Any, crops: list[np.ndarray], artefacts: list[Path]) -> None:
    from emulated.boards import PI4, PI5

    boards = [open_device(lab.raspberry_pi(machine).spec) for machine in (PI4, PI5)]
    described = [dist.find(path) for path in artefacts]
    actions = [lambda stopped, board=board: answers.collect([board], described, crops)[0] for board in boards]
    for of_board in together(actions):
        for target, path, mine in zip(TARGETS, artefacts, of_board, strict=True):
            coverage = read(card_path(path)).coverage
            assert coverage is not None
            assert coverage.int8_macs == 1
            assert not isinstance(mine, str), mine
            host = np.concatenate([part.ravel() for part in run.open(path).predict(np.stack(crops))])
            on_board = np.concatenate([mine.coords.ravel(), mine.scores.ravel()])
            assert len(np.unique(host)) > 20, "an answer of few values proves little"
            assert np.array_equal(on_board, host), target
