"""The loop: frames in, poses, drawn frames and results out. Drawing and writing have a thread of their own."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edge.predict.background import Background
from edge.predict.drawing import draw, draw_both
from edge.predict.frames import Frame, Stream
from edge.predict.interrupts import deferred_interrupts
from edge.predict.outputs import JsonResults, VideoFile, json_results, save_image
from edge.predict.people import Annotated, apart
from pose import cli
from pose.errors import InputError, UserError

if TYPE_CHECKING:
    from edge.predict.estimator import Estimator
    from edge.predict.people import Finder
    from edge.predict.sources import Source
    from pose.poses import Poses

_KEPT = 1_000_000  # distances between two answers: those of later frames are not in the summary

Sink = Callable[[np.ndarray], None]  # takes a drawn frame


@dataclass
class Summary:
    """What a run did.

    Attributes:
        frames, people, empty: number of frames, of people in them, and of frames without anybody.
        seconds: `total` by the clock; of it `crop` and `model` in the main thread; `draw` in the other one.
        distances: float64 arrays, pixels of the image between the two answers of `--compare`.
        failed: sources that could not be read to their end or drawn, and why.
        interrupted: by Ctrl-C, or by closing the window, before the last source was done.
    """

    frames: int = 0
    people: int = 0
    empty: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    distances: list[np.ndarray] = field(default_factory=list)
    failed: list[tuple[Source, UserError]] = field(default_factory=list)
    interrupted: bool = False


@dataclass(frozen=True)
class Twin:
    """The other precision that is drawn beside: its name and estimator, and the name of the one it is compared with."""

    name: str
    estimator: Estimator
    other: str


class Session:
    """Predicts the people of sources.

    Args:
        finder: of the people of a frame.
        estimator: the finder's own; it keeps the times.
        twin: draws two precisions side by side.
        window: shows a drawn frame; False from it ends the run.
    """

    def __init__(
        self,
        finder: Finder,
        estimator: Estimator,
        twin: Twin | None = None,
        window: Callable[[np.ndarray], bool] | None = None,
    ) -> None:
        self._finder, self._estimator, self._twin, self._window = finder, estimator, twin, window
        self._summary, self._background = Summary(), Background()
        self._end = threading.Event()  # the user has enough: set by Ctrl-C, or by the window

    def run(self, sources: Sequence[Source], paths: Sequence[Path | None], json_path: Path | None = None) -> Summary:
        """Predict every source in turn. One that fails is named in the summary, and the others go on.

        After Ctrl-C, or when the window is closed, what was done until then is written.

        Args:
            paths: of the drawn result of each source; None where nothing is drawn.
            json_path: of the keypoints in COCO's results format.

        Raises:
            InputError: the json cannot be written.
        """
        start, summary = time.perf_counter(), self._summary
        several = len(sources) > 1
        with json_results(json_path) as results, deferred_interrupts() as interrupted, contextlib.ExitStack() as stack:
            self._end = interrupted
            step = stack.enter_context(cli.progress("Predicting", len(sources))) if several else None
            for done, (source, path) in enumerate(zip(sources, paths, strict=True), 1):
                try:
                    self._predict(source, path, results, has_bar=not several)
                except UserError as error:
                    summary.failed.append((source, error))
                if self._end.is_set():
                    break
                if step is not None:
                    step(done)
            self._background.wait()
            if results is not None:
                results.is_dropped = not summary.frames
        summary.interrupted = self._end.is_set()
        summary.seconds = {
            "total": time.perf_counter() - start,
            **self._estimator.seconds,
            "draw": self._background.seconds,
        }
        return summary

    def _predict(self, source: Source, path: Path | None, results: JsonResults | None, *, has_bar: bool) -> None:
        read = self._finder.photo if isinstance(self._finder, Annotated) else None
        with Stream(source, read) as stream, self._sink(stream, path) as sink:
            self._finder.start(stream)
            with contextlib.ExitStack() as stack:
                show_step = has_bar and source.kind == "video" and stream.total is not None
                step = stack.enter_context(cli.progress("Predicting", stream.total or 0)) if show_step else None
                for frame in stream:
                    self._predict_frame(source, frame, sink, results)
                    if step is not None:
                        step(frame.number + 1)
                    if self._end.is_set():
                        break
        if stream.truncated:
            raise InputError("it ends before its last frame: it is truncated; what could be decoded is done")

    def _predict_frame(self, source: Source, frame: Frame, sink: Sink | None, results: JsonResults | None) -> None:
        summary = self._summary
        poses = self._finder.find(frame)
        named = {}
        if self._twin is not None:
            beside = self._twin.estimator(frame.image, poses.boxes)
            named = {self._twin.name: beside, self._twin.other: poses}
            if sum(map(len, summary.distances)) < _KEPT and len(poses):
                summary.distances.append(apart(beside, poses))
        summary.frames += 1
        summary.people += len(poses)
        summary.empty += not len(poses)
        if results is not None:
            image_ids = [summary.frames] * len(poses)
            if isinstance(self._finder, Annotated):
                image_ids = self._finder.image_ids
            place: dict[str, Any] = {"file_name": source.own_name}
            if source.kind != "photo":
                place |= {"frame": frame.number, "seconds": round(frame.seconds, 6)}
            self._background(partial(_add_entries, results, poses, image_ids, place))
        if sink is not None:
            self._background(partial(self._draw, source, frame.image, poses, named, sink))

    def _draw(self, source: Source, image: np.ndarray, poses: Poses, named: dict[str, Poses], sink: Sink) -> None:
        try:
            sink(draw_both(image, named) if named else draw(image, poses))
        except UserError as error:
            if not any(failed is source for failed, _ in self._summary.failed):
                self._summary.failed.append((source, error))

    @contextlib.contextmanager
    def _sink(self, stream: Stream, path: Path | None) -> Iterator[Sink | None]:
        """Where drawn frames go; a video is whole at the end of the block."""
        sinks: list[Sink] = [] if self._window is None else [self._show]
        if path is None or stream.source.kind == "photo":
            if path is not None:
                sinks.append(partial(save_image, path))
            yield _all_of(sinks)
            return
        with VideoFile(path, stream.fps) as video:
            yield _all_of([*sinks, video])
            self._background.wait()

    def _show(self, image: np.ndarray) -> None:
        assert self._window is not None
        if not self._window(image):
            self._end.set()


def _add_entries(results: JsonResults, poses: Poses, image_ids: Sequence[int], place: dict[str, Any]) -> None:
    entries = zip(poses.to_coco(), image_ids, strict=True)
    results.add([{**entry, "image_id": image_id, **place} for entry, image_id in entries])


def _all_of(sinks: list[Any]) -> Sink | None:
    """One sink for all; None if there is none."""

    def take(image: np.ndarray) -> None:
        for sink in sinks:
            sink(image)

    return take if sinks else None
