"""What `edge.predict` writes: images, videos, results in json. Each file is written atomically."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from edge.predict.drawing import fit
from edge.predict.sources import PHOTOS, VIDEOS, Source
from pose.errors import InputError
from pose.files import atomic_file, finite, opencv_name, require_apart, require_writable

if TYPE_CHECKING:
    from io import TextIOWrapper

CODECS = {".mp4": "mp4v", ".m4v": "mp4v", ".mov": "mp4v", ".mkv": "mp4v", ".avi": "MJPG", ".webm": "VP80"}
IMAGES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")


def result_paths(sources: Sequence[Source], out: Path | None, json_path: Path | None) -> list[Path | None]:
    """Where the drawn picture or video of each source goes; None each if nothing is drawn.

    Raises:
        InputError: a result would be written over a source, or `out` does not fit the sources, or cannot be written.
    """
    paths: list[Path | None] = [None] * len(sources)
    if out is not None:
        suffix = out.suffix.lower()
        is_file = suffix in PHOTOS + VIDEOS and not out.is_dir()
        if is_file and len(sources) > 1:
            raise InputError(f"--out {out} names one file, and there are {len(sources)} sources; name a folder")
        paths = [out if is_file else out / source.name.with_suffix(_suffix(source)) for source in sources]
        wanted = IMAGES if sources[0].kind == "photo" else tuple(CODECS)
        if is_file and suffix not in wanted:
            raise InputError(f"--out {out}: of a {sources[0].kind} the result is one of {', '.join(wanted)}, or a folder")
    written = [path for path in (*paths, json_path) if path is not None]
    require_apart(written, [Path(source.place) for source in sources if source.kind != "camera"])
    for path in written[:1]:
        require_writable(path)
    return paths


def _suffix(source: Source) -> str:
    own = source.name.suffix.lower()
    if source.kind == "photo":
        return own if own in IMAGES else ".png"
    return own if own in CODECS else ".mp4"


def save_image(path: Path, image: np.ndarray) -> None:
    """Write an RGB image uint8 [H, W, 3] in the format of its suffix.

    Raises:
        InputError: it cannot be written.
    """
    try:
        encoded = cv2.imencode(path.suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1]
    except cv2.error as error:  # sides that the format does not hold
        raise InputError(f"cannot write {path}: {image.shape[1]} x {image.shape[0]} is too large for that format") from error
    with atomic_file(path) as temporary:
        temporary.write_bytes(encoded.tobytes())


class VideoFile:
    """A video of one frame size, that of its first frame; call it with each frame uint8 [H, W, 3], RGB.

    Raises:
        InputError: it cannot be written, or the disk is full.
    """

    def __init__(self, path: Path, fps: float) -> None:
        self._path, self._fps = path, fps
        self._stack = contextlib.ExitStack()
        self._writer: cv2.VideoWriter | None = None
        self._size = (0, 0)
        self._frames = 0

    def __enter__(self) -> VideoFile:
        self._temporary = self._stack.enter_context(atomic_file(self._path))
        return self

    def __call__(self, image: np.ndarray) -> None:
        if self._writer is None:
            self._size = (image.shape[1] + 1) // 2 * 2, (image.shape[0] + 1) // 2 * 2  # codecs take even sides
            code = cv2.VideoWriter.fourcc(*CODECS[self._path.suffix.lower()])
            self._writer = cv2.VideoWriter(opencv_name(self._temporary), cv2.CAP_FFMPEG, code, self._fps, self._size)
            if not self._writer.isOpened():
                raise InputError(f"cannot write {self._path}: a video of {self._size[0]} x {self._size[1]}; choose another")
        self._writer.write(cv2.cvtColor(fit(image, *self._size), cv2.COLOR_RGB2BGR))
        self._frames += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._writer is not None:
            self._writer.release()
        if kind is None:
            try:
                self._require_whole()
            except InputError as problem:
                self._stack.__exit__(InputError, problem, None)
                raise
        self._stack.__exit__(kind, error, traceback)

    def _require_whole(self) -> None:
        """The encoder says nothing of a disk that is full: the last frame is read again.

        Raises:
            InputError: it cannot be read, or there is no frame.
        """
        if self._frames == 0:
            raise InputError(f"no frame for {self._path}; it is not written")
        capture = cv2.VideoCapture(opencv_name(self._temporary), cv2.CAP_FFMPEG)
        capture.set(cv2.CAP_PROP_POS_FRAMES, self._frames - 1)
        is_read, _ = capture.read()
        seconds = capture.get(cv2.CAP_PROP_POS_MSEC) / 1e3  # of the frame that was read: the last one there is
        capture.release()
        if not is_read or seconds < (self._frames - 2) / self._fps:
            raise InputError(f"cannot write {self._path}: its end is missing; is the disk full? free some space")


class JsonResults:
    """A list of COCO results that is written as it grows: it takes no memory."""

    def __init__(self, file: TextIOWrapper) -> None:
        self._file, self._separator = file, "["
        self.is_dropped = False  # set where nothing was predicted: the file of an earlier run stays

    def add(self, entries: list[dict[str, Any]]) -> None:
        """Append entries."""
        for entry in entries:
            self._file.write(f"{self._separator}\n{json.dumps(finite(entry), allow_nan=False)}")
            self._separator = ","

    def close(self) -> None:
        """Write the end of the list."""
        self._file.write("[]\n" if self._separator == "[" else "\n]\n")


@contextlib.contextmanager
def json_results(path: Path | None) -> Iterator[JsonResults | None]:
    """Results for a file; None without a path.

    Raises:
        InputError: it cannot be written, or the disk is full.
    """
    if path is None:
        yield None
        return
    with (
        contextlib.suppress(_DroppedError),
        atomic_file(path) as temporary,
        open(temporary, "w", encoding="utf-8") as file,
    ):
        results = JsonResults(file)
        yield results
        if results.is_dropped:
            raise _DroppedError
        results.close()


class _DroppedError(Exception):
    """Ends the block of a file that is not to be replaced."""
