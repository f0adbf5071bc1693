"""`python -m edge.check`: accuracy of an artefact beside its float and its fake-quantized program, on the same crops."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from calib_data import flags
from pose import cli
from pose.errors import InputError

if TYPE_CHECKING:
    from edge.evaluate.records import Check, Column, FloatTwin, Pixels


def _print(check: Check) -> None:
    from rich.table import Table

    width, height = check.crop
    table = Table("", "AP [95 %]", "PCK@0.2 [95 %]", "px from fp32, median", "p99")
    titles = {"float": "fp32", "fake-quant": "fake_quant", "lowered": f"lowered {check.precision}"}
    for name, column in check.columns().items():
        table.add_row(titles.get(name, name), *_with_intervals(column, apart=name != "float"))
    out = cli.console()
    out.print(table)
    for device, column in check.device_columns.items():
        out.print(f"{device} from this machine: {_pixels(column.host_px, 4)} px, median, p99")
    apart = f"lowered from fake-quant: {_pixels(check.lowered.fake_quant_px)} px, median, p99; "
    out.print(f"{apart if check.lowered.fake_quant_px and check.precision == 'int8' else ''}{_megabytes(check.bytes)} MB")
    twin = check.float_twin
    if twin and twin.torch_px:
        out.print(f"float twin from torch: {_pixels(twin.torch_px, 4)} px; {_megabytes(twin.bytes)} MB")
    out.print(f"{check.persons} people, {len(check.joints)} joints, crop {width} x {height}; {check.artefact}")


def _with_intervals(column: Column, apart: bool) -> list[str]:
    figures = [_interval(column.ap, column.ap_95), _interval(column.pck, column.pck_95)]
    pixels = column.keypoint_px
    if not apart or pixels is None:
        return [*figures, "-", "-"]
    return [*figures, _interval(pixels.median, pixels.median_95), _interval(pixels.p99, pixels.p99_95)]


def _interval(value: float | None, ends: tuple[float | None, float | None]) -> str:
    low, high = ends
    if value is None:
        return "n/a"
    return f"{value:.1f}" if low is None or high is None else f"{value:.1f} [{low:.1f}, {high:.1f}]"


def _print_all(checks: dict[str, Check]) -> None:
    from rich.table import Column as Heading
    from rich.table import Table

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
    table = Table(Heading("target", no_wrap=True), *heads)
    for name, check in checks.items():
        columns, int8 = check.columns(), check.precision == "int8"
        scores = [_score(columns.get(column)) for column in ("float", "fake-quant", "lowered")]
        apart = [_pixels(check.lowered.fake_quant_px) if int8 else "", _pixels(check.lowered.keypoint_px)]
        table.add_row(name, *scores, *apart, *_beside(check, check.float_twin))
        for device, column in check.device_columns.items():
            pixels = [f"host {_pixels(column.host_px)}", _pixels(column.keypoint_px)]
            table.add_row(f"  on {device}", "", "", _score(column), *pixels)
    first = next(iter(checks.values()))
    width, height = first.crop
    out = cli.console()
    out.print(table)
    people = f"{first.persons} people, {len(first.joints)} joints, crop {width} x {height}"
    out.print(f"{people}; px: median, p99; of the float twin p99, from torch")


def _beside(check: Check, twin: FloatTwin | None) -> list[str]:
    if twin is None or twin.torch_px is None or not check.bytes:
        return ["", _megabytes(check.bytes), ""]
    return [f"{twin.torch_px.p99:.4f}", _megabytes(check.bytes), f"{check.bytes / twin.bytes:.1%}"]


def _score(column: Column | None) -> str:
    if column is None:
        return ""
    return ", ".join("n/a" if value is None else f"{value:.1f}" for value in (column.ap, column.pck))


def _pixels(pixels: Pixels | None, digits: int = 2) -> str:
    return "" if pixels is None else f"{pixels.median:.{digits}f}, {pixels.p99:.{digits}f}"


def _megabytes(size: int | None) -> str:
    return "" if size is None else f"{size / 1e6:.2f}"


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
    skeleton: Annotated[
        str | None, typer.Option(metavar="NAME|YAML", help="Joints of the data [default: those that the json names].")
    ] = None,
    category: flags.Category = None,
    exif: flags.Exif = None,
    strict: flags.Strict = False,
    max_drop: Annotated[
        float | None, typer.Option(min=0, help="Exit with 1 if it loses more points of AP or PCK than this.")
    ] = None,
    device: Annotated[
        list[str],
        typer.Option(metavar="DEVICE", help="Also there: local, ssh://user@host[:port] or adb[:serial]; repeatable."),
    ] = [],  # noqa: B006 - typer copies it
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first so many people.")] = None,
    threads: cli.Threads = 1,
    apk: cli.Apk = None,
    json: cli.Json = None,
    seed: cli.Seed = 0,
) -> None:
    """Score an artefact beside its float and fake-quantized programs on the same crops: AP, PCK, pixels from fp32."""
    from edge import dist
    from edge.devices.base import require_all
    from edge.devices.parallel import open_all
    from edge.evaluate import gates
    from edge.evaluate.check import check_all, open_source
    from edge.evaluate.records import EMBEDDED, Checks, device_failures
    from pose.files import write_json

    devices = open_all(device, apk)
    if target not in (None, "all") and artefact is not None:
        raise InputError("--artefact names one artefact already; with it, --target is all or left out")
    if data is None and (images is not None or boxes != "annotation" or skeleton is not None):
        raise InputError("--images, --boxes and --skeleton belong to --data; give the annotations, too")
    if data is None and (category is not None or exif is not None or strict):
        raise InputError("--category, --exif and --strict belong to --data; give the annotations, too")
    wanted = None if target in (None, "all") else (target,)
    chosen = dist.find_or_latest(artefact, wanted)
    artefacts = chosen.siblings if target == "all" else [chosen]
    source = open_source(data, images, boxes, skeleton, category=category, exif=exif, strict=strict)
    checks = check_all(artefacts, source, limit=limit, threads=threads, seed=seed, devices=devices)
    origin = {
        "data": str(data) if data else EMBEDDED,
        "images": str(images) if images else None,
        "boxes": boxes,
        "skeleton": skeleton,
        "category": category,
        "exif": exif,
        "command": f"python -m edge.check {shlex.join(sys.argv[1:])}",
    }
    checks = {name: check.model_copy(update=origin) for name, check in checks.items()}
    result = Checks(targets=checks) if target == "all" else next(iter(checks.values()))
    if json:
        write_json(json, result.as_json())  # before printing, which may fail
    _print_all(checks) if target == "all" else _print(*checks.values())
    require_all(device_failures(checks.values()), len(devices))
    if max_drop is not None:
        named = [check.model_copy(update={"label": name}) for name, check in checks.items()]
        gates.require(gates.accuracy(named, max_drop))


if __name__ == "__main__":
    cli.run(main, "edge.check", "python -m edge.check --data people.json --images photos --max-drop 1.0")
