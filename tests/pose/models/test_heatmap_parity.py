"""The heatmap networks of the paper's tables against their public implementations, on made-up weights."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from parity_vectors import SYSTEMS, images, needed, official_state, reference
from torch import Tensor, nn

from pose.models import MODELS, build
from pose.models.official import layout_of
from pose.models.okdhp import OnlineHourglass, StackedHourglass
from pose.models.profile import WAYS, operations, parameters

pytestmark = needed

RESULTS = Path(__file__).parents[3] / "results"

FAMILIES = ("simplebaselines", "hrnet", "transpose", "okdhp")
SYSTEM_NAMES = sorted(path.stem for path in SYSTEMS.glob("*.json") if path.stem.startswith(FAMILIES))
# the way in which a row of the paper, or its repository, is counted -> G
COUNTS = {
    "simplebaselines_r50": ("HRNet", 8.90),
    "simplebaselines_r101": ("HRNet", 12.40),
    "simplebaselines_r152": ("HRNet", 15.70),
    "hrnet_w32": ("HRNet", 7.10),
    "hrnet_w48": ("HRNet", 14.60),
    "transpose_r_a3": ("layers and attention", 5.40),
    "transpose_r_a4": ("TransPose", 8.91),
    "transpose_h_s": ("TransPose", 10.24),
    "transpose_h_a4": ("TransPose", 17.54),
    "transpose_h_a6": ("TransPose", 21.80),
}
SLOW = ("transpose_h_a6", "hrnet_w48_mmpose1", "okdhp_2stack_train")  # of which one crop is enough


def registered(name: str) -> str:
    return name.partition("_mmpose")[0]


@pytest.mark.parametrize("name", SYSTEM_NAMES)
def test_names_and_sizes(name: str) -> None:
    """Every tensor of the public state dict has its place, none is left, and the network is as large as the public one."""
    known = reference(name)
    with torch.device("meta"):
        model = build(registered(name))
    public = {key: torch.empty(shape, device="meta") for key, shape in known["keys"].items()}
    shapes = {key: value.shape for key, value in getattr(model, "published", dict)(public).items()}
    layout = layout_of(model, shapes)
    assert {layout.name(ours): value.shape for ours, value in model.state_dict().items()} == shapes
    assert sum(parameter.numel() for parameter in model.parameters()) == known["params"]
    authors_take_bgr = name.startswith(("simplebaselines", "okdhp")) and "mmpose" not in name
    assert (layout.crop or MODELS[registered(name)].crop).colour == ("BGR" if authors_take_bgr else "RGB")
    count = operations(model, MODELS[registered(name)].crop)
    assert count.layers == known["macs"]
    assert count.attention == known["macs_attention_products"]
    if name in COUNTS:
        way, giga = COUNTS[name]
        assert WAYS[way](count) == pytest.approx(giga, rel=0.02)
    listed = json.loads((RESULTS / "zoo.json").read_text()).get(name)  # of docs/zoo.md
    if listed is not None:
        assert (listed["layers"], listed["attention"]) == (count.layers, count.attention)
        assert listed["parameters"] == parameters(model)


@pytest.mark.parametrize("name", [name for name in SYSTEM_NAMES if (SYSTEMS / f"{name}.npz").exists()])
def test_outputs(name: str) -> None:
    model = build(registered(name), weights=official_state(name)).eval()
    expected = dict(np.load(SYSTEMS / f"{name}.npz"))
    people = 1 if name in SLOW else 2
    with torch.no_grad():
        outputs = named_outputs(model, images()[:people])
    assert {f"{key}{part}" for key in outputs for part in ("", "_mean", "_std")} == set(expected)
    for key, heatmaps in outputs.items():
        spatial = heatmaps.flatten(2)
        parts = {"": heatmaps[:, :, ::4, ::4], "_mean": spatial.mean(2), "_std": spatial.std(2, correction=0)}
        for part, actual in parts.items():
            wanted = expected[f"{key}{part}"][:people]
            assert actual.shape == wanted.shape
            assert np.abs(actual.numpy() - wanted).max() <= 1e-4 * max(1.0, np.abs(wanted).max()), f"{key}{part}"


def named_outputs(model: nn.Module, crops: Tensor) -> dict[str, Tensor]:
    """What the vectors hold of a network, by their names."""
    if isinstance(model, OnlineHourglass):
        online = model.online(crops)
        return {"ensemble": online.ensemble} | {f"branch{place}": maps for place, maps in enumerate(online.branches)}
    if isinstance(model, StackedHourglass):
        stacks = model.stack_heatmaps(crops)
        return {"heatmaps": stacks[-1], "first_stack": stacks[0]}
    return {"heatmaps": model(crops).heatmaps}
