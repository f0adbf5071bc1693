"""`python -m edge.teacher`: how good a foreign teacher is on your data, and whether its YAML describes it rightly."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pose import cli

if TYPE_CHECKING:
    import numpy as np

    from calib_data.sample import PoseSource
    from pose.crop import CropSpec
    from pose.foreign import HeatmapTeacher


@dataclass(frozen=True)
class _Seen:
    spec: CropSpec


class _Runner:
    """A teacher as `edge.score.answer` calls it: its crops come as floats, not yet normalised."""

    def __init__(self, teacher: HeatmapTeacher) -> None:
        self.teacher = teacher
        self.card = _Seen(replace(teacher.crop, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)))

    def run(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Pixels float32 [N, 3, H, W] in 0..255 -> coords [N, K, 2] and scores [N, K]."""
        return self.teacher.predict(images.transpose(0, 2, 3, 1).astype("uint8"))


def measure(teacher: HeatmapTeacher, source: PoseSource, limit: int | None = None, seed: int = 0) -> dict[str, Any]:
    """AP and PCK@0.2 of the teacher, see `edge.score.column`, over the joints that it shares with the data."""
    from edge import score

    runner: Any = _Runner(teacher)
    count = min(limit or len(source), len(source))
    people, answers = score.answer({"teacher": runner}, source, limit, lambda n: cli.track(n, "Scoring", count))
    figures = score.column(people, answers["teacher"], teacher.skeleton, teacher.crop, seed)
    return {"teacher": teacher.name, "joints": list(score.joints(source.skeleton, teacher.skeleton)), **figures}


def main(
    teacher: Annotated[str, typer.Option(metavar="NAME|YAML", help="A packaged one, or your own.")],
    data: Annotated[Path, typer.Option(metavar="JSON", help="COCO keypoints.")],
    images: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="[default: the folder images beside the json]")
    ] = None,
    boxes: Annotated[str, typer.Option(metavar="annotation|keypoints|JSON", help="Boxes of the people.")] = "annotation",
    teacher_file: Annotated[Path | None, typer.Option(metavar="FILE", help="The model, if not where the YAML says.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first so many people.")] = None,
    json: cli.Json = None,
    seed: cli.Seed = 0,
) -> None:
    """Score a TFLite or ONNX heatmap teacher: AP and PCK on annotated people."""
    from calib_data.coco import open_data
    from pose.files import write_json
    from pose.foreign import load_teacher

    result = measure(load_teacher(teacher, file=teacher_file), open_data(data, images, boxes=boxes), limit, seed)
    result["data"] = data.name
    ap, pck = (f"{result[name]:.1f}" if result[name] is not None else "n/a" for name in ("ap", "pck"))
    cli.console().print(
        f"{result['teacher']}: AP {ap}, PCK@0.2 {pck}; {result['persons']} people, {len(result['joints'])} joints"
    )
    if json:
        write_json(json, result)


if __name__ == "__main__":
    cli.run(main, "edge.teacher", "python -m edge.teacher --teacher movenet_thunder --data people.json --images photos")
