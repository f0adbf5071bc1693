"""The views of a person that a teacher is shown, and its predictions over them as one.

One view has no augmentation; a leaning person is also shown upright, and the view with the higher scores is kept. Further
views are mirrored, rotated and scaled: what the teacher says in all of them is more accurate than what it says in one, and
where it contradicts itself it knows little.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from calib_data.sample import PoseSource, describe_person
from pose.crop import CropSpec, affine, invert, to_image, warp
from pose.heatmaps import HeatmapGrid
from pose.models.protocols import Teacher
from pose.skeleton import Skeleton
from pose.teacher_output import observe

_LEANING = 30.0  # degrees of the torso from which the person is shown to the teacher upright as well
_TORSO_JOINTS = (("left_hip", "right_hip"), ("left_shoulder", "right_shoulder"))
# (degrees, scale, mirrored) of the views after the first
_FURTHER_VIEWS = ((0.0, 1.0, True), (12.0, 1.15, False), (-12.0, 0.9, True))
MOST_VIEWS = 1 + len(_FURTHER_VIEWS)
_AGREEMENT = 0.05  # spread, as a share of the box's longer side, at which the agreement has fallen to 1/e


@dataclass(frozen=True)
class GridView:
    """Heatmaps of a crop: `matrix` float64 `[2, 3]` from image pixels to those of `crop`; `cells` are (width, height)."""

    matrix: np.ndarray
    crop: CropSpec
    grid: HeatmapGrid
    cells: tuple[int, int]

    def index_to_crop(self) -> np.ndarray:
        """Affine `[3, 3]` from indices of the heatmap (column, row, 1) to pixels of the crop."""
        step = self.crop.size / self.grid.steps(*self.cells)
        return _homogeneous(np.column_stack([np.diag(step), self.grid.offset * step]))


def _homogeneous(matrix: np.ndarray) -> np.ndarray:
    return np.vstack([matrix, [0, 0, 1]])


def sampling_affine(view: GridView, target: GridView) -> np.ndarray:
    """Affine float32 `[2, 3]` from the target's heatmap indices to -1..1 of the view's heatmaps, as torch samples them."""
    between = _homogeneous(view.matrix) @ _homogeneous(invert(target.matrix)) @ target.index_to_crop()
    # torch puts the centre of index u at (2 u + 1) / width - 1.
    cells = np.array(view.cells)
    to_torch = np.column_stack([np.diag(2 / cells), 1 / cells - 1])
    return (to_torch @ np.linalg.inv(view.index_to_crop()) @ between).astype(np.float32)


def warp_heatmaps(heatmaps: Tensor, to_view: Tensor, flip: Tensor, mirrored: Tensor, grid: tuple[int, int]) -> Tensor:
    """Heatmaps `[N, K, H, W]` of a batch of crops from those of their views `[N, K, h, w]`; 0 outside the view.

    Args:
        to_view: `[N, 2, 3]` of `sampling_affine`.
        flip: `[N]`, bool. mirrored: `[K]`, the mirrored joint of each.
        grid: (width, height).
    """
    columns, rows = torch.meshgrid(torch.arange(grid[0]), torch.arange(grid[1]), indexing="xy")
    points = torch.stack([columns, rows, torch.ones_like(rows)], -1).to(to_view)
    warped = F.grid_sample(heatmaps, torch.einsum("hwc,nxc->nhwx", points, to_view), align_corners=False)
    return torch.where(flip[:, None, None, None], warped[:, mirrored], warped)


def resample(heatmaps: Tensor, grid: tuple[int, int]) -> Tensor:
    """Heatmaps `[N, K, h, w]` of some crops on a grid (width, height) of other cells, `[N, K, height, width]`."""
    anywhere = np.eye(2, 3), CropSpec(), HeatmapGrid()  # both are of the same crop, whichever that is
    view, target = (GridView(*anywhere, cells) for cells in ((heatmaps.shape[3], heatmaps.shape[2]), grid))
    to_view = torch.from_numpy(sampling_affine(view, target)).to(heatmaps).expand(len(heatmaps), 2, 3)
    keep = torch.zeros(len(heatmaps), dtype=torch.bool, device=heatmaps.device)
    return warp_heatmaps(heatmaps, to_view, keep, torch.arange(heatmaps.shape[1], device=heatmaps.device), grid)


@dataclass(frozen=True)
class _Prediction:
    """Heatmaps float32 `[K, h, w]` and where they lie; points float64 `[K, 2]` in image pixels and scores `[K]`."""

    heatmaps: np.ndarray
    view: GridView
    points: np.ndarray
    scores: np.ndarray


def predict_person(
    teacher: Teacher, source: PoseSource, index: int, views: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The teacher's heatmaps float32 `[K, h, w]`, the matrix `[2, 3]` of their view, and its keypoints float64 `[K, 4]`.

    Keypoints are (x, y) in image pixels, the score, and the agreement of the views in 0..1, by which the score is
    multiplied: exp(-s^2), s the root mean square distance of the views' points from their mean, in units of 0.05 of the
    box's longer side.

    Args:
        views: 1 to 4.

    Raises:
        InputError, BackendError: see `pose.teacher_output.observe`.
    """
    labels, image = source.labels(index), source.image(index)
    where = describe_person(source, index)

    def look(rotation: float, scale: float = 1.0, flip: bool = False) -> _Prediction:
        matrix = affine(labels.box, teacher.crop, scale=scale, rotation=rotation, flip=flip)
        heatmaps, coords, scores = (out[0] for out in observe(teacher, warp(image, matrix, teacher.crop)[None], [where]))
        view = GridView(matrix, teacher.crop, teacher.grid, (heatmaps.shape[2], heatmaps.shape[1]))
        points = to_image(coords.astype(np.float64), matrix, teacher.crop)
        if flip:
            mirrored = teacher.skeleton.flip
            heatmaps, points, scores = heatmaps[mirrored], points[mirrored], scores[mirrored]
        return _Prediction(heatmaps, view, points, scores)

    rotations = _rotations(labels.keypoints, source.skeleton)
    tried = [look(rotation) for rotation in rotations]
    chosen = int(np.argmax([prediction.scores.mean() for prediction in tried]))
    first, upright = tried[chosen], rotations[chosen]
    others = [look(upright + turn, scale, flip) for turn, scale, flip in _FURTHER_VIEWS[: views - 1]]
    reach = _AGREEMENT * float(labels.box[2:].max())
    maps = [torch.from_numpy(np.ascontiguousarray(first.heatmaps))]
    keep, same = torch.tensor([False]), torch.arange(len(first.heatmaps))
    for other in others:
        to_view = torch.from_numpy(sampling_affine(other.view, first.view))[None]
        heatmaps = torch.from_numpy(np.ascontiguousarray(other.heatmaps))[None]
        maps.append(warp_heatmaps(heatmaps, to_view, keep, same, first.view.cells)[0])
    return torch.stack(maps).mean(0).numpy(), first.view.matrix, _keypoints([first, *others], reach)


def _keypoints(predictions: list[_Prediction], reach: float) -> np.ndarray:
    points = np.stack([prediction.points for prediction in predictions])
    scores = np.stack([prediction.scores for prediction in predictions])
    share = np.maximum(scores, 1e-3)[..., None]
    mean = (points * share).sum(0) / share.sum(0)
    square = (((points - mean) ** 2).sum(-1, keepdims=True) * share).sum(0) / share.sum(0)
    agreement = np.exp(-square / reach**2)
    return np.concatenate([mean, scores.mean(0)[:, None] * agreement, agreement], -1)


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
