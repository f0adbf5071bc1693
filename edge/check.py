"""`python -m edge.check`: what an artefact's accuracy is beside its float and its fake-quantized twin, on the same crops."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pose import cli
from pose.errors import GateError, InputError

if TYPE_CHECKING:
    from calib_data.sample import PoseSource

COLUMNS = ("fp32", "fake_quant", "lowered")


def check(
    artefact: Path, source: PoseSource, *, limit: int | None = None, threads: int = 1, seed: int = 0
) -> dict[str, Any]:
    """Score the float program, the int8 program (fake quantization) and the artefact in its runtime.

    Returns:
        Of each of `COLUMNS`: see `edge.score.column`, and `keypoint_px`, how far its keypoints are from the float program's
        in pixels of the crop (`edge.score.apart`). The artefact also has `fake_quant_px`, from the int8 program's.

    Raises:
        InputError: the artefact or the program beside it does not match its card, or the data is not as it must be.
        BackendError: a runtime failed.
    """
    from edge import run, score
    from pose import skeleton

    program = run.program_of(artefact)
    runners = {
        "fp32": run.open(program.path("fp32"), threads),
        "fake_quant": run.open(program.path("int8"), threads),
        "lowered": run.open(artefact, threads),
    }
    card = runners["lowered"].card
    student, spec = skeleton.get(card.skeleton), card.spec
    both = score.joints(source.skeleton, student)
    count = min(limit or len(source), len(source))

    def track(numbers: Iterable[int]) -> Iterable[int]:
        return cli.track(numbers, "Checking", count)

    people, answers = score.answer(runners, source, limit, track)
    columns = {name: score.column(people, answers[name], student, spec, seed) for name in COLUMNS}
    for name in COLUMNS:
        columns[name]["keypoint_px"] = score.apart(answers[name], answers["fp32"], spec, seed)
    columns["lowered"]["fake_quant_px"] = score.apart(answers["lowered"], answers["fake_quant"], spec, seed)
    about = {"artefact": str(artefact), "student": card.student, "target": card.target, "precision": card.precision}
    return {**about, "persons": count, "joints": list(both), "crop": [spec.width, spec.height], **columns}


def gate(result: dict[str, Any], most: float) -> None:
    """Raises GateError if a column loses more than `most` points of AP or PCK against fp32.

    Raises:
        InputError: the data has nobody whom AP can be told of.
    """
    if result["fp32"]["ap"] is None:
        raise InputError("AP cannot be told: nobody in the data has labelled joints that the student has")
    for name in COLUMNS[1:]:
        for measure in ("ap", "pck"):
            before, after = result["fp32"][measure], result[name][measure]
            if before is not None and before - after > most:
                raise GateError(
                    f"{name} loses {before - after:.2f} points of {measure.upper()} ({before:.2f} -> {after:.2f}); "
                    f"--max-drop allows {most:g}"
                )


def _interval(value: float | None, ends: list[float | None]) -> str:
    return "n/a" if value is None else f"{value:.1f} [{ends[0]:.1f}, {ends[1]:.1f}]"


def _print(result: dict[str, Any]) -> None:
    from rich.table import Table

    width, height = result["crop"]
    table = Table("", "AP [95 %]", "PCK@0.2 [95 %]", "px from fp32, median", "p99")
    for name in COLUMNS:
        each = result[name]
        pixels = each["keypoint_px"]
        far = ["-", "-"] if name == "fp32" else [_interval(pixels[k], pixels[f"{k}_95"]) for k in ("median", "p99")]
        figures = [_interval(each[k], each[f"{k}_95"]) for k in ("ap", "pck")]
        table.add_row(f"{name} {result['precision']}" if name == "lowered" else name, *figures, *far)
    out = cli.console()
    out.print(table)
    out.print(f"{result['persons']} people, {len(result['joints'])} joints, crop {width} x {height}; {result['artefact']}")


def main(
    artefact: Annotated[Path | None, typer.Option(metavar="FILE", help="[default: the latest int8 one in dist]")] = None,
    data: Annotated[Path | None, typer.Option(metavar="JSON", help="COCO keypoints [default: 300 drawn people].")] = None,
    images: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="[default: the folder images beside the json]")
    ] = None,
    boxes: Annotated[
        str, typer.Option(metavar="annotation|keypoints|JSON", help="Boxes: annotated, about the joints, or detected.")
    ] = "annotation",
    max_drop: Annotated[
        float | None, typer.Option(min=0, help="Exit with 1 if int8 loses more points of AP or PCK than this.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first so many people.")] = None,
    threads: Annotated[int, typer.Option(min=1, help="Of the runtimes.")] = 1,
    json: cli.Json = None,
    seed: cli.Seed = 0,
) -> None:
    """Score an artefact beside its float and fake-quantized programs on the same crops: AP, PCK, pixels from fp32."""
    from edge import run
    from pose.files import write_json

    chosen = artefact or run.latest()
    if data is None and (images is not None or boxes != "annotation"):
        raise InputError("--images and --boxes belong to --data; give the annotations, too")
    result = check(chosen, _source(data, images, boxes), limit=limit, threads=threads, seed=seed)
    result["data"] = str(data) if data else "synthetic validation"
    _print(result)
    if json:
        write_json(json, result)
    if max_drop is not None:
        gate(result, max_drop)


def _source(data: Path | None, images: Path | None, boxes: str) -> PoseSource:
    if data is None:
        from calib_data.synthetic import validation

        return validation()
    from calib_data.coco import open_data

    return open_data(data, images, boxes=boxes)


if __name__ == "__main__":
    cli.run(main, "edge.check", "python -m edge.check --data people.json --images photos --max-drop 1.0")
