"""`python -m edge.teacher`: accuracy of a teacher on your data, which shows whether its YAML or its weights are right."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from calib_data import flags
from pose import cli

if TYPE_CHECKING:
    from pose.decode import Method


def main(
    teacher: Annotated[str, typer.Option(metavar="NAME|YAML", help="hrnet_w32, movenet_thunder, ..., or your own YAML.")],
    data: Annotated[Path, typer.Option(metavar="JSON", help="COCO keypoints.")],
    images: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="[default: the folder images beside the json]")
    ] = None,
    boxes: Annotated[str, typer.Option(metavar="annotation|keypoints|JSON", help="Boxes of the people.")] = "annotation",
    skeleton: Annotated[
        str | None, typer.Option(metavar="NAME|YAML", help="Joints of the data [default: those that the json names].")
    ] = None,
    category: flags.Category = None,
    exif: flags.Exif = None,
    strict: flags.Strict = False,
    teacher_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Its weights, or the model of a YAML that is elsewhere.")
    ] = None,
    method: Annotated[
        str | None, typer.Option("--decode", metavar="METHOD", help="hrnet, mmpose_udp, ... [default: DARK, or the YAML's].")
    ] = None,
    flip: Annotated[bool, typer.Option("--flip", help="Average with the mirrored crop, as published figures do.")] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first so many people.")] = None,
    json: cli.Json = None,
    seed: cli.Seed = 0,
) -> None:
    """Score a heatmap teacher, by name or as a TFLite or ONNX file: AP and PCK on annotated people."""
    from calib_data.coco import open_data
    from edge.evaluate.gates import require_above_chance
    from edge.evaluate.teacher import DecodedTeacher, open_teacher, score_teacher
    from pose.decode import METHODS
    from pose.errors import InputError
    from pose.files import write_json

    source = open_data(data, images, skeleton, boxes, category=category, exif=exif, strict=strict)
    if method is not None and method not in METHODS:
        raise InputError(f"there is no decoding '{method}'; choose one of {', '.join(METHODS)}")
    opened = open_teacher(teacher, teacher_file, source.skeleton)
    if method or flip:
        opened = DecodedTeacher(opened, cast("Method", method or "dark"), flip)
    score = score_teacher(opened, source, data.name, limit, seed)
    require_above_chance(score)
    ap, pck = ("n/a" if value is None else f"{value:.1f}" for value in (score.ap, score.pck))
    if json:
        write_json(json, score.as_json())
    cli.console().print(f"{score.teacher}: AP {ap}, PCK@0.2 {pck}; {score.persons} people, {len(score.joints)} joints")


if __name__ == "__main__":
    cli.run(main, "edge.teacher", "python -m edge.teacher --teacher movenet_thunder --data people.json --images photos")
