"""`python -m edge.demo`: the last step of `make demo`: one table of what it measured, one picture of poses."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pose import cli

if TYPE_CHECKING:
    import numpy as np

    from edge.evaluate.demo import DemoRow

PEOPLE, COLUMNS = 8, 4


def picture(artefact: Path, seed: int) -> np.ndarray:
    """Drawn people with the poses of the float twin (left of each pair) and of the artefact (right), uint8 [H, W, 3] RGB.

    Raises:
        InputError, BackendError: see `edge.dist.Artefact`.
    """
    from calib_data.synthetic import SyntheticPeople
    from edge import dist, run
    from pose.draw import contact_sheet, draw_pose

    int8 = dist.find(artefact)
    runners = [int8.twin("fp32").open(), int8.open()]
    joints = int8.card.skeleton
    tiles = []
    people = SyntheticPeople(PEOPLE, seed)
    for index in range(PEOPLE):
        image, box = people.image(index), people.labels(index).box
        for runner in runners:
            points, _ = run.keypoints(runner, image, box)
            tiles.append(draw_pose(image, points, joints))  # every joint: low scores are part of the result
    return contact_sheet(tiles, 2 * COLUMNS)


def _print(rows: list[DemoRow]) -> None:
    from rich.table import Table

    table = Table("student", "AP", "PCK@0.2", "px from fp32, median", "p99", "ms, p50", "MB")
    for row in rows:
        scores = ["n/a" if value is None else f"{value:.1f}" for value in (row.ap, row.pck)]
        pixels = [f"{row.keypoint_px.median:.2f}", f"{row.keypoint_px.p99:.2f}"] if row.keypoint_px else ["", ""]
        time = "" if row.latency_ms is None else f"{row.latency_ms:.1f}"
        table.add_row(row.name, *scores, *pixels, time, "" if row.bytes is None else f"{row.bytes / 1e6:.1f}")
    cli.console().print(table)
    cli.console().print(f"{rows[0].persons} drawn people. Both int8 students are the same operators: one is timed.")


def main(
    run: Annotated[Path, typer.Option(metavar="FOLDER", help="What the steps before wrote: ptq and qat.")] = Path(
        "runs/demo"
    ),
    out: Annotated[
        Path | None, typer.Option(metavar="PNG", help="[default: poses.png in that folder]"), cli.Writes()
    ] = None,
    json: cli.Json = None,
    seed: cli.Seed = 1_000_000,
) -> None:
    """Print the demo's table (fp32, PTQ, QAT + distillation: accuracy, latency) and draw poses, fp32 beside int8."""
    from edge.dist import Dist
    from edge.evaluate.demo import Demo, collect
    from edge.predict.outputs import save_image
    from pose.files import write_json

    rows = collect(run)
    poses = out or run / "poses.png"
    save_image(poses, picture(Dist(run / "qat" / "dist").latest().path, seed))
    if json:
        write_json(json, Demo(rows=rows, picture=str(poses)).as_json())
    _print(rows)
    cli.console().print(f"Poses, fp32 left and int8 right of each pair: {poses}")


if __name__ == "__main__":
    cli.run(main, "edge.demo", "python -m edge.demo --run runs/demo")
