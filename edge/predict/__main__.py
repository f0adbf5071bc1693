"""`python -m edge.predict`: the people of your photo, video or camera, drawn and as COCO results."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Unpack

import typer

from calib_data import flags
from pose import cli
from pose.errors import BackendError, InputError, UserError

if TYPE_CHECKING:
    import numpy as np
    from starlette.applications import Starlette

    from calib_data.coco import Reading
    from edge.predict.estimator import Estimator
    from edge.predict.people import Finder
    from edge.predict.session import Summary
    from edge.predict.sources import Source
    from pose.card import Precision
    from pose.poses import Poses

_OUT = Path("predictions")
_NAMED = 10  # failed sources that are named at the end


def main(
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SOURCE...", help="Photos, folders, patterns, videos, cameras (0, rtsp://...), - for a list."
        ),
    ] = None,
    artefact: Annotated[
        str | None,
        typer.Option(metavar="FILE|NAME", help="An artefact, a program, or a bundled student [default: distilpose_edge]."),
    ] = None,
    target: Annotated[
        str | None, typer.Option(help="Target of a bundled student, which is lowered once and cached.")
    ] = None,
    boxes: Annotated[
        str,
        typer.Option(
            metavar="track|whole|JSON",
            help="Find one person and follow them, take the whole picture as one person, or read annotated boxes.",
        ),
    ] = "track",
    detector: Annotated[
        Path | None,
        typer.Option(metavar="YAML", help="Find several people with any ONNX or TFLite detector, see docs/detectors.md."),
    ] = None,
    category: flags.Category = None,
    exif: flags.Exif = None,
    smooth: Annotated[bool, typer.Option("--smooth/--no-smooth", help="Filter the keypoints of a video over time.")] = True,
    compare: Annotated[
        Literal["fp32", "fp16", "int8"] | None,
        typer.Option(help="Draw this precision beside, with the pixels between both; switches smoothing off."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE|FOLDER", help="Where to draw [default: the folder predictions, without --json and --show]."
        ),
    ] = None,
    json: cli.Json = None,
    show: Annotated[bool, typer.Option("--show", help="Draw in a window; q ends.")] = False,
    serve: Annotated[
        bool, typer.Option("--serve", help="Start a page to try photos and the camera of the browser.")
    ] = False,
    host: Annotated[
        str, typer.Option(help="Address of the page; 0.0.0.0 lets every machine that reaches this one use it.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the page; 0 takes a free one.")] = 8000,
    threads: cli.Threads = 1,
) -> None:
    """Find the keypoints of people in photos, videos and cameras; draw them, write them, and say how fast it was."""
    from edge.predict.detector import Detector
    from edge.predict.outputs import result_paths
    from edge.predict.people import Detected
    from edge.predict.session import Session, Twin
    from edge.predict.sources import find_sources
    from edge.predict.student import artefact_path, open_estimator, twin_path

    if serve:
        _serve(sources, artefact, target, detector, host, port, threads)
        return
    named = find_sources(sources or [])
    if out is None and json is None and not show:
        out = _OUT
    paths = result_paths(named, out, json)
    path = artefact_path(artefact, target)
    window = None
    if show:
        from edge.predict.window import open_window

        window = open_window(is_photo=all(source.kind == "photo" for source in named))
    estimator = open_estimator(path, threads)
    twin = None
    if compare is not None:
        other = twin_path(path, compare)
        if other == path:
            raise InputError(f"--compare {compare}: {path} is {compare} itself; compare another precision")
        twin = Twin(compare, open_estimator(other, threads), _precision(path))
    smooth = smooth and compare is None
    if boxes in ("track", "whole") and (category is not None or exif is not None):
        raise InputError("--category and --exif are of annotated boxes; give their file with --boxes, or leave them out")
    if detector is None:
        finder = _finder(boxes, estimator, named, smooth=smooth, category=category, exif=exif)
    elif boxes == "track":
        finder = Detected(estimator, Detector(detector, threads), smooth=smooth)
    else:
        raise InputError(f"--detector and --boxes {boxes} both say whose box is taken; choose one")
    summary = Session(finder, estimator, twin, window).run(named, paths, json)
    _print(summary, path)
    if out is not None and summary.frames:
        cli.console().print(f"drawn: {paths[0] if len(named) == 1 else out}", markup=False)
    _finish(summary, named)


def _serve(
    sources: list[str] | None,
    artefact: str | None,
    target: str | None,
    detector: Path | None,
    host: str,
    port: int,
    threads: int,
) -> None:
    import numpy as np

    from edge.predict import server
    from edge.predict.detector import Detector
    from edge.predict.student import artefact_path, open_estimator, twin_path
    from edge.predict.tracking import Search
    from pose.poses import no_poses

    if sources:
        raise InputError("--serve takes its photos from the browser; leave the sources out")
    path = artefact_path(artefact, target)
    estimator = open_estimator(path, threads)
    estimators: dict[str, Estimator] = {_precision(path): estimator}
    try:
        estimators = {"fp32": open_estimator(twin_path(path, "fp32"), threads), **estimators}
    except UserError as error:
        cli.note(f"note: the page shows {_precision(path)} only: {error}")
    for one in estimators.values():
        one(np.zeros((8, 8, 3), np.uint8))  # the first inference takes longer
    skeleton = estimator.skeleton
    detect = None if detector is None else Detector(detector, threads)

    def find(image: np.ndarray) -> Poses:
        if detect is not None:
            return estimator(image, detect(image))
        return Search(estimator).everywhere(image) or no_poses(skeleton)

    def build(hosts: frozenset[str]) -> Starlette:
        return server.application(find, estimators, hosts, skeleton.edges.tolist())

    server.serve(build, host, port, lambda address: cli.note(f"{address} (Ctrl-C ends)"))


def _precision(path: Path) -> Precision:
    from pose import card as cards
    from pose.program import graph_name

    if path.suffix == ".pt2" or path.is_dir():
        return "fp32" if path.name == graph_name("fp32") else "int8"
    return cards.read(cards.card_path(path)).precision or "int8"


def _finder(
    boxes: str, estimator: Estimator, named: Sequence[Source], *, smooth: bool, **reading: Unpack[Reading]
) -> Finder:
    from edge.predict.people import Annotated as AnnotatedBoxes
    from edge.predict.people import Tracked, Whole

    if boxes == "track":
        return Tracked(estimator, smooth=smooth)
    if boxes == "whole":
        return Whole(estimator)
    if any(source.kind != "photo" for source in named):
        raise InputError(f"--boxes {boxes} is for photos; for a video or camera leave it out, or use --boxes whole")
    return AnnotatedBoxes(estimator, Path(boxes), named, **reading)


def _print(summary: Summary, path: Path) -> None:
    import numpy as np

    out, seconds, frames = cli.console(), summary.seconds, summary.frames
    if not frames:
        return
    ms = {name: 1e3 * seconds[name] / frames for name in ("crop", "model", "draw")}
    nobody = f", nobody in {summary.empty}" if summary.empty else ""
    counts = f"{frames} frame{'s' * (frames != 1)}, {summary.people} {'person' if summary.people == 1 else 'people'}"
    out.print(f"{counts}{nobody}; {path.name}", markup=False)
    out.print(
        f"{frames / seconds['total']:.1f} frames a second; ms a frame: pre-processing {ms['crop']:.2f}, model "
        f"{ms['model']:.2f}; drawing, in a second thread, {ms['draw']:.2f}"
    )
    if summary.distances:
        distances = np.concatenate(summary.distances)
        median, p99 = np.percentile(distances, (50, 99))
        out.print(f"px of the image between the two: median {median:.2f}, p99 {p99:.2f}, largest {distances.max():.2f}")


def _finish(summary: Summary, named: Sequence[Source]) -> None:
    """Raises the error that the exit code is made of, if any."""
    if summary.failed:
        for source, error in summary.failed[:_NAMED] if len(named) > 1 else []:
            cli.note(f"{source.name}: {error}")
        errors = [error for _, error in summary.failed]
        kind: type[UserError] = BackendError if all(isinstance(error, BackendError) for error in errors) else InputError
        first, reason = summary.failed[0]
        if len(named) == 1:
            raise kind(str(reason) if first.place in str(reason) else f"{first.name}: {reason}")
        raise kind(f"{len(errors)} of {len(named)} sources failed, the first is {first.name}; the others are done")
    if summary.interrupted and any(source.kind != "camera" for source in named):
        cli.note(f"{summary.frames} frames were done; what is written ends there")
        raise KeyboardInterrupt


if __name__ == "__main__":
    cli.run(main, "edge.predict", "python -m edge.predict photo.jpg holiday.mp4 --out drawn --json keypoints.json")
