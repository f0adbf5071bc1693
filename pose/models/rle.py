"""RLE (Li et al., ICCV 2021): coordinates and sigmas from pooled features, trained by residual log-likelihood.

It was published in two forms whose weights mean different things: the authors' divides the features by their norm before the
coordinates are read and takes crops that are not divided by a standard deviation; mmpose's does neither.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn

from pose.errors import InputError
from pose.models.backbones.hrnet_classifier import HRNetClassifier
from pose.models.backbones.resnet import BLOCKS, LastMap
from pose.models.flow import RealNVP
from pose.models.output import PoseOutput
from pose.models.regression import RegressionStudent, full_precision, mmpose_names, pool, small_linear

Form = Literal["authors", "mmpose"]
_AUTHORS = {"preact.": "backbone.", "fc_coord.linear.": "head.coords.", "fc_sigma.linear.": "head.sigmas."}
_FLOWS = ("head.loss_module.flow_model.", "head.loss.flow_model.")
_PRIOR = ("loc", "cov")  # of the flow: a normal distribution, which is the same in every checkpoint


class RLEHead(nn.Module):
    """Features `[N, C, h, w]` -> coordinates, scores (1 minus the mean sigma), sigmas in heatmap pixels.

    Args:
        heatmap: (width, height) of the grid that sigmas are measured in.
        form: see the module; of the authors' form the linear gives coordinates around the centre of the crop.
    """

    size: Tensor

    def __init__(self, features: int, keypoints: int, heatmap: tuple[int, int], form: Form) -> None:
        super().__init__()
        self.form = form
        self.coords = small_linear(features, 2 * keypoints, 0.0 if form == "authors" else 0.5)
        self.sigmas = small_linear(features, 2 * keypoints)
        self.register_buffer("size", torch.tensor(heatmap, dtype=torch.float32), persistent=False)

    def forward(self, features: Tensor) -> PoseOutput:
        with full_precision(features):
            pooled = pool(features.float())
            if self.form == "authors":
                coords = self.coords(pooled / pooled.square().sum(1, keepdim=True).sqrt()) + 0.5
            else:
                coords = self.coords(pooled)
            sigmas = self.sigmas(pooled).sigmoid().unflatten(-1, (-1, 2))  # as a share of the crop
            return PoseOutput(coords=coords.unflatten(-1, (-1, 2)), scores=1 - sigmas.mean(-1), sigmas=sigmas * self.size)


class RLE(RegressionStudent):
    """Images `[N, 3, H, W]` -> `PoseOutput` with coordinates, scores and sigmas; `flow` is for its loss.

    Args:
        backbone: images -> features `[N, channels, h, w]`.
        form: see the module.
        heatmap: (width, height) of the grid that sigmas are measured in.
    """

    auxiliary = training_only = ("flow",)
    flip_shift = 1.0

    def __init__(
        self,
        backbone: nn.Module,
        channels: int,
        keypoints: int,
        form: Form = "authors",
        heatmap: tuple[int, int] = (48, 64),
    ) -> None:
        super().__init__()
        self.form = self.likelihood = form
        self.backbone = backbone
        self.head = RLEHead(channels, keypoints, heatmap, form)
        self.flow = RealNVP()

    def published(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """See `RegressionStudent`.

        Raises:
            InputError: the weights are of the other form.
        """
        renamed = {_renamed(key): value for key, value in mmpose_names(state).items()}
        marks: dict[str, Form] = {"head.fc.weight": "mmpose", "fc_coord.linear.weight": "authors"}
        form = next((form for key, form in marks.items() if key in renamed or key in state), None)
        if form is not None and form != self.form:
            owner, name = ("mmpose", "rle_r50_mmpose") if form == "mmpose" else ("its authors", "rle_r50")
            raise InputError(f"these are weights of RLE in the form of {owner}, which is another function; take {name}")
        if form != "mmpose":
            return renamed
        for leaf in [leaf for leaf in ("weight", "bias") if f"head.fc.{leaf}" in renamed]:
            rows = renamed.pop(f"head.fc.{leaf}").unflatten(0, (-1, 4))  # x, y and their sigmas of a joint lie together
            renamed[f"head.coords.{leaf}"], renamed[f"head.sigmas.{leaf}"] = (
                part.flatten(0, 1) for part in (rows[:, :2], rows[:, 2:])
            )
        return {key: value for key, value in renamed.items() if key not in [f"flow.{name}" for name in _PRIOR]}

    def densities(self, output: PoseOutput) -> list[tuple[Tensor, Tensor, RealNVP]]:
        """See `RegressionStudent`."""
        assert output.coords is not None
        assert output.sigmas is not None
        return [(output.coords, output.sigmas / self.head.size, self.flow)]

    def forward(self, images: Tensor) -> PoseOutput:
        return self.head(self.backbone(images))


def _renamed(key: str) -> str:
    for theirs in _FLOWS:
        if key.startswith(theirs):
            return "flow." + key.removeprefix(theirs)
    return next((ours + key.removeprefix(theirs) for theirs, ours in _AUTHORS.items() if key.startswith(theirs)), key)


def rle_r50(keypoints: int) -> RLE:
    """ResNet-50, the authors' form: 23.65 M parameters without the flow, 4.00 G multiply-adds."""
    backbone = LastMap(BLOCKS[50])
    return RLE(backbone, backbone.channels[-1], keypoints)


def rle_hrnet_w48(keypoints: int) -> RLE:
    """HRNet-W48 with its classification head: 75.56 M parameters without the flow, 16.92 G multiply-adds."""
    backbone = HRNetClassifier(48)
    return RLE(backbone, backbone.outputs, keypoints)


def rle_r50_mmpose(keypoints: int) -> RLE:
    """ResNet-50, mmpose's form."""
    backbone = LastMap(BLOCKS[50])
    return RLE(backbone, backbone.channels[-1], keypoints, "mmpose")
