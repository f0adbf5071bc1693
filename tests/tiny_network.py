"""A network of a few thousand parameters, quantized: what commands are tried on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import XNNPACKQuantizer, get_symmetric_quantization_config
from torch import Tensor, nn
from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

from pose.card import Card, Golden, Input, Output, pack
from pose.program import Program, save_program
from pose.skeleton import COCO_17, Skeleton

SHAPE = (1, 3, 64, 48)


class Tiny(nn.Module):
    """Coordinates about the middle of the crop that move with the picture."""

    def __init__(self, keypoints: int = 17) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 16, 16)
        self.coords = nn.Linear(8 * 4 * 3, 2 * keypoints)
        self.scores = nn.Linear(8 * 4 * 3, keypoints)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        features = self.conv(images).relu().flatten(1)
        return self.coords(features).sigmoid().unflatten(1, (-1, 2)), self.scores(features).sigmoid()


def make_program(folder: Path, seed: int = 0, skeleton: Skeleton = COCO_17) -> Program:
    torch.manual_seed(seed)
    keypoints = len(skeleton)
    model, images = Tiny(keypoints).eval(), torch.randn(SHAPE)
    fp32 = torch.export.export(model, (images,))
    quantizer = XNNPACKQuantizer().set_global(get_symmetric_quantization_config(is_per_channel=True))
    prepared = prepare_pt2e(fp32.module(), quantizer)
    for _ in range(4):
        prepared(torch.randn(SHAPE))
    int8 = torch.export.export(convert_pt2e(prepared), (images,))
    card = Card(
        student="tiny",
        skeleton=skeleton,
        input=Input(shape=SHAPE, mean=(127.5,) * 3, std=(127.5,) * 3, padding=1.25),
        outputs=(Output(name="coords", shape=(1, keypoints, 2)), Output(name="scores", shape=(1, keypoints))),
        scheme="affine",
        float_modules=[],
        files={},
        sources={"weights": f"{seed:064x}"},
        versions={"torch": torch.__version__},
        golden=Golden(crop=pack(np.random.default_rng(0).integers(0, 256, (*SHAPE[2:], 3), np.uint8)), expected={}),
    )
    return save_program(folder, fp32, int8, card)
