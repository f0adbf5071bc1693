"""`python -m edge.demo`: the last step of `make demo`: one table of what it measured, one picture of poses."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pose import cli

if TYPE_CHECKING:
    import numpy as np

PEOPLE, COLUMNS = 8, 4
KINDS = {"ptq": "int8, PTQ", "qat": "int8, QAT + distillation"}  # folders that the steps before write
TIMED = "qat"


def collect(folder: Path) -> list[dict[str, Any]]:
    """Rows of the table: the float student, then each kind of int8 student, as lowered.

    Args:
        folder: holds `KINDS`, each with the `check.json` that the command wrote, and `TIMED` with a `bench.json`, too: the
            other is the same operators with other weights.

    Raises:
        InputError: a file is missing or is not what the command writes.
    """
    from pose.errors import InputError
    from pose.files import read_json

    rows = []
    checks = {kind: read_json(folder / kind / "check.json") for kind in KINDS}
    bench = read_json(folder / TIMED / "bench.json")
    try:
        times = {precision: bench["devices"][0][precision]["latency_ms"]["p50"] for precision in ("fp32", "int8")}
        scored = [("fp32", checks[TIMED]["fp32"], times["fp32"], checks[TIMED]["float_twin"]["bytes"])]
        for kind, name in KINDS.items():
            time = times["int8"] if kind == TIMED else None
            scored.append((name, checks[kind]["lowered"], time, checks[kind]["bytes"]))
        for name, column, time, size in scored:
            row = {figure: column[figure] for figure in ("ap", "pck", "keypoint_px", "persons")}
            rows.append({"name": name, **row, "latency_ms": time, "bytes": size})
    except (IndexError, KeyError, TypeError) as error:
        raise InputError(f"{folder}: a check.json or bench.json lacks {error}; run make demo again") from error
    return rows


def picture(artefact: Path, seed: int) -> np.ndarray:
    """Drawn people with the poses of the float twin (left of each pair) and of the artefact (right), uint8 [H, W, 3] RGB.

    Raises:
        InputError, BackendError: see `edge.run.open` and `edge.run.twin`.
    """
    from calib_data.synthetic import SyntheticPeople
    from edge import run
    from pose.draw import contact_sheet, draw_pose

    runners = [run.open(run.twin(artefact, "fp32")), run.open(artefact)]
    joints = runners[0].card.skeleton
    tiles = []
    people = SyntheticPeople(PEOPLE, seed)
    for sample in map(people.__getitem__, range(PEOPLE)):
        for runner in runners:
            points, _ = run.keypoints(runner, sample.image, sample.box)
            tiles.append(draw_pose(sample.image, points, joints))  # every joint: low scores are part of the result
    return contact_sheet(tiles, 2 * COLUMNS)


def save_png(path: Path, image: np.ndarray) -> None:
    """Write an RGB image as PNG, whole or not at all."""
    import cv2

    from pose.files import whole

    encoded = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1]
    with whole(path) as temporary:
        temporary.write_bytes(encoded.tobytes())


def _print(rows: list[dict[str, Any]]) -> None:
    from rich.table import Table

    table = Table("student", "AP", "PCK@0.2", "px from fp32, median", "p99", "ms, p50", "MB")
    for row in rows:
        score = [f"{row[k]:.1f}" if row[k] is not None else "n/a" for k in ("ap", "pck")]
        far = [f"{row['keypoint_px'][k]:.2f}" for k in ("median", "p99")]
        time = "" if row["latency_ms"] is None else f"{row['latency_ms']:.1f}"
        table.add_row(row["name"], *score, *far, time, f"{row['bytes'] / 1e6:.1f}")
    cli.console().print(table)
    cli.console().print(f"{rows[0]['persons']} drawn people. Both int8 students are the same operators: one is timed.")


def main(
    run: Annotated[Path, typer.Option(metavar="FOLDER", help="What the steps before wrote: ptq and qat.")] = Path(
        "runs/demo"
    ),
    out: Annotated[Path | None, typer.Option(metavar="PNG", help="[default: poses.png in that folder]")] = None,
    json: cli.Json = None,
    seed: cli.Seed = 1_000_000,
) -> None:
    """Print the demo's table (fp32, PTQ, QAT + distillation: accuracy, latency) and draw poses, fp32 beside int8."""
    from edge.run import latest
    from pose.files import write_json

    rows = collect(run)
    poses = out or run / "poses.png"
    save_png(poses, picture(latest(run / "qat" / "dist"), seed))
    _print(rows)
    cli.console().print(f"Poses, fp32 left and int8 right of each pair: {poses}")
    if json:
        write_json(json, {"rows": rows, "picture": str(poses)})


if __name__ == "__main__":
    cli.run(main, "edge.demo", "python -m edge.demo --run runs/demo")
