"""The heatmap families in small: shapes, gradients, and their public layouts in whatever checkpoint they come."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pose.crop import BGR
from pose.errors import InputError
from pose.models.backbones.detr import split_projections
from pose.models.backbones.resnet import LastMap
from pose.models.checkpoint import load
from pose.models.hrnet import HRNetPose
from pose.models.official import Layout
from pose.models.okdhp import OnlineHourglass, StackedHourglass
from pose.models.simplebaselines import SimpleBaseline
from pose.models.transpose import PixelEncoder, TransPose

SIDE = 64
FAMILIES: dict[str, Callable[[], nn.Module]] = {
    "hrnet": lambda: HRNetPose(4, 3),
    "simplebaselines": lambda: SimpleBaseline(3, (1, 1, 1, 1), width=4, channels=8),
    "transpose on resnet": lambda: TransPose(LastMap((1, 1), width=4), PixelEncoder(32, 8, (8, 8), 2, 2, 16), 1, 3),
    "hourglass": lambda: StackedHourglass(3, 2, channels=16),
    "online": lambda: OnlineHourglass(3, shared=1, channels=16),
}
LAYOUTS = [(name, place) for name, make in FAMILIES.items() for place in range(len(make().layouts))]


@pytest.fixture(params=FAMILIES)
def network(request: pytest.FixtureRequest) -> nn.Module:
    torch.manual_seed(0)
    return FAMILIES[request.param]()


def test_shapes_and_gradients(network: nn.Module) -> None:
    images = torch.randn(2, 3, SIDE, SIDE)
    heatmaps = network.eval()(images).heatmaps
    assert heatmaps.shape == (2, 3, SIDE // 4, SIDE // 4)
    output = network.train()(images)
    sum(maps.square().sum() for maps in getattr(output, "stacks", None) or [output.heatmaps]).backward()
    trained = {name for name, value in network.named_parameters() if value.grad is not None and value.grad.any()}
    still = {name for name, _ in network.named_parameters()} - trained
    # The aggregation is trained by the ensemble, and a bias before a batch norm by nothing.
    assert not any(name for name in still if not name.endswith(("position", "bias")) and "aggregation" not in name)
    groups = network.parameter_groups()
    assert sum(map(len, groups.values())) == len(list(network.parameters()))


def published(network: nn.Module, layout: Layout) -> dict[str, Tensor]:
    return {layout.name(key): value for key, value in network.state_dict().items()}


WRITTEN: dict[str, Callable[[dict[str, Tensor]], dict[str, Any]]] = {
    "bare": lambda state: state,
    "data parallel": lambda state: {"state_dict": {f"module.{key}": value for key, value in state.items()}},
    "training": lambda state: {
        "epoch": 9,
        "perf": np.float64(0.7),
        "best_state_dict": state,
        "optimizer": {"state": {0: {"step": torch.tensor(1.0)}}},
    },
    "compiled, with preprocessing": lambda state: {
        "meta": {"epoch": 210, "time": np.int64(3)},
        "state_dict": {f"model._orig_mod.{key}": value for key, value in state.items()}
        | {f"model.data_preprocessor.{name}": torch.ones(3, 1, 1) for name in ("mean", "std")},
    },
    "old, without counters": lambda state: {key: value for key, value in state.items() if "num_batches" not in key},
}


@pytest.mark.parametrize(
    ("name", "place", "written"),
    [(*layout, "training") for layout in LAYOUTS] + [("simplebaselines", 1, one) for one in WRITTEN],
)
def test_public_layouts(name: str, place: int, written: str, tmp_path: Path) -> None:
    torch.manual_seed(1)
    original, empty = FAMILIES[name](), FAMILIES[name]()
    layout = original.layouts[place]
    torch.save(WRITTEN[written](published(original, layout)), tmp_path / "weights.pth")
    load(empty, tmp_path / "weights.pth", name)
    loaded = empty.state_dict()
    assert all(torch.equal(value, loaded[key]) for key, value in original.state_dict().items())
    assert getattr(empty, "crop", None) == layout.crop


def test_the_authors_of_three_systems_take_blue_first() -> None:
    crops = {name: [layout.crop for layout in make().layouts] for name, make in FAMILIES.items()}
    assert crops == {
        "hrnet": [None, None, None],
        "simplebaselines": [BGR, None, None],
        "transpose on resnet": [None],
        "hourglass": [BGR],
        "online": [BGR],
    }


def test_a_misfit_is_named_as_the_file_has_it() -> None:
    network = FAMILIES["hrnet"]()
    state = published(network, network.layouts[2])
    state["keypoint_head.final_layer.weight"] = torch.zeros(5, 4, 1, 1)
    del state["backbone.stage4.0.branches.3.1.conv2.weight"]
    missing = r"1 missing \(backbone.stage4.0.branches.3.1.conv2.weight\)"
    with pytest.raises(InputError, match=rf"{missing}, 1 of another shape \(keypoint_head.final_layer.weight \[5, 4"):
        load(network, state, "small")


def test_attention_is_that_of_torch() -> None:
    """The published layers have torch's own attention, whose packed weights are split."""
    torch.manual_seed(2)
    layer = PixelEncoder(4, 8, (2, 3), 1, heads=2, hidden=16).layers[0]
    reference = nn.MultiheadAttention(8, 2, batch_first=True)
    packed = {f"self_attn.{key}": value for key, value in reference.state_dict().items()}
    layer.load_state_dict(split_projections(packed), strict=False)
    tokens, position = torch.randn(2, 6, 8), torch.randn(1, 6, 8)
    located = tokens + position
    expected, _ = reference(located, located, tokens)
    assert torch.allclose(layer.self_attn(located, located, tokens), expected, atol=1e-6)
    out = layer.norm1(tokens + expected)
    assert torch.allclose(layer(tokens, position), layer.norm2(out + layer.linear2(layer.linear1(out).relu())), atol=1e-6)
