"""The One Euro filter (Casiez, Roussel and Vogel, CHI 2012): a low-pass filter whose cutoff rises with the speed."""

from __future__ import annotations

import numpy as np

# Chosen on a drawn person, filmed still and walking with a camera's noise: jitter a third, lag under two frames.
CUTOFF = 0.4  # Hz, of what does not move
SPEED = 17.0  # Hz of cutoff for each body size a second
SPEED_CUTOFF = 1.0  # Hz, of the speed itself


class OneEuro:
    """Filters the keypoints of one person; call it once a frame.

    Args:
        fps: frames a second.
    """

    def __init__(self, fps: float) -> None:
        self._fps = fps
        self._last: np.ndarray | None = None
        self._raw = self._speed = np.zeros(0)

    def __call__(self, points: np.ndarray, size: float) -> np.ndarray:
        """Points float64 [K, 2] of the next frame, filtered.

        Args:
            size: of the person in the same unit, by which speeds are measured; above 0.
        """
        if self._last is None:
            self._last, self._raw, self._speed = points, points, np.zeros_like(points)
            return points
        change = (points - self._raw) * self._fps / size
        self._raw = points
        self._speed = self._speed + self._share(np.array(SPEED_CUTOFF)) * (change - self._speed)
        cutoff = CUTOFF + SPEED * np.linalg.norm(self._speed, axis=-1, keepdims=True)
        self._last = self._last + self._share(cutoff) * (points - self._last)
        return self._last

    def _share(self, cutoff: np.ndarray) -> np.ndarray:
        """How much of the difference to the last value is taken over, for a cutoff in Hz."""
        return 1 / (1 + self._fps / (2 * np.pi * cutoff))
