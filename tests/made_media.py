"""Pictures and videos made for tests."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np


def picture(seed: int = 0, width: int = 96, height: int = 64) -> np.ndarray:
    """Coloured blotches, uint8 [H, W, 3]."""
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 6, 3), np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def write_video(path: Path, frames: Iterable[np.ndarray], fps: float = 25.0) -> Path:
    """A video of RGB frames of one size."""
    writer = None
    for frame in frames:
        if writer is None:
            code = cv2.VideoWriter.fourcc(*("MJPG" if path.suffix == ".avi" else "mp4v"))
            writer = cv2.VideoWriter(str(path), code, fps, (frame.shape[1], frame.shape[0]))
        writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
    assert writer is not None
    writer.release()
    return path


def write_stream(path: Path, frames: Iterable[np.ndarray]) -> Path:
    """RGB frames as a stream of JPEGs, one behind the other, as Chromium reads for its made camera."""
    path.write_bytes(b"".join(cv2.imencode(".jpg", cv2.cvtColor(one, cv2.COLOR_RGB2BGR))[1].tobytes() for one in frames))
    return path


def read_video(path: Path) -> list[np.ndarray]:
    """The RGB frames of a video that can be played."""
    capture = cv2.VideoCapture(str(path))
    assert capture.isOpened(), path
    frames = []
    while True:
        is_read, frame = capture.read()
        if not is_read:
            return frames
        frames.append(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB))
