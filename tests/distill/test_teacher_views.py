"""A teacher that is shown a person several times: its answers are averaged, and weighted by their agreement."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from drawn_source import SIZE, Dots

from calib_data.crops import Crops
from calib_data.sample import Labels
from distill.teacher_cache import cache_teacher, merge_teacher_labels
from distill.teacher_views import MOST_VIEWS, predict_person
from pose.crop import CropSpec, transform
from pose.heatmaps import HeatmapGrid
from pose.skeleton import COCO_17

CROP, CELLS = CropSpec(width=64, height=64, padding=1.6), 32
LEFT, RIGHT = COCO_17.indices(("left_eye", "right_eye"))
BESIDE = 0.1  # of the crop: how far the eyes lie right and left of the dot in the picture
NOSE = 0


class Unlabelled(Dots):
    """People without labels, who are shown as they stand."""

    def labels(self, index: int) -> Labels:
        labels = super().labels(index)
        labels.keypoints[:, 2] = 0
        return labels


class Sided:
    """Finds the white dot as every joint, but for the eyes on either side of it; `fixed` joints are always at one place."""

    name, crop, grid, skeleton = "sided", CROP, HeatmapGrid(0.5), COCO_17

    def __init__(self, fixed: tuple[int, ...] = ()) -> None:
        self.fixed, self.crops = fixed, 0

    def observe(self, crops: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        self.crops += len(crops)
        light = np.maximum(crops[..., 0].astype(float) - 60, 0) + 1e-9
        rows, columns = np.indices(light.shape[1:])
        total = light.sum((1, 2))
        dots = np.stack([(light * columns).sum((1, 2)), (light * rows).sum((1, 2))], -1) / total[:, None] / CROP.size
        coords = np.repeat(dots[:, None], 17, axis=1)
        coords[:, LEFT, 0] += BESIDE
        coords[:, RIGHT, 0] -= BESIDE
        coords[:, list(self.fixed)] = 0.2
        rows, columns = np.indices((CELLS, CELLS))
        centre = (coords * CELLS - self.grid.offset)[..., None, None]
        maps = np.exp(-((columns - centre[:, :, 0]) ** 2 + (rows - centre[:, :, 1]) ** 2) / (2 * 1.5**2))
        return maps.astype(np.float32), coords.astype(np.float32), np.full(coords.shape[:2], 0.9, np.float32)


@pytest.mark.parametrize("views", range(1, MOST_VIEWS + 1))
@pytest.mark.parametrize("index", range(3))
def test_views_are_averaged_at_the_pixel_that_they_show(views: int, index: int) -> None:
    source, teacher = Unlabelled(), Sided()
    heatmaps, matrix, keypoints = predict_person(teacher, source, index, views)
    assert teacher.crops == views
    dot = source.labels(index).keypoints[source.shown, :2]
    size = 60 * CROP.padding  # of the crop in image pixels
    assert np.abs(keypoints[NOSE, :2] - dot).max() < 0.6
    if views == 2:  # a rotated view has other rights and lefts
        assert np.abs(keypoints[LEFT, :2] - dot - (BESIDE * size, 0)).max() < 0.6, "left and right are exchanged back"
        assert np.abs(keypoints[RIGHT, :2] - dot + (BESIDE * size, 0)).max() < 0.6
    assert keypoints[NOSE, 3] > 0.97
    peak = np.unravel_index(heatmaps[NOSE].argmax(), (CELLS, CELLS))[::-1]
    expected = transform(dot, matrix) / CROP.size * CELLS - 0.5
    assert np.abs(np.array(peak) - expected).max() <= 1
    assert heatmaps[NOSE].max() > 0.75, "the views' maps lie on each other"


def test_a_joint_on_which_the_views_contradict_each_other_labels_nothing(tmp_path: Path) -> None:
    source, teacher = Unlabelled(3), Sided(fixed=(NOSE,))
    caches = {views: cache_teacher(teacher, "weights", source, "data", tmp_path, views) for views in (1, 3)}
    assert np.array_equal(caches[1].keypoints[..., 3], np.ones((3, 17)))
    assert caches[3].keypoints[:, NOSE, 3].max() < 0.05
    assert caches[3].keypoints[:, NOSE, 2].max() < 0.05, "its score falls with its agreement"

    labels = merge_teacher_labels(source, caches[3], COCO_17)
    assert (labels[:, NOSE, 2] == 0).all()
    assert (labels[:, source.shown, 2] > 0.9).all()
    assert np.array_equal(labels[:, source.shown, 2], caches[3].keypoints[:, source.shown, 3])


def test_a_label_that_is_half_sure_weighs_half() -> None:
    source = Dots(1)
    labels = source.labels(0).keypoints[None].copy()
    labels[0, :3, 2] = 0.5, 2.0, 0.0
    crop = Crops(source, CropSpec(width=SIZE, height=SIZE), COCO_17, labels=labels).get(0)
    assert crop.weight[:3].tolist() == [0.5, 1.0, 0.0]
    assert (crop.coords[2] == 0).all()
