"""`python -m edge.check`: what an artefact's accuracy is beside its float and its fake-quantized twin, on the same crops."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pose import cli
from pose.errors import BackendError, GateError, InputError

if TYPE_CHECKING:
    import numpy as np

    from calib_data.sample import PoseSource
    from edge.devices.base import Device

COLUMNS = ("fp32", "fake_quant", "lowered")


def check(
    artefact: Path, source: PoseSource, *, limit: int | None = None, threads: int = 1, seed: int = 0
) -> dict[str, Any]:
    """Score the float program, the int8 program (fake quantization) and the artefact in its runtime.

    Returns:
        Of each of `COLUMNS`: see `edge.score.column`, and, from the float program's keypoints in pixels of the crop,
        `keypoint_px` (`edge.score.apart`) and, but for fp32, `per_joint_px`. Of the artefact also `fake_quant_px`, from the
        int8 program's keypoints, `worst` (`edge.score.worst`), `bytes`, and of its float twin, if it lies beside it,
        `float_twin`: its `bytes`, and `torch_px` from the float program's keypoints.

    Raises:
        InputError: the artefact or the program beside it does not match its card, or the data is not as it must be.
        BackendError: a runtime failed.
    """
    (result,) = check_all([artefact], source, limit=limit, threads=threads, seed=seed).values()
    return result


def check_all(
    artefacts: Sequence[Path],
    source: PoseSource,
    *,
    limit: int | None = None,
    threads: int = 1,
    seed: int = 0,
    devices: Sequence[Device] = (),
) -> dict[str, dict[str, Any]]:
    """`check` of several artefacts of one program, by `edge.run.kind`: the program itself answers once for all of them.

    With devices, each result also has `on_device`: of each device a column with `host_px`, from the artefact's keypoints on
    this machine, and `error`, None or why there is nothing else; nothing of an artefact that no device's agent runs.

    Raises:
        InputError, BackendError: see `check`; a device that fails raises nothing.
    """
    from edge import on_device, run, score
    from pose import card as cards
    from pose.files import size

    if devices and len(artefacts) == 1:
        on_device.card_of(artefacts[0])  # a kind that no device answers for is told before people are scored
    program = run.program_of(artefacts[0])
    named = {run.kind(cards.read(cards.card_path(path))): path for path in artefacts}
    found = {name: run.find_twin(path, "fp32", program) for name, path in named.items()}
    twins = {name: twin for name, twin in found.items() if twin not in (None, named[name])}
    torch_runners = {"fp32": run.open(program.path("fp32"), threads), "fake_quant": run.open(program.path("int8"), threads)}
    lowered = {name: run.open(path, threads) for name, path in named.items()}
    floats = {f"{name} float": run.open(twin, threads) for name, twin in twins.items()}
    spec, student = program.card.spec, program.card.skeleton
    both = score.joints(source.skeleton, student)
    count = min(limit or len(source), len(source))

    def track(numbers: Iterable[int]) -> Iterable[int]:
        return cli.track(numbers, "Checking", count)

    crops: list[np.ndarray] = []
    runners = {**torch_runners, **lowered, **floats}
    people, answers = score.answer(runners, source, limit, track, crops.append if devices else lambda crop: None)

    def column(name: str) -> dict[str, Any]:
        scored = score.column(people, answers[name], student, spec, seed)
        scored["keypoint_px"] = score.apart(answers[name], answers["fp32"], spec, seed)
        if name != "fp32":
            scored["per_joint_px"] = score.per_joint(answers[name], answers["fp32"], student, spec)
        return scored

    there: dict[str, dict[str, Any]] = {name: {} for name in named}
    asked = {name: path for name, path in named.items() if devices and on_device.takes(path)}
    for device, said in zip(devices, on_device.answers(devices, list(asked.values()), crops, threads), strict=True):
        for name, mine in zip(asked, said, strict=True):
            if isinstance(mine, str):
                there[name][device.name] = {"error": mine}
                continue
            key = f"{name} {device.name}"
            answers[key] = mine
            host_px = score.apart(mine, answers[name], spec, seed)
            there[name][device.name] = {**column(key), "host_px": host_px, "error": None}

    def float_twin(name: str) -> dict[str, Any] | None:
        if name not in twins:
            return None
        torch_px = score.apart(answers[f"{name} float"], answers["fp32"], spec, seed)
        return {"artefact": str(twins[name]), "bytes": size(twins[name]), "torch_px": torch_px}

    about = {"student": program.card.student, "persons": count, "joints": list(both), "crop": [spec.width, spec.height]}
    shared = {**about, **{name: column(name) for name in torch_runners}}
    return {
        name: {
            **{"artefact": str(path), "target": runner.card.target, "precision": runner.card.precision},
            **{"bytes": size(path), "float_twin": float_twin(name), **shared},
            "lowered": {**column(name), "fake_quant_px": score.apart(answers[name], answers["fake_quant"], spec, seed)},
            "worst": score.worst(people, answers[name], answers["fp32"], spec),
            "on_device": there[name],
        }
        for (name, path), runner in zip(named.items(), lowered.values(), strict=True)
    }


def gate(result: dict[str, Any], most: float, of: str = "") -> None:
    """Raises GateError if a column, those of devices included, loses more than `most` points of AP or PCK against fp32.

    Args:
        of: which artefact, for the message.

    Raises:
        InputError: the data has nobody whom AP can be told of.
    """
    if result["fp32"]["ap"] is None:
        raise InputError("AP cannot be told: nobody in the data has labelled joints that the student has")
    who = f"{of}: " if of else ""
    columns = {name: result[name] for name in _columns(result) if name != "fp32"}
    columns |= {f"on {device}": there for device, there in result["on_device"].items() if there["error"] is None}
    for name, column in columns.items():
        for measure in ("ap", "pck"):
            before, after = result["fp32"][measure], column[measure]
            if before is not None and before - after > most:
                raise GateError(
                    f"{who}{name} loses {before - after:.2f} points of {measure.upper()} ({before:.2f} -> {after:.2f}); "
                    f"--max-drop allows {most:g}"
                )


def _columns(result: dict[str, Any]) -> Sequence[str]:
    """Those that say something of the artefact: fake quantization nothing of one that is not int8."""
    return COLUMNS if result["precision"] == "int8" else ("fp32", "lowered")


def _interval(value: float | None, ends: list[float | None]) -> str:
    return "n/a" if value is None else f"{value:.1f} [{ends[0]:.1f}, {ends[1]:.1f}]"


def _print(result: dict[str, Any]) -> None:
    from rich.table import Table

    width, height = result["crop"]
    table = Table("", "AP [95 %]", "PCK@0.2 [95 %]", "px from fp32, median", "p99")
    for name in _columns(result):
        each = result[name]
        pixels = each["keypoint_px"]
        far = ["-", "-"] if name == "fp32" else [_interval(pixels[k], pixels[f"{k}_95"]) for k in ("median", "p99")]
        figures = [_interval(each[k], each[f"{k}_95"]) for k in ("ap", "pck")]
        table.add_row(f"{name} {result['precision']}" if name == "lowered" else name, *figures, *far)
    on_device = {name: each for name, each in result["on_device"].items() if each["error"] is None}
    for name, each in on_device.items():
        figures = [_interval(each[k], each[f"{k}_95"]) for k in ("ap", "pck")]
        pixels = each["keypoint_px"]
        table.add_row(f"on {name}", *figures, *(_interval(pixels[k], pixels[f"{k}_95"]) for k in ("median", "p99")))
    out = cli.console()
    out.print(table)
    for name, each in on_device.items():
        out.print(f"{name} from this machine: {_pixels(each['host_px'], 4)} px, median, p99")
    twin = result["float_twin"]
    apart = f"lowered from fake-quant: {_pixels(result['lowered']['fake_quant_px'])} px, median, p99; "
    out.print(f"{apart if result['precision'] == 'int8' else ''}{_megabytes(result)} MB")
    if twin:
        out.print(f"float twin from torch: {_pixels(twin['torch_px'], 4)} px; {_megabytes(twin)} MB")
    out.print(f"{result['persons']} people, {len(result['joints'])} joints, crop {width} x {height}; {result['artefact']}")


def _print_all(results: dict[str, dict[str, Any]]) -> None:
    from rich.table import Column, Table

    heads = (
        "fp32: AP, PCK",
        "fake-quant",
        "lowered",
        "px from fake-quant",
        "px from fp32",
        "float twin, px",
        "MB",
        "of float",
    )
    table = Table(Column("target", no_wrap=True), *heads)
    for name, result in results.items():
        scores = [_score(result[column]) if column in _columns(result) else "" for column in COLUMNS]
        lowered, twin = result["lowered"], result["float_twin"]
        rounded = result["precision"] == "int8"
        far = [_pixels(lowered["fake_quant_px"]) if rounded else "", _pixels(lowered["keypoint_px"])]
        beside = [f"{twin['torch_px']['p99']:.4f}", f"{result['bytes'] / twin['bytes']:.1%}"] if twin else ["", ""]
        table.add_row(name, *scores, *far, beside[0], _megabytes(result), beside[1])
        for device, there in result["on_device"].items():
            if there["error"] is None:
                px = [f"host {_pixels(there['host_px'])}", _pixels(there["keypoint_px"])]
                table.add_row(f"  on {device}", "", "", _score(there), *px)
    first = next(iter(results.values()))
    width, height = first["crop"]
    out = cli.console()
    out.print(table)
    who = f"{first['persons']} people, {len(first['joints'])} joints, crop {width} x {height}"
    out.print(f"{who}; px: median, p99; of the float twin p99, from torch")


def _score(column: dict[str, Any]) -> str:
    return ", ".join("n/a" if column[name] is None else f"{column[name]:.1f}" for name in ("ap", "pck"))


def _pixels(px: dict[str, Any], digits: int = 2) -> str:
    return f"{px['median']:.{digits}f}, {px['p99']:.{digits}f}"


def _megabytes(row: dict[str, Any]) -> str:
    return f"{row['bytes'] / 1e6:.2f}"


def main(
    artefact: Annotated[Path | None, typer.Option(metavar="FILE", help="[default: the latest int8 one in dist]")] = None,
    target: Annotated[
        str | None, typer.Option(help="The latest of that target in dist, or all: every target of the artefact's program.")
    ] = None,
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
    device: Annotated[
        list[str],
        typer.Option(metavar="DEVICE", help="Also there: local, ssh://user@host[:port] or adb[:serial]; repeatable."),
    ] = [],  # noqa: B006 - typer copies it
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first so many people.")] = None,
    threads: cli.Threads = 1,
    json: cli.Json = None,
    seed: cli.Seed = 0,
) -> None:
    """Score an artefact beside its float and fake-quantized programs on the same crops: AP, PCK, pixels from fp32."""
    from edge import run
    from edge.devices.parallel import open_all
    from pose.files import write_json
    from targets.base import LOWERED

    devices = open_all(device)
    if target not in (None, "all") and artefact is not None:
        raise InputError("--artefact names one artefact already; with it, --target is all or left out")
    chosen = artefact or run.latest(targets=LOWERED if target in (None, "all") else (target,))
    if data is None and (images is not None or boxes != "annotation"):
        raise InputError("--images and --boxes belong to --data; give the annotations, too")
    artefacts = run.family(chosen) if target == "all" else [chosen]
    source = open_source(data, images, boxes)
    results = check_all(artefacts, source, limit=limit, threads=threads, seed=seed, devices=devices)
    for each in results.values():
        each["data"] = str(data) if data else "synthetic validation"
        each |= {"boxes": boxes, "command": f"python -m edge.check {shlex.join(sys.argv[1:])}"}
        each |= {"images": str(images)} if images else {}
    _print_all(results) if target == "all" else _print(*results.values())
    if json:
        write_json(json, {"targets": results} if target == "all" else next(iter(results.values())))
    failed = [there["error"] for each in results.values() for there in each["on_device"].values() if there["error"]]
    if failed:
        raise BackendError(f"{len(failed)} of the answers on devices are missing; {failed[0]}")
    if max_drop is not None:
        for name, each in results.items():
            gate(each, max_drop, name)


def open_source(data: Path | None, images: Path | None, boxes: str) -> PoseSource:
    """COCO annotations and their images; without data, the embedded drawn people.

    Raises:
        InputError: they cannot be read.
    """
    if data is None:
        from calib_data.synthetic import validation

        return validation()
    from calib_data.coco import open_data

    return open_data(data, images, boxes=boxes)


if __name__ == "__main__":
    cli.run(main, "edge.check", "python -m edge.check --data people.json --images photos --max-drop 1.0")
