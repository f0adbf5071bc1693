"""The flags about reading people that commands share: those of one file, of `calib_data`; then those of all commands."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

File = Annotated[Path, typer.Argument(metavar="FILE", help="COCO keypoints, or a data.yaml of YOLO-pose.")]
Images = Annotated[Path | None, typer.Option(metavar="FOLDER", help="[default: the folder images beside the file]")]
SkeletonName = Annotated[str | None, typer.Option(metavar="NAME|YAML", help="Its joints [default: those that it names].")]
Boxes = Annotated[str, typer.Option(metavar="annotation|keypoints|JSON", help="Boxes of the people.")]

Category = Annotated[str | None, typer.Option(metavar="NAME|ID", help="The category to read, where the file has several.")]
Exif = Annotated[
    Literal["apply", "ignore"] | None,
    typer.Option(help="Whether the annotations fit the photos turned by their EXIF orientation, where sizes do not tell."),
]
Strict = Annotated[bool, typer.Option("--strict", help="Refuse a file with annotations that would be left out or changed.")]
