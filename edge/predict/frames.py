"""Frames of photos, videos and cameras; those of videos and cameras are decoded in a second thread."""

from __future__ import annotations

import contextlib
import os
import queue
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from calib_data.photos import read_photo
from pose import cli
from pose.errors import BackendError, InputError
from pose.files import open_regular, opencv_name

if TYPE_CHECKING:
    import cv2
    import numpy as np

    from edge.predict.sources import Source

AHEAD = 4  # frames of a video that are decoded before they are needed
LARGEST_FRAME = 1 << 26  # pixels, of 8192 x 8192: a GIF of 1 KB may have 16,000 x 16,000
_LARGE = 1 << 23  # pixels, of 4K video: of larger frames one is decoded ahead
TIMEOUT_MS = 10_000  # for a network camera to answer
FASTEST = 240.0  # frames a second: what a container says beyond that is wrong
_USUAL_FPS = 25.0
_LIST = b"ffconcat"  # how a file begins by which FFmpeg reads the files that it names
_CUT = 0.9  # share of the frames that the container promises; containers of some cameras promise a few too many


@dataclass(frozen=True)
class Frame:
    """One picture of a source.

    Attributes:
        image: uint8 [H, W, 3], RGB.
        number: from 0.
        seconds: since the first frame, by the frame rate.
    """

    image: np.ndarray
    number: int
    seconds: float


class Stream:
    """The frames of one source; a context manager, which ends the thread and frees the device.

    Args:
        read: the pixels of a photo; default those that viewers show.

    Attributes:
        fps: of a video or camera.
        total: number of frames that are expected, None if it is not known.
        truncated: set at the end: a video ended before its container says.

    Raises:
        InputError: it is no photo and no video, or its frames are larger than `LARGEST_FRAME`.
        BackendError: no such camera, or it does not answer.
    """

    def __init__(self, source: Source, read: Callable[[Source], np.ndarray] | None = None) -> None:
        self.source, self.fps, self.total, self.truncated = source, _USUAL_FPS, None, False
        self._photo: np.ndarray | None = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        if source.kind == "photo":
            self.total = 1
            self._photo = read(source) if read is not None else read_photo(Path(source.place), as_shown=True)
            return
        self._capture = _open(source)
        import cv2

        pixels = self._capture.get(cv2.CAP_PROP_FRAME_WIDTH) * self._capture.get(cv2.CAP_PROP_FRAME_HEIGHT)
        if pixels > LARGEST_FRAME:
            self._capture.release()
            raise InputError(f"{source.place} has frames of more than {LARGEST_FRAME} pixels; make them smaller")
        is_one = source.kind == "camera" or pixels > _LARGE
        self._frames: queue.Queue[np.ndarray | None] = queue.Queue(maxsize=1 if is_one else AHEAD)
        fps, count = self._capture.get(cv2.CAP_PROP_FPS), self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        self.fps = fps if 0 < fps <= FASTEST else _USUAL_FPS
        self.total = int(count) if source.kind == "video" and 0 < count < 1e9 else None
        self._thread = threading.Thread(target=self._decode, daemon=True)
        self._thread.start()

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        if self._thread is not None:
            while self._thread.is_alive():
                with contextlib.suppress(queue.Empty):
                    self._frames.get_nowait()
                self._thread.join(0.01)
            self._capture.release()

    def __iter__(self) -> Iterator[Frame]:
        """Every frame once.

        Raises:
            InputError: a video has no frame that can be decoded.
            BackendError: a camera gives no picture.
        """
        if self._photo is not None:
            yield Frame(self._photo, 0, 0.0)
            return
        number = 0
        while (image := self._frames.get()) is not None:
            yield Frame(image, number, number / self.fps)
            number += 1
        if number == 0 and self.source.kind == "video":
            raise InputError(f"video {self.source.place} holds no frame that can be decoded; is it truncated?")
        if number == 0:
            raise BackendError(f"camera {self.source.place} gives no picture; is another program using it?")
        self.truncated = self.total is not None and number < _CUT * self.total - 1

    def _decode(self) -> None:
        import cv2

        while not self._stop.is_set():
            with contextlib.suppress(cv2.error):  # of a damaged frame: the video ends there
                is_read, image = self._capture.read()
                if is_read and image.shape[0] * image.shape[1] <= LARGEST_FRAME:
                    self._put(cv2.cvtColor(image, cv2.COLOR_BGR2RGB))
                    continue
            break
        self._put(None)

    def _put(self, image: np.ndarray | None) -> None:
        """Wait for room in the queue; a live picture replaces the one that nobody has taken yet."""
        while not self._stop.is_set():
            try:
                self._frames.put(image, timeout=0.1)
                return
            except queue.Full:
                if self.source.kind == "camera" and image is not None:
                    with contextlib.suppress(queue.Empty):
                        self._frames.get_nowait()


def _open(source: Source) -> cv2.VideoCapture:
    if source.kind == "video":
        with open_regular(Path(source.place), sys.maxsize) as file:  # a pipe would be waited for
            if file.read(len(_LIST)) == _LIST:
                raise InputError(f"{source.place} is a list that names other files, and no video; name the videos")
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # a broken file is reported below, in one line
    import cv2

    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, TIMEOUT_MS, cv2.CAP_PROP_READ_TIMEOUT_MSEC, TIMEOUT_MS]
    with cli.quiet():
        if source.kind == "video":
            name = opencv_name(Path(source.place).absolute())  # otherwise 12:30.mp4 has the protocol 12
            capture = cv2.VideoCapture(name, cv2.CAP_FFMPEG)
        elif source.place.isdecimal():
            capture = cv2.VideoCapture(int(source.place))
        else:
            capture = cv2.VideoCapture(opencv_name(source.place), cv2.CAP_FFMPEG, limits)
    if capture.isOpened():
        return capture
    if source.kind == "video":
        raise InputError(f"{source.place} is not a video that can be decoded (truncated, or no video); fetch it again")
    raise BackendError(f"no camera {source.place}: it cannot be opened; check its number or address, and that it is free")
