"""Foreign teachers with one distribution over columns and one over rows for each joint: RTMPose, DWPose, ViTPose-SimCC.

Distillation compares heatmaps, so each pair of distributions becomes one: a value of a bin spreads along its axis as a
Gaussian of two cells, as wide as those of heatmap networks; where several overlap, the highest counts. The heatmap is the
product of both axes.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pose.errors import InputError
from pose.foreign_network import ForeignTeacher
from pose.heatmaps import require_heatmaps, require_keypoints
from pose.sessions import Session
from pose.skeleton import Skeleton
from pose.teacher_file import TeacherFile

STRIDE = 4  # pixels of a heatmap cell
SIGMA = 2.0  # heatmap cells, of the Gaussians that HRNet and TokenPose are trained on


def profile(values: np.ndarray, split: float, cells: int) -> np.ndarray:
    """Values [N, K, bins] of the bins along one axis of the crop -> float32 [N, K, cells] of the heatmap's cells.

    Args:
        split: bins of a pixel.
    """
    places = np.arange(values.shape[-1]) / split / STRIDE  # in cells
    spread = np.exp(-((np.arange(cells)[:, None] - places) ** 2) / (2 * SIGMA**2))
    return np.stack([(values * row).max(-1) for row in spread], -1).astype(np.float32)


class SimCCTeacher(ForeignTeacher):
    """A foreign network of SimCC; its keypoints are the highest bins, its scores the lower of their two values."""

    def __init__(self, name: str, described: TeacherFile, skeleton: Skeleton, path: Path, session: Session) -> None:
        assert described.simcc is not None
        self._simcc = described.simcc
        super().__init__(name, described, skeleton, path, session)
        outputs = [self._simcc.x, self._simcc.y]
        for output, answer, axis in zip(outputs, self._answers_to_black(outputs), self._axes(), strict=True):
            side, pixels = axis
            expected = (1, len(self._simcc.joints), round(pixels * self._simcc.split))
            if answer.shape != expected:
                raise InputError(
                    f"{self._where}: output '{output}' is {list(answer.shape)}, not {list(expected)}: joints, and {side} * "
                    "split bins; correct joints or split in the YAML"
                )

    def observe(self, crops: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """See `ForeignTeacher`.

        Raises:
            InputError: what the YAML calls distributions is none, such as logits.
            BackendError: the runtime failed on these crops.
        """
        values = [self._values(raw) for raw in self._run(crops, [self._simcc.x, self._simcc.y])]
        cells = [pixels // STRIDE for _, pixels in self._axes()]
        columns, rows = (
            np.maximum(profile(value, self._simcc.split, count), 0) for value, count in zip(values, cells, strict=True)
        )
        heatmaps = rows[..., :, None] * columns[..., None, :]
        require_heatmaps(heatmaps, self.skeleton.joints, self._where, "correct `activation` or `scale` in its YAML")
        coords = np.stack([value.argmax(-1) / self._simcc.split for value in values], -1) / self.crop.size
        scores = np.minimum(*(value.max(-1) for value in values))
        require_keypoints(coords, scores, self._where)
        return heatmaps, coords.astype(np.float32), scores

    def _axes(self) -> list[tuple[str, int]]:
        return [("width", self.crop.width), ("height", self.crop.height)]

    def _values(self, raw: np.ndarray) -> np.ndarray:
        values = np.asarray(raw[:, self._channels], np.float32)
        if self._simcc.activation == "softmax":
            values = np.exp(values - values.max(-1, keepdims=True))
            values /= values.sum(-1, keepdims=True)
        return values * np.float32(self._simcc.scale)
