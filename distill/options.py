"""The flags that `distill.student`, `distill.teacher` and `quantize.qat` share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from distill.run_files import RUN_FILES
from pose import cli

Student = Annotated[
    str, typer.Option(metavar="NAME|FILE.py:FACTORY", help="distilpose_s, distilpose_l, distilpose_edge, or your own.")
]
SkeletonFile = Annotated[
    str | None, typer.Option("--skeleton", metavar="NAME|YAML", help="Joints of --data [default: those its category names].")
]
Teacher = Annotated[str, typer.Option(metavar="NAME|YAML", help="tokenpose_l, hrnet_w32, ..., your own YAML, or labels.")]
TeacherFile = Annotated[
    Path | None, typer.Option(metavar="FILE", help="The teacher's weights [default: bundled, else fitted first].")
]
Data = Annotated[list[Path] | None, typer.Option(metavar="JSON", help="COCO keypoints; repeatable [default: drawn people].")]
Images = Annotated[
    list[Path] | None, typer.Option(metavar="FOLDER", help="One for each --data [default: images beside it].")
]
Boxes = Annotated[str, typer.Option(metavar="annotation|keypoints", help="Boxes of --data and --val.")]
ValImages = Annotated[Path | None, typer.Option(metavar="FOLDER", help="Of --val [default: images beside it].")]
Validation = Annotated[Path | None, typer.Option("--val", metavar="JSON", help="Held-out people [default: drawn people].")]
People = Annotated[int, typer.Option(min=1, max=100_000_000, help="Drawn people to train on, without --data.")]
RecipeName = Annotated[str, typer.Option("--recipe", metavar="NAME|YAML", help="How to train; see distill/recipes.")]
Epochs = Annotated[float | None, typer.Option(min=1e-6, max=1e6, help="Passes over the data, instead of the recipe's.")]
Seed = Annotated[int | None, typer.Option(min=0, max=2**63 - 1, help="Of everything random [default: the recipe's].")]
Weights = Annotated[Path | None, typer.Option(metavar="FILE", help="Where training starts.")]
Out = Annotated[
    Path,
    typer.Option(metavar="FOLDER", help="The run's folder."),
    cli.Writes(lambda folder: [folder / name for name in RUN_FILES], resumed=True),
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")]
Workers = Annotated[int, typer.Option(min=0, max=256, help="Processes that make crops.")]
