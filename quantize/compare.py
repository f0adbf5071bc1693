"""`python -m quantize.compare`: one float student made int8 three ways: calibrated, on labels alone, with distillation."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from distill import options
from pose import cli
from pose.errors import InputError

if TYPE_CHECKING:
    from calib_data.sources import Data
    from quantize.comparison import Comparison


def _people(
    data: list[Path] | None,
    images: list[Path] | None,
    boxes: str,
    val: Mapping[str, str],
    val_images: Mapping[str, str],
    val_boxes: Mapping[str, str],
    count: int,
    seed: int,
) -> tuple[Data, dict[str, Data]]:
    """Training people, and those of each set for validation; without `data`, drawn ones.

    Raises:
        InputError: files that are wrong, or flags that do not belong together.
    """
    from calib_data import sources
    from distill import request as requests

    for flag, names in (("--val-images", val_images), ("--val-boxes", val_boxes)):
        if unknown := set(names) - set(val):
            raise InputError(f"{flag} {min(unknown)}=...: no --val has that name")
    first = Path(next(iter(val.values()))) if val else None
    train, drawn = requests.people(data, images, None, boxes, first, _folder(val_images, next(iter(val), "")), count, seed)
    if not val:
        return train, {"drawn": drawn}
    held_out = {}
    for name, path in val.items():
        folder = _folder(val_images, name)
        held_out[name] = sources.annotated([Path(path)], [folder] if folder else [], val_boxes.get(name, boxes), split="val")
    return train, held_out


def _folder(folders: Mapping[str, str], name: str) -> Path | None:
    return Path(folders[name]) if name in folders else None


def _print(comparison: Comparison) -> None:
    from rich.table import Table

    from quantize.comparison import rows

    heads, cells = rows(comparison)
    table = Table(*heads)
    for row in cells:
        table.add_row(*row)
    cli.console().print(table)
    cli.console().print("Means over the seeds, with their 95 % intervals.")


def main(
    teacher: options.Teacher = "tokenpose_s",
    student: options.Student = "distilpose_s",
    teacher_file: options.TeacherFile = None,
    weights: options.Weights = None,
    data: options.Data = None,
    images: options.Images = None,
    boxes: options.Boxes = "annotation",
    val: Annotated[
        list[str], typer.Option(metavar="NAME=JSON", help="Held-out people; repeatable [default: drawn people].")
    ] = [],  # noqa: B006 - typer copies it
    val_images: Annotated[
        list[str], typer.Option(metavar="NAME=FOLDER", help="Of that --val [default: images beside it].")
    ] = [],  # noqa: B006
    val_boxes: Annotated[
        list[str], typer.Option(metavar="NAME=annotation|keypoints", help="Of that --val [default: --boxes].")
    ] = [],  # noqa: B006
    people: options.People = 2_000,
    recipe: options.RecipeName = "qat",
    steps: Annotated[int, typer.Option(min=1, max=10_000_000, help="Of each fine-tuning.")] = 200,
    seeds: Annotated[int, typer.Option(min=1, max=1000, help="Fine-tunings of each way: seeds 0, 1, ...")] = 3,
    calibration: Annotated[int, typer.Option(min=1, help="Crops to find the ranges on.")] = 128,
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="A folder for each program, and compare.json.")] = Path(
        "runs/compare"
    ),
    resume: options.Resume = False,
    workers: options.Workers = 0,
    json: cli.Json = None,
) -> None:
    """Compare PTQ, QAT on labels alone and QAT with the distillation losses: equal steps, several seeds, one table."""
    from distill import recipe as recipes
    from distill.request import LABELS, Request
    from pose import models
    from pose.files import write_json
    from quantize.cells import compare
    from quantize.precision import Precision

    student, teacher = models.resolve(student), models.resolve(teacher, teacher=True)
    if teacher == LABELS:
        raise InputError("--teacher labels is what the teacher is compared with; name a teacher")
    chosen = recipes.read(recipe)
    files, folders = cli.pairs("--val", val), cli.pairs("--val-images", val_images)
    kinds = cli.pairs("--val-boxes", val_boxes)
    train, held_out = _people(data, images, boxes, files, folders, kinds, people, chosen.seed)
    first = next(iter(held_out.values()))
    request = Request(out, student, teacher, teacher_file, train, first, chosen, weights, resume, workers)
    command = f"python -m quantize.compare {shlex.join(sys.argv[1:])}"
    *_, comparison = compare(request, held_out, steps, seeds, Precision(), calibration, command)
    if json:
        write_json(json, comparison.model_dump(mode="json"))
    _print(comparison)


if __name__ == "__main__":
    cli.run(
        main,
        "quantize.compare",
        "python -m quantize.compare --teacher tokenpose_s --steps 200 --seeds 3 --out runs/compare",
    )
