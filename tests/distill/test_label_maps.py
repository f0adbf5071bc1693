"""Labels as heatmaps: drawn as published, on the grid of the network that learns them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from parity_vectors import SYSTEMS, needed
from torch import nn

from distill.batches import Batch
from distill.heatmap_fit import HeatmapFit, objective_of
from distill.label_maps import LabelDrawing, draw_labels, on_grid
from distill.losses import Target
from distill.recipe import LossWeights
from pose.heatmaps import HeatmapGrid
from pose.models.output import PoseOutput

SIZE = 48, 64
CORNERS = HeatmapGrid(corners=(192, 256))
DRAWINGS = (None, "msra", "udp")


def at(*places: tuple[float, float]) -> Target:
    """Labels at places of the heatmap, in cells."""
    coords = torch.tensor([places]) / torch.tensor(SIZE)
    return Target(coords, torch.ones(coords.shape[:2]))


@needed
@pytest.mark.parametrize(
    ("key", "drawing", "grid"),
    [
        ("hrnet", "msra", HeatmapGrid()),
        ("mmpose_msra", "msra", HeatmapGrid()),
        ("mmpose_dark", None, HeatmapGrid()),
        ("mmpose_udp", "udp", CORNERS),
    ],
)
def test_vectors(key: str, drawing: LabelDrawing | None, grid: HeatmapGrid) -> None:
    """Some are kept in float16, and every second cell of them."""
    vectors = np.load(SYSTEMS / "decode.npz")
    coords = torch.tensor(vectors["target_input_coords"] / np.float32([192, 256]))
    target = on_grid(Target(coords, torch.tensor(vectors["target_visible"])), grid, SIZE)
    (maps,), (weight,) = draw_labels(target, SIZE, drawing)
    largest = vectors[f"{key}_target_sum"].max()
    assert np.abs(maps.sum((1, 2)).numpy() - vectors[f"{key}_target_sum"]).max() <= 1e-4 * largest
    assert np.array_equal(weight.numpy(), vectors[f"{key}_target_weight"].ravel())
    if drawing == "msra":
        assert np.array_equal(maps.flatten(1).argmax(1).numpy(), vectors[f"{key}_target_argmax"])
        assert np.array_equal(maps[:, ::2, ::2].numpy().astype(np.float16), vectors[f"{key}_target"])


def test_msra_draws_about_the_nearest_cell_and_no_farther_than_six() -> None:
    (maps,), _ = draw_labels(at((20.3, 30.6)), SIZE, "msra")
    assert maps[0, 31, 20] == 1
    assert maps[0, 31, 14] > 0 == maps[0, 31, 13]
    assert maps[0, 37, 20] > 0 == maps[0, 38, 20]


def test_udp_draws_about_the_label_and_no_farther_than_six() -> None:
    (maps,), _ = draw_labels(at((20.3, 30.6)), SIZE, "udp")
    assert maps[0, 31, 20] == pytest.approx(np.exp(-(0.3**2 + 0.4**2) / 8), abs=1e-5)
    assert maps[0, 31, 14] > 0 == maps[0, 31, 13]
    (whole,), _ = draw_labels(at((20.3, 30.6)), SIZE)
    assert torch.allclose(maps, whole, atol=0.02)


@pytest.mark.parametrize("drawing", ["msra", "udp"])
def test_a_joint_outside_counts_only_where_its_gaussian_reaches_the_grid(drawing: LabelDrawing) -> None:
    (maps,), (weight,) = draw_labels(at((-5, 10), (-9, 10), (53, 10), (55, 10), (20, 80)), SIZE, drawing)
    assert weight.tolist() == [1, 0, 1, 0, 0]
    assert (maps.amax((1, 2)) > 0).tolist() == [True, False, True, False, False]


def test_a_grid_of_corners_ends_at_the_crops_last_pixel() -> None:
    """A label in the centre of the crop's last pixel is on the last cell."""
    target = Target(torch.tensor([[[191 / 192, 255 / 256], [0.0, 0.0]]]), torch.ones(1, 2))
    assert torch.allclose(on_grid(target, CORNERS, SIZE).coords * torch.tensor(SIZE), torch.tensor([[47.0, 63], [0, 0]]))
    assert torch.equal(on_grid(target, HeatmapGrid(), SIZE).coords, target.coords)


@pytest.mark.parametrize("drawing", DRAWINGS)
def test_a_network_is_fitted_to_the_drawing_of_its_recipe(drawing: LabelDrawing | None) -> None:
    target = at((20.3, 30.6))
    maps, _ = draw_labels(target, SIZE, drawing)
    batch = Batch(torch.zeros(1, 3, 256, 192), target, None, (0,))
    for other in DRAWINGS:
        objective = objective_of(nn.Identity(), LossWeights(), other)
        assert isinstance(objective, HeatmapFit)
        error = objective(lambda images: PoseOutput(heatmaps=maps), batch)["heatmap"]  # type: ignore[arg-type]
        assert (error == 0) == (other == drawing)
