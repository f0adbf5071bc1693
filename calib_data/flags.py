"""The flags about reading people that commands of `distill`, `quantize` and `edge` share."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

Category = Annotated[str | None, typer.Option(metavar="NAME|ID", help="The category to read, where the file has several.")]
Exif = Annotated[
    Literal["apply", "ignore"] | None,
    typer.Option(help="Whether the annotations fit the photos turned by their EXIF orientation, where sizes do not tell."),
]
Strict = Annotated[bool, typer.Option("--strict", help="Refuse a file with annotations that would be left out or changed.")]
