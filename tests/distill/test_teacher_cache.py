"""A teacher that has spoken once: its heatmaps land where the crop's pixels do, whatever the crop's augmentation."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
import yaml
from drawn_source import SIZE, Dots
from foreign_network import description, write_model
from hypothesis import given, settings
from hypothesis import strategies as st

from calib_data.augment import Augmentation, draw_affine
from calib_data.crops import Crops
from calib_data.sample import Labels
from distill.batches import Batches
from distill.teacher_cache import TeacherCache, cache_teacher, merge_teacher_labels
from distill.teacher_views import warp_heatmaps
from distill.teachers import foreign_digest
from pose.crop import CropSpec, affine, invert, to_normalised, transform
from pose.errors import InputError
from pose.foreign import load_teacher
from pose.heatmaps import HeatmapGrid
from pose.skeleton import COCO_17

TEACHER = CropSpec(width=64, height=64, padding=1.6)
STUDENT = CropSpec(width=96, height=128)
VIEW, GRID = (32, 32), (24, 32)  # (width, height)
LEFT_WRIST, RIGHT_WRIST = COCO_17.indices(("left_wrist", "right_wrist"))


def gaussians(points: np.ndarray, size: tuple[int, int], sigma: float = 1.5) -> np.ndarray:
    """Heatmaps [K, h, w] with their peaks at these indices [K, 2]."""
    rows, columns = np.mgrid[: size[1], : size[0]]
    square = (columns - points[:, 0, None, None]) ** 2 + (rows - points[:, 1, None, None]) ** 2
    return np.exp(-square / (2 * sigma**2)).astype(np.float32)


class Sees:
    """A teacher with heatmaps of 32x32 that finds the white dot, as every joint."""

    name, crop, grid, skeleton = "sees", TEACHER, HeatmapGrid(0.5), COCO_17

    def __init__(self) -> None:
        self.asked = 0

    def observe(self, crops: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        self.asked += 1
        light = np.maximum(crops[..., 0].astype(float) - 60, 0) + 1e-9
        rows, columns = np.indices(light.shape[1:])
        total = light.sum((1, 2))
        points = np.stack([(light * columns).sum((1, 2)), (light * rows).sum((1, 2))], -1) / total[:, None]
        coords = np.repeat(points[:, None] / TEACHER.size, 17, axis=1).astype(np.float32)
        maps = np.stack([gaussians(each * VIEW - self.grid.offset, VIEW) for each in coords])
        return maps, coords, np.full(coords.shape[:2], 0.9, np.float32)


@given(
    seed=st.integers(0, 10**6),
    grid=st.sampled_from([HeatmapGrid(), HeatmapGrid(0.5), HeatmapGrid(corners=(64, 64))]),
    lean=st.floats(-60, 60),
    x=st.floats(45, SIZE - 45),
    y=st.floats(45, SIZE - 45),
)
@settings(max_examples=60, deadline=None)
def test_a_peak_lands_on_the_same_pixel_of_the_student(
    seed: int, grid: HeatmapGrid, lean: float, x: float, y: float
) -> None:
    point, box = np.array([x, y]), np.array([30.0, 30, 60, 60])
    view = affine(box, TEACHER, rotation=lean)
    index = to_normalised(point, view, TEACHER) * grid.steps(*VIEW) - grid.offset
    maps = np.stack([gaussians(index[None], VIEW)[0]] * 17)
    views = TeacherCache(maps[None], view[None], np.zeros((1, 17, 4)), TEACHER, grid)
    rng = np.random.default_rng(seed)
    matrix, flip = draw_affine(rng, Augmentation(shift=0.1), box, np.zeros((17, 3)), COCO_17, STUDENT)
    to_grid = torch.from_numpy(views.to_grid(0, matrix, STUDENT, GRID))[None]
    mirrored = torch.from_numpy(COCO_17.flip)
    warped = warp_heatmaps(torch.from_numpy(maps)[None], to_grid, torch.tensor([flip]), mirrored, GRID)[0, 0]
    expected = to_normalised(point, matrix, STUDENT) * GRID  # of the student's grid: no offset
    if (expected < 5).any() or (expected > np.array(GRID) - 6).any():
        return
    total = warped.sum().item()
    rows, columns = (each.numpy() for each in torch.meshgrid(torch.arange(GRID[1]), torch.arange(GRID[0]), indexing="ij"))
    mass = np.array([(warped.numpy() * columns).sum(), (warped.numpy() * rows).sum()]) / total
    row, column = divmod(int(warped.argmax()), GRID[0])
    assert np.abs(np.array([column, row]) - expected).max() <= 1
    assert np.abs(mass - expected).max() < 0.3  # half a cell of offset would be seen


def test_a_flip_exchanges_left_and_right() -> None:
    maps = torch.rand(2, 17, *VIEW)
    same = torch.tensor([[[2 / VIEW[0], 0, 1 / VIEW[0] - 1], [0, 2 / VIEW[1], 1 / VIEW[1] - 1]]]).expand(2, 2, 3)
    mirrored = torch.from_numpy(COCO_17.flip)
    plain, flipped = warp_heatmaps(maps, same, torch.tensor([False, True]), mirrored, VIEW)
    torch.testing.assert_close(plain, maps[0], atol=1e-4, rtol=0)
    torch.testing.assert_close(flipped[LEFT_WRIST], maps[1, RIGHT_WRIST], atol=1e-4, rtol=0)
    torch.testing.assert_close(flipped[0], maps[1, 0], atol=1e-4, rtol=0)


def test_outside_the_view_the_teacher_says_nothing() -> None:
    far = torch.tensor([[[0.1, 0, 5], [0, 0.1, 5]]])
    warped = warp_heatmaps(torch.ones(1, 17, *VIEW), far, torch.tensor([False]), torch.arange(17), GRID)
    assert not warped.any()


def test_every_batch_has_the_dot_where_its_label_is(tmp_path: Path) -> None:
    source = Dots()
    views = cache_teacher(Sees(), "a", source, "b", tmp_path)
    crops = Crops(source, STUDENT, COCO_17, Augmentation(half_body=0, scale=0.2))
    batch = Batches(crops, 8, GRID, views)[3]
    assert batch.heatmaps is not None
    found = 0
    for person in range(8):
        # the joint that carries the dot is the left wrist, or the right one in a mirrored crop: both maps show it
        peak = int(batch.heatmaps[person, LEFT_WRIST].argmax())
        place = np.array([peak % GRID[0], peak // GRID[0]]) / GRID
        labels = batch.target.coords[person, [LEFT_WRIST, RIGHT_WRIST]].numpy()
        found += bool(np.abs(labels - place).max(1).min() < 1.5 / min(GRID))
    assert found == 8


def test_a_teacher_is_asked_once(tmp_path: Path) -> None:
    teacher, source = Sees(), Dots()
    first = cache_teacher(teacher, "weights", source, "data", tmp_path)
    asked = teacher.asked
    assert asked > len(source)
    again = cache_teacher(teacher, "weights", source, "data", tmp_path)
    assert teacher.asked == asked
    assert np.array_equal(first.heatmaps, again.heatmaps)
    assert first.heatmaps.dtype == np.float16
    cache_teacher(teacher, "other weights", source, "data", tmp_path)
    assert teacher.asked > asked


def test_a_damaged_answer_is_named(tmp_path: Path) -> None:
    cache_teacher(Sees(), "weights", Dots(), "data", tmp_path)
    (heatmaps,) = tmp_path.rglob("heatmaps.npy")
    heatmaps.write_bytes(heatmaps.read_bytes()[:-100])
    with pytest.raises(InputError, match=rf"{heatmaps.parent}, .* is damaged .*; remove that folder") as caught:
        cache_teacher(Sees(), "weights", Dots(), "data", tmp_path)
    assert "\n" not in str(caught.value)


def test_a_teacher_that_was_interrupted_leaves_no_half_answer(tmp_path: Path) -> None:
    class Tired(Sees):
        def observe(self, crops: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
            if self.asked == 3:
                raise KeyboardInterrupt
            return super().observe(crops)

    with pytest.raises(KeyboardInterrupt):
        cache_teacher(Tired(), "weights", Dots(), "data", tmp_path)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    assert np.isfinite(cache_teacher(Sees(), "weights", Dots(), "data", tmp_path).heatmaps).all()


def test_a_cache_that_cannot_be_written_is_an_input_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot write"):
        cache_teacher(Sees(), "weights", Dots(), "data", tmp_path / "file")


class Leaning(Dots):
    """Five people whose torso lies on its side."""

    def labels(self, index: int) -> Labels:
        labels = super().labels(index)
        keypoints = labels.keypoints.copy()
        keypoints[COCO_17.indices(("left_hip", "right_hip")), :2] = 40, 60
        keypoints[COCO_17.indices(("left_shoulder", "right_shoulder")), :2] = 80, 60
        return replace(labels, keypoints=keypoints)


def test_a_person_who_lies_is_shown_upright_as_well(tmp_path: Path) -> None:
    class LikesUpright(Sees):
        def observe(self, crops: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
            maps, coords, scores = super().observe(crops)
            plain = self.asked % 2 == 0  # after one black crop: plain, upright, plain, upright ...
            return maps, coords, scores * (0.5 if plain else 1)

    views = cache_teacher(LikesUpright(), "weights", Leaning(), "data", tmp_path)
    for index, sample in enumerate(Leaning().labels(i) for i in range(5)):
        hips, shoulders = (transform(sample.keypoints[COCO_17.indices((f"left_{part}",)), :2], views.matrices[index])[0]
                           for part in ("hip", "shoulder"))  # fmt: skip
        assert shoulders[0] == pytest.approx(hips[0], abs=1e-6)
        assert shoulders[1] < hips[1]
    back = transform(TEACHER.size / 2, invert(views.matrices[0]))
    assert back == pytest.approx([60, 60])


def test_labels_are_completed_and_mended_by_a_sure_teacher_only() -> None:
    source = Dots(1)
    keypoints = source.labels(0).keypoints[None].copy()
    keypoints[..., 2] = 0.0  # the teacher's scores
    keypoints[0, 0] = (50, 50, 0.7)  # very sure and far from the label; then very sure and near it
    keypoints[0, 1, :2], keypoints[0, 1, 2] = keypoints[0, 1, :2] + 2, 0.9
    keypoints[0, 2] = (50, 50, 0.5)  # far, but not sure enough
    keypoints = np.concatenate([keypoints, np.ones((1, 17, 1))], -1)  # and the agreement of its views
    views = TeacherCache(np.zeros((1, 17, 2, 2)), np.zeros((1, 2, 3)), keypoints, TEACHER, HeatmapGrid())
    labels, own = merge_teacher_labels(source, views, COCO_17)[0], source.labels(0).keypoints
    assert np.linalg.norm(own[0, :2] - 50) > 0.12 * 60
    assert labels[0].tolist() == [50, 50, 1]
    assert np.array_equal(labels[1:], own[1:])


def test_the_digest_of_a_foreign_teacher_is_that_of_all_its_files(tmp_path: Path) -> None:
    write_model(tmp_path / "net.onnx")
    described = tmp_path / "mine.yaml"
    described.write_text(yaml.safe_dump(description()))
    teacher = load_teacher(described)
    model = onnx.load(teacher.path)
    onnx.save(model, teacher.path, save_as_external_data=True, location="net.data", size_threshold=0)
    digests = [foreign_digest(str(described), teacher), foreign_digest(str(described), teacher)]
    for name in ("mine.yaml", "net.data"):  # the YAML says what the outputs mean, and the data holds the weights
        kept = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(kept[::-1])
        digests.append(foreign_digest(str(described), teacher))
        (tmp_path / name).write_bytes(kept)
    assert digests[0] == digests[1]
    assert len(set(digests)) == 3
