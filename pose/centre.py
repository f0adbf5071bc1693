"""MoveNet's decoding: maps of everybody's joints, and of person centres, -> the keypoints of the person in the middle.

The networks that are published do this in their graph; files that are quantized for a phone often end at the maps. The order
of the steps and the constants are those of the graphs of MoveNet single pose v4 (Lightning and Thunder):

1. the cell of the highest centre score / (distance from the middle of the grid + softening) is the person;
2. the displacements there lead to a coarse keypoint of each joint;
3. the cell of the highest heatmap / (distance from the coarse keypoint + softening) is the joint, moved by its offset.

`pose.models.gated` is the same in operators that train.
"""

from __future__ import annotations

import numpy as np

SOFTENING = 1.8  # cells


def keypoints(
    heatmaps: np.ndarray, centres: np.ndarray, displacements: np.ndarray, offsets: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates float32 [N, K, 2], (x, y) in 0..1 of the crop, and scores float32 [N, K].

    Args:
        heatmaps: float [N, h, w, K], in 0..1.
        centres: float [N, h, w], in 0..1.
        displacements: float [N, h, w, K, 2], (x, y) in cells, from a person's centre to the joints.
        offsets: float [N, h, w, K, 2], (x, y) in cells, from a joint's cell to the joint.
    """
    count, height, width, joints = heatmaps.shape
    rows, columns = np.arange(height, dtype=np.float32)[:, None], np.arange(width, dtype=np.float32)
    from_middle = np.hypot(columns - width / 2, rows - height / 2) + SOFTENING
    person = (centres / from_middle).reshape(count, -1).argmax(1)
    y, x = np.unravel_index(person, (height, width))
    people = np.arange(count)
    coarse = displacements[people, y, x] + np.stack([x, y], -1)[:, None]
    squares = (columns - coarse[..., :1]) ** 2, (rows[:, 0] - coarse[..., 1:]) ** 2  # [N, K, w], [N, K, h]
    distance = np.sqrt(squares[1][..., :, None] + squares[0][..., None, :]) + SOFTENING
    maps = heatmaps.transpose(0, 3, 1, 2)
    cell = (maps / distance).reshape(count, joints, -1).argmax(2)
    v, u = np.unravel_index(cell, (height, width))
    one, joint = people[:, None], np.arange(joints)
    places = offsets[one, v, u, joint] + np.stack([u, v], -1)
    return (places / (width, height)).astype(np.float32), maps[one, joint, v, u].astype(np.float32)
