"""Cached teacher predictions: a heatmap teacher runs once on every person, and its heatmaps are kept on disk.

They are kept in one view of each person; a training crop takes its heatmaps from that view by an affine map, whatever its
own rotation, scale and flip. So a pass over the data does not run the teacher.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from calib_data.sample import PoseSource, describe_person
from distill.teacher_views import GridView, predict_person, sampling_affine
from pose import cli
from pose.crop import CropSpec
from pose.errors import BackendError, InputError
from pose.files import atomic_file
from pose.heatmaps import HeatmapGrid
from pose.models.protocols import Teacher
from pose.skeleton import Skeleton

_VERSION = 3  # of what is cached
SURE = 0.3  # score from which the teacher's point replaces a missing label
_OVERRULES = 0.6  # score from which it also replaces a label that is ...
_FAR = 0.12  # ... farther from it than this share of the box's longer side (about 0.4 of a torso)


@dataclass(frozen=True)
class TeacherCache:
    """The teacher's predictions for each of M samples, in one view of it.

    Attributes:
        heatmaps: float16 `[M, K, h, w]`, mapped from disk.
        matrices: float64 `[M, 2, 3]`, image pixels to the pixels of the teacher's crop.
        keypoints: float64 `[M, K, 4]`: (x, y) in image pixels, the score, and how far several views agree, 0..1.
        crop: of the teacher.
        grid: where the cells of its heatmaps lie in the teacher's crop.
    """

    heatmaps: np.ndarray
    matrices: np.ndarray
    keypoints: np.ndarray
    crop: CropSpec
    grid: HeatmapGrid

    def to_grid(self, index: int, matrix: np.ndarray, spec: CropSpec, grid: tuple[int, int]) -> np.ndarray:
        """Affine float32 `[2, 3]` from a student's heatmap grid (width, height) to -1..1 of this view's heatmaps.

        Args:
            matrix, spec: of the student's crop of the same sample.
        """
        height, width = self.heatmaps.shape[-2:]
        view = GridView(self.matrices[index], self.crop, self.grid, (width, height))
        return sampling_affine(view, GridView(matrix, spec, HeatmapGrid(), grid))


def cache_teacher(
    teacher: Teacher, teacher_digest: str, source: PoseSource, data_digest: str, cache: Path, views: int = 1
) -> TeacherCache:
    """The teacher's predictions for every sample of `source`: read from the folder `cache`, or computed and kept there.

    Args:
        teacher_digest, data_digest: sha256 of its weights and of what determines `source`; the cache is found by them.
        views: of each person; see `distill.teacher_views`.

    Raises:
        InputError: a cached file is damaged, or the folder cannot be written to.
        BackendError: the teacher answered NaN, infinity or more than float16 can hold; then nothing is cached.
    """
    key = hashlib.sha256(f"{_VERSION} {teacher_digest} {data_digest} {len(source)} {views}".encode()).hexdigest()[:16]
    folder = cache / f"views-{teacher.name}-{key}"
    if not (folder / "keypoints.npy").is_file():  # written last
        _compute(teacher, source, folder, views)
    try:
        arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("heatmaps", "matrices", "keypoints")}
        _require_complete(**arrays, people=len(source), joints=len(teacher.skeleton))
    except (OSError, EOFError, ValueError) as error:
        raise InputError(
            f"{folder}, the cached predictions of {teacher.name}, is damaged ({error}); remove that folder"
        ) from error
    return TeacherCache(**arrays, crop=teacher.crop, grid=teacher.grid)


def _require_complete(heatmaps: np.ndarray, matrices: np.ndarray, keypoints: np.ndarray, people: int, joints: int) -> None:
    """Raises ValueError unless the arrays have the shapes and types of `TeacherCache`, and finite values."""
    if heatmaps.dtype != np.float16 or heatmaps.ndim != 4 or heatmaps.shape[:2] != (people, joints):
        raise ValueError(f"heatmaps.npy holds {heatmaps.dtype} {heatmaps.shape}")
    for name, array, shape in (("matrices", matrices, (people, 2, 3)), ("keypoints", keypoints, (people, joints, 4))):
        if array.dtype != np.float64 or array.shape != shape:
            raise ValueError(f"{name}.npy holds {array.dtype} {array.shape}")
    for person in range(people):  # one at a time: all heatmaps may be larger than the memory
        if not all(np.isfinite(array[person]).all() for array in (heatmaps, matrices, keypoints)):
            raise ValueError(f"NaN or infinity for person {person}")


def _compute(teacher: Teacher, source: PoseSource, folder: Path, views: int) -> None:
    shape = teacher.observe(np.zeros((1, teacher.crop.height, teacher.crop.width, 3), np.uint8))[0].shape[1:]
    matrices, keypoints = np.zeros((len(source), 2, 3)), np.zeros((len(source), shape[0], 4))
    # Written in order: a memory map on a disk that fills up kills the process.
    with atomic_file(folder / "heatmaps.npy") as temporary, open(temporary, "wb") as file:
        header = {"descr": "<f2", "fortran_order": False, "shape": (len(source), *shape)}
        np.lib.format.write_array_header_1_0(file, header)
        for index in cli.track(range(len(source)), f"Running {teacher.name}", len(source)):
            heatmaps, matrices[index], keypoints[index] = predict_person(teacher, source, index, views)
            if heatmaps.shape != shape:
                raise BackendError(
                    f"{teacher.name} answered {describe_person(source, index)} with heatmaps of {heatmaps.shape}, others "
                    f"with {shape}; a teacher's heatmaps have one size"
                )
            file.write(heatmaps.astype("<f2").tobytes())
    for name, array in (("matrices", matrices), ("keypoints", keypoints)):
        with atomic_file(folder / f"{name}.npy") as temporary:
            np.save(temporary, array)


def usual_peak(cache: TeacherCache) -> float:
    """What the heatmaps of the first 64 people reach: the value that one in ten of their joints exceeds."""
    return float(np.quantile(cache.heatmaps[:64].max((2, 3)), 0.9))


def merge_teacher_labels(source: PoseSource, cache: TeacherCache, skeleton: Skeleton) -> np.ndarray:
    """Labels float64 `[M, K, 3]`, (x, y, v) in image pixels: the annotated ones, completed and corrected by the teacher.

    v is the annotated one, or the agreement of the teacher's views in 0..1: the weight of the joint.

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
    replaced = (missing & (scores >= SURE)) | (~missing & far & (scores >= _OVERRULES))
    labels[replaced, :2], labels[replaced, 2] = points[replaced], cache.keypoints[replaced, 3]
    return labels
