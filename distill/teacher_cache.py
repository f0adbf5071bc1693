"""Cached teacher predictions: a heatmap teacher runs once on every person, and its heatmaps are kept on disk.

The teacher sees each person in one view, without augmentation; a training crop then takes its heatmaps from that view by an
affine map, whatever its own rotation, scale and flip. So a pass over the data does not run the teacher.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from calib_data.sample import PoseSource
from pose import cli
from pose.crop import CropSpec, affine, invert, to_image, warp
from pose.errors import InputError
from pose.files import atomic_file
from pose.models.protocols import Teacher
from pose.skeleton import Skeleton

_VERSION = 1  # of what is cached
_LEANING = 30.0  # degrees of the torso from which the person is shown to the teacher upright as well
_SURE = 0.3  # score from which the teacher's point replaces a missing label
_OVERRULES = 0.6  # score from which it also replaces a label that is ...
_FAR = 0.12  # ... farther from it than this share of the box's longer side (about 0.4 of a torso)


@dataclass(frozen=True)
class TeacherCache:
    """The teacher's predictions for each of M samples, one view a sample.

    Attributes:
        heatmaps: float16 `[M, K, h, w]`, mapped from disk.
        matrices: float64 `[M, 2, 3]`, image pixels to the pixels of the teacher's crop.
        keypoints: float64 `[M, K, 3]`, (x, y, score) in image pixels.
        crop: of the teacher.
        grid_offset: heatmap index u lies at (u + grid_offset) / w of the teacher's crop.
    """

    heatmaps: np.ndarray
    matrices: np.ndarray
    keypoints: np.ndarray
    crop: CropSpec
    grid_offset: float

    def to_grid(self, index: int, matrix: np.ndarray, spec: CropSpec, grid: tuple[int, int]) -> np.ndarray:
        """Affine float32 `[2, 3]` from a student's heatmap grid (width, height) to -1..1 of this view's heatmaps.

        Args:
            matrix, spec: of the student's crop of the same sample.
        """
        height, width = self.heatmaps.shape[-2:]

        def homogeneous(affine: np.ndarray) -> np.ndarray:
            return np.vstack([affine, [0, 0, 1]])

        to_crop = np.diag([spec.width / grid[0], spec.height / grid[1], 1])
        to_view = homogeneous(self.matrices[index]) @ homogeneous(invert(matrix)) @ to_crop
        # Index u of the view is at (u + offset) / width; torch puts the centre of index u at (2 u + 1) / width - 1.
        shift = (1 - 2 * self.grid_offset) / np.array([width, height]) - 1
        scale = np.array([2 / self.crop.width, 2 / self.crop.height])
        return (np.column_stack([np.diag(scale), shift]) @ to_view).astype(np.float32)


def warp_heatmaps(heatmaps: Tensor, to_grid: Tensor, flip: Tensor, mirrored: Tensor, grid: tuple[int, int]) -> Tensor:
    """Heatmaps `[N, K, H, W]` of a batch of crops from those of their views `[N, K, h, w]`; 0 outside the view.

    Args:
        to_grid: `[N, 2, 3]` of `TeacherCache.to_grid`.
        flip: `[N]`, bool. mirrored: `[K]`, the mirrored joint of each.
        grid: (width, height).
    """
    columns, rows = torch.meshgrid(torch.arange(grid[0]), torch.arange(grid[1]), indexing="xy")
    points = torch.stack([columns, rows, torch.ones_like(rows)], -1).to(to_grid)
    warped = F.grid_sample(heatmaps, torch.einsum("hwc,nxc->nhwx", points, to_grid), align_corners=False)
    return torch.where(flip[:, None, None, None], warped[:, mirrored], warped)


def cache_teacher(teacher: Teacher, teacher_digest: str, source: PoseSource, data_digest: str, cache: Path) -> TeacherCache:
    """The teacher's predictions for every sample of `source`: read from the folder `cache`, or computed and kept there.

    Args:
        teacher_digest, data_digest: sha256 of its weights and of what determines `source`; the cache is found by them.

    Raises:
        InputError: a cached file is damaged, or the folder cannot be written to.
    """
    key = hashlib.sha256(f"{_VERSION} {teacher_digest} {data_digest} {len(source)}".encode()).hexdigest()[:16]
    folder = cache / f"views-{teacher.name}-{key}"
    if not (folder / "keypoints.npy").is_file():  # written last
        _compute(teacher, source, folder)
    try:
        arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("heatmaps", "matrices", "keypoints")}
    except (OSError, EOFError, ValueError) as error:
        raise InputError(
            f"{folder}, the cached predictions of {teacher.name}, is damaged ({error}); remove that folder"
        ) from error
    return TeacherCache(**arrays, crop=teacher.crop, grid_offset=teacher.grid_offset)


def _compute(teacher: Teacher, source: PoseSource, folder: Path) -> None:
    shape = teacher.observe(np.zeros((1, teacher.crop.height, teacher.crop.width, 3), np.uint8))[0].shape[1:]
    matrices, keypoints = np.zeros((len(source), 2, 3)), np.zeros((len(source), shape[0], 3))
    # Written in order: a memory map on a disk that fills up kills the process.
    with atomic_file(folder / "heatmaps.npy") as temporary, open(temporary, "wb") as file:
        header = {"descr": "<f2", "fortran_order": False, "shape": (len(source), *shape)}
        np.lib.format.write_array_header_1_0(file, header)
        for index in cli.track(range(len(source)), f"Running {teacher.name}", len(source)):
            heatmaps, matrices[index], keypoints[index] = _best_view(teacher, source, index)
            file.write(heatmaps.astype("<f2").tobytes())
    for name, array in (("matrices", matrices), ("keypoints", keypoints)):
        with atomic_file(folder / f"{name}.npy") as temporary:
            np.save(temporary, array)


def _best_view(teacher: Teacher, source: PoseSource, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Heatmaps, matrix and keypoints of the view of the person in which the teacher's scores are highest."""
    labels, image = source.labels(index), source.image(index)
    best: tuple[float, tuple[np.ndarray, np.ndarray, np.ndarray]] | None = None
    for rotation in _rotations(labels.keypoints, source.skeleton):
        matrix = affine(labels.box, teacher.crop, rotation=rotation)
        outputs = teacher.observe(warp(image, matrix, teacher.crop)[None])
        heatmaps, coords, scores = (output[0] for output in outputs)
        if best is None or scores.mean() > best[0]:
            points = to_image(coords.astype(np.float64), matrix, teacher.crop)
            best = float(scores.mean()), (heatmaps, matrix, np.column_stack([points, scores]))
    assert best is not None
    return best[1]


_TORSO_JOINTS = (("left_hip", "right_hip"), ("left_shoulder", "right_shoulder"))


def _rotations(keypoints: np.ndarray, skeleton: Skeleton) -> list[float]:
    """0, and the rotation in degrees that turns a leaning person upright; only 0 without labelled hips and shoulders."""
    if not {joint for pair in _TORSO_JOINTS for joint in pair} <= set(skeleton.joints):
        return [0.0]
    hips, shoulders = (skeleton.indices(pair) for pair in _TORSO_JOINTS)
    if (keypoints[[*hips, *shoulders], 2] == 0).any():
        return [0.0]
    up = keypoints[shoulders, :2].mean(0) - keypoints[hips, :2].mean(0)
    lean = float(np.rad2deg(np.arctan2(up[0], -up[1])))
    return [0.0, -lean] if abs(lean) > _LEANING else [0.0]


def merge_teacher_labels(source: PoseSource, cache: TeacherCache, skeleton: Skeleton) -> np.ndarray:
    """Labels float64 `[M, K, 3]`, (x, y, v) in image pixels: the annotated ones, completed and corrected by the teacher.

    A joint that is not annotated (the face in LSP's photos) takes the teacher's point where its score is at least 0.3; so
    does one whose annotation lies far from a teacher's point of score 0.6 or more: in crowd-sourced data the annotation is
    most often the wrong one of the two.
    """
    labels, reach = np.empty((len(source), len(skeleton), 3)), np.empty((len(source), 1))
    for index in range(len(source)):
        person = source.labels(index)
        labels[index] = source.skeleton.convert(person.keypoints, skeleton)
        reach[index] = _FAR * person.box[2:].max()
    points, scores = cache.keypoints[..., :2], cache.keypoints[..., 2]
    missing = labels[..., 2] == 0
    far = np.linalg.norm(labels[..., :2] - points, axis=-1) > reach
    replaced = (missing & (scores >= _SURE)) | (~missing & far & (scores >= _OVERRULES))
    labels[replaced, :2], labels[replaced, 2] = points[replaced], 1
    return labels
