"""A window for drawn frames, where OpenCV has windows and there is a display."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

import cv2
import numpy as np

from pose.errors import InputError

_END = (ord("q"), 27)  # q and Escape
_TITLE = "edge.predict"
_WAIT_MS = {True: 0, False: 1}  # for a key: after a photo, and after a frame of a video


def open_window(*, is_photo: bool) -> Callable[[np.ndarray], bool]:
    """A function that shows an image uint8 [H, W, 3], RGB, and returns False once q or Escape is pressed.

    Args:
        is_photo: it waits for a key after each image.

    Raises:
        InputError: there is no display, or this OpenCV has no windows.
    """
    instead = "write files with --out instead"
    if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        raise InputError(f"--show: there is no display; {instead}")
    if "GUI:                           NONE" in cv2.getBuildInformation():
        raise InputError(f"--show: opencv-python-headless has no windows; pip install opencv-python, or {instead}")

    def show(image: np.ndarray) -> bool:
        cv2.imshow(_TITLE, cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
        return (cv2.waitKey(_WAIT_MS[is_photo]) & 0xFF) not in _END

    return show
