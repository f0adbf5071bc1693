"""`python -m calib_data.cut`: the people of a file, each in a small photo of their own, for training on another machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from calib_data import flags
from pose import cli

if TYPE_CHECKING:
    import numpy as np

    from calib_data.coco import CocoPeople
    from calib_data.sample import Labels
    from pose.skeleton import Skeleton

PEOPLE = "people.json"  # in the folder; `images` beside it


def window(labels: Labels, size: tuple[int, int], context: float) -> tuple[int, int, int, int]:
    """What is kept of a photo: (left, top, right, bottom) in whole pixels, right and bottom not included.

    Args:
        size: width and height of the photo in pixels.
        context: side of the square about the middle of the person's box, over the box's longer side. The window is the part
            of the square that is in the photo, and reaches as far as the labelled joints that are in the photo.
    """
    import numpy as np

    x, y, w, h = labels.box
    middle, half = np.array([x + w / 2, y + h / 2]), context * max(w, h) / 2
    joints = labels.keypoints[labels.keypoints[:, 2] > 0, :2]
    low, high = (np.vstack([middle + end, joints]) for end in (-half, half))
    left, top = np.clip(np.floor(low.min(0)), 0, np.array(size) - 1).astype(int)
    right, bottom = np.clip(np.ceil(high.max(0)) + 1, (left + 1, top + 1), size).astype(int)
    return int(left), int(top), int(right), int(bottom)


def cut(image: np.ndarray, labels: Labels, context: float, side: int) -> tuple[np.ndarray, Labels]:
    """The photo of a person, uint8 [h, w, 3], neither side above `side` pixels, and the annotation in its pixels.

    Args:
        image: uint8 [H, W, 3]. context: see `window`.
    """
    from dataclasses import replace

    import cv2
    import numpy as np

    height, width = image.shape[:2]
    left, top, right, bottom = window(labels, (width, height), context)
    part = image[top:bottom, left:right]
    old = np.array([right - left, bottom - top])
    new = np.maximum((old * min(1.0, side / old.max())).round(), 1).astype(int)
    scale = new / old
    if (new < old).any():
        part = cv2.resize(part, new.tolist(), interpolation=cv2.INTER_AREA)
    offset = scale * (0.5 - np.array([left, top])) - 0.5  # a pixel's centre is at its integer index, before and after
    keypoints, box = labels.keypoints.copy(), np.concatenate([labels.box[:2] * scale + offset, labels.box[2:] * scale])
    keypoints[:, :2] = np.where(keypoints[:, 2:] > 0, keypoints[:, :2] * scale + offset, 0)
    return part, replace(labels, keypoints=keypoints, box=box, area=labels.area * float(scale.prod()))


def write(people: CocoPeople, folder: Path, context: float, side: int, quality: int) -> int:
    """Write the photos and `people.json` into a new folder; returns the bytes of the photos.

    Raises:
        InputError: a photo cannot be read or written.
    """
    import json

    import cv2

    from pose.files import atomic_folder, write_text

    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    size = 0
    with atomic_folder(folder) as new, cli.progress("Cutting", len(people)) as step:
        (new / "images").mkdir()
        for number in range(len(people)):
            picture, labels = cut(people.image(number), people.labels(number), context, side)
            encoded = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
            name = f"{number + 1:06}.jpg"
            (new / "images" / name).write_bytes(encoded.tobytes())
            size += len(encoded)
            height, width = picture.shape[:2]
            images.append({"id": number + 1, "file_name": name, "width": width, "height": height})
            annotations.append({
                "id": labels.person_id, "image_id": number + 1, "category_id": 1, "iscrowd": 0,
                "area": round(labels.area, 2), "bbox": labels.box.round(2).tolist(),
                "num_keypoints": int((labels.keypoints[:, 2] > 0).sum()),
                "keypoints": labels.keypoints.round(2).ravel().tolist(),
            })  # fmt: skip
            step(number + 1)
        text = {"images": images, "annotations": annotations, "categories": [_category(people.skeleton)]}
        write_text(new / PEOPLE, json.dumps(text, separators=(",", ":"), allow_nan=False))
    return size


def _category(skeleton: Skeleton) -> dict[str, Any]:
    places = {joint: place for place, joint in enumerate(skeleton.joints, 1)}
    return {
        "id": 1, "name": "person", "keypoints": list(skeleton.joints), "sigmas": skeleton.sigmas.tolist(),
        "skeleton": [[places[joint] for joint in limb] for limb in skeleton.limbs],
        "flip_pairs": [list(pair) for pair in skeleton.flip_pairs],
    }  # fmt: skip


def main(
    file: flags.File,
    images: flags.Images = None,
    skeleton: flags.SkeletonName = None,
    category: flags.Category = None,
    boxes: flags.Boxes = "annotation",
    exif: flags.Exif = None,
    strict: flags.Strict = False,
    context: Annotated[
        float, typer.Option(min=1, max=10, help="Side of what is kept, over the longer side of the box.")
    ] = 2.0,
    side: Annotated[int, typer.Option(min=16, max=4096, help="Pixels of the longer side of a photo, at most.")] = 288,
    quality: Annotated[int, typer.Option(min=1, max=100, help="Of the JPEG files.")] = 85,
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="A new folder: people.json and images."), cli.Writes()] = Path(
        "cut"
    ),
) -> None:
    """Cut every person out of their photo, with context and labels: a small folder to train on somewhere else.

    A person of 300 pixels in a photo of 12 megapixels needs none of the others. People without labels are kept, for a
    teacher labels them. Training sees black where it asks for more context than was kept.
    """
    from calib_data.coco import open_data
    from pose.errors import InputError

    if out.exists():
        raise InputError(f"--out {out} exists already; take a new folder")
    people = open_data(file, images, skeleton, boxes, category=category, exif=exif, strict=strict, min_keypoints=0)
    size = write(people, out, context, side, quality)
    cli.console().print(
        f"{len(people)} people in {len(people)} photos, {size / 1e6:.1f} MB: --data {out / PEOPLE}", soft_wrap=True
    )


if __name__ == "__main__":
    cli.run(main, "calib_data.cut", "python -m calib_data.cut people.json --images photos --context 2 --out cut")
