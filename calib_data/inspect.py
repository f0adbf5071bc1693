"""`python -m calib_data.inspect`: what is in a file of people, what was left out and why, and how the people look."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from calib_data import flags
from pose import cli

if TYPE_CHECKING:
    import numpy as np

    from calib_data.coco import CocoPeople

SHOWN, COLUMNS = 12, 6
WIDTH, HEIGHT = 192, 256  # of a picture of a person


def summary(people: CocoPeople) -> dict[str, Any]:
    """What `--json` writes."""
    from calib_data.hints import hints

    table, shares = people.file.people, _labelled_shares(people)
    return {
        "images": len(people.file.images),
        "annotations": len(people.annotations),
        "people": len(people),
        "crowds": int(table.is_crowd.sum()),
        "categories": [category["name"] for category in people.file.categories],
        "skeleton": people.skeleton.to_dict(),
        "labelled": dict(zip(people.skeleton.joints, shares, strict=True)),
        "repairs": list(people.file.repairs),
        "hints": list(hints(people)),
    }


def _labelled_shares(people: CocoPeople) -> list[float]:
    """Share of the people who have each joint."""
    import numpy as np

    flags = np.stack([people.labels(index).keypoints[:, 2] > 0 for index in range(len(people))])
    return [float(share) for share in flags.mean(0)]


def picture(people: CocoPeople, count: int = SHOWN) -> np.ndarray:
    """`count` people at equal distances in the file, with their joints and boxes: uint8 [H, W, 3], RGB.

    Raises:
        InputError: a photo cannot be read.
    """
    import cv2
    import numpy as np

    from pose.crop import CropSpec, affine, transform, warp
    from pose.draw import contact_sheet, draw_pose

    spec = CropSpec(WIDTH, HEIGHT)
    views = []
    for index in np.unique(np.linspace(0, len(people) - 1, count).round().astype(int)).tolist():
        labels = people.labels(index)
        matrix = affine(labels.box, spec)
        view = warp(people.image(index), matrix, spec)
        corners = transform(np.stack([labels.box[:2], labels.box[:2] + labels.box[2:]]), matrix).round().astype(int)
        cv2.rectangle(view, corners[0].tolist(), corners[1].tolist(), (255, 255, 255), 1)
        joints = np.column_stack([transform(labels.keypoints[:, :2], matrix), labels.keypoints[:, 2]])
        views.append(draw_pose(view, joints, people.skeleton))
    return contact_sheet(views, COLUMNS)


def main(
    file: flags.File,
    images: flags.Images = None,
    skeleton: flags.SkeletonName = None,
    category: flags.Category = None,
    boxes: flags.Boxes = "annotation",
    exif: flags.Exif = None,
    out: Annotated[
        Path, typer.Option(metavar="JPG|PNG", help="Picture of twelve people.", callback=cli.writable), cli.Writes()
    ] = Path("people.jpg"),
    json: cli.Json = None,
) -> None:
    """Show what is in a file of people: joints, what was left out and why, hints, and twelve people with their joints."""
    import cv2

    from calib_data.coco import read_data
    from pose.errors import InputError
    from pose.files import atomic_file, write_json

    if out.suffix.lower() not in (".jpg", ".jpeg", ".png"):
        raise InputError(f"--out {out}: the picture's name ends in .jpg or .png")
    people = read_data(file, images, skeleton, boxes, category=category, exif=exif)
    report = summary(people)
    sheet = cv2.imencode(out.suffix.lower(), cv2.cvtColor(picture(people), cv2.COLOR_RGB2BGR))[1]
    with atomic_file(out) as temporary:
        temporary.write_bytes(sheet.tobytes())
    if json:
        write_json(json, report)
    _print(report)
    cli.console().print(f"{min(SHOWN, len(people))} of the people with their joints and boxes: {out}", soft_wrap=True)


def _print(report: dict[str, Any]) -> None:
    from rich.table import Table

    out = cli.console()
    counts = f"{report['people']} people with labelled joints in {report['images']} images"
    kinds = ", ".join(report["categories"][:4])
    out.print(f"{counts}; {report['annotations']} annotations of {kinds}, {report['crowds']} of them crowds", markup=False)
    table = Table("joint of " + report["skeleton"]["name"], "labelled")
    for joint, share in report["labelled"].items():
        table.add_row(joint, f"{share:.0%}")
    out.print(table)
    for name in ("repairs", "hints"):
        for sentence in report[name]:
            out.print(f"{name.removesuffix('s')}: {sentence}", markup=False)


if __name__ == "__main__":
    cli.run(main, "calib_data.inspect", "python -m calib_data.inspect people.json --images photos")
