"""`python -m edge.report`: one page of accuracy against latency, from files or measured now; gates for CI."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from calib_data import flags
from pose import cli
from pose.errors import InputError

if TYPE_CHECKING:
    from edge.evaluate.records import Check
    from edge.report.worst import Crop

WORSE, SLOWER = 0.5, 10.0  # tolerated by --against: points of AP or PCK, per cent of latency


def crops(checks: Sequence[Check], data: Path | None, images: Path | None) -> tuple[list[Crop], list[tuple[str, str]]]:
    """The worst people of the check with the largest shift, and a warning if its data cannot be read again."""
    from edge.report import worst

    check = max((check for check in checks if check.worst), key=lambda check: check.worst[0].px, default=None)
    if check is None:
        return [], []
    try:
        return worst.crops(check, worst.reopen(check, data, images)), []
    except InputError as error:
        return [], [(check.label, f"the people with the largest shifts are not drawn: {error}")]


def _pages(out: Path) -> list[Path]:
    from edge.report import page

    return page.paths(out)


def main(
    artefact: Annotated[Path | None, typer.Option(metavar="FILE", help="[default: the latest int8 one in dist]")] = None,
    target: Annotated[str | None, typer.Option(help="Its latest, or all: every target of the latest one's program.")] = None,
    device: Annotated[list[str], typer.Option(metavar="DEVICE", help="local, ssh://user@host[:port], adb[:serial].")] = [  # noqa: B006
        "local"
    ],
    check: Annotated[list[Path], typer.Option(metavar="FILE", help="Of edge.check --json, instead of measuring.")] = [],  # noqa: B006
    bench: Annotated[list[Path], typer.Option(metavar="FILE", help="Of edge.bench --json, instead of measuring.")] = [],  # noqa: B006
    data: Annotated[Path | None, typer.Option(metavar="JSON", help="COCO keypoints [default: as the check says].")] = None,
    images: Annotated[Path | None, typer.Option(metavar="FOLDER", help="[default: the folder images beside data]")] = None,
    category: flags.Category = None,
    exif: flags.Exif = None,
    strict: flags.Strict = False,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first so many people.")] = None,
    threads: cli.Threads = 1,
    apk: cli.Apk = None,
    rigorous: Annotated[bool, typer.Option("--rigorous", help="At least 1024 inferences and 60 s of each.")] = False,
    max_drop: Annotated[
        float | None, typer.Option(min=0, help="Exit with 1 if an artefact loses more points of AP or PCK than this.")
    ] = None,
    max_p90_ms: Annotated[
        list[str], typer.Option(metavar="[DEVICE=]MS", help="Exit with 1 if the 90th percentile of int8 is above.")
    ] = [],  # noqa: B006
    against: Annotated[
        Path | None, typer.Option(metavar="JSON", help="An earlier report: exit with 1 on regressions.")
    ] = None,
    worse: Annotated[float, typer.Option(min=0, help="Points of AP or PCK that --against lets pass.")] = WORSE,
    slower: Annotated[float, typer.Option(min=0, help="Per cent of latency that --against lets pass.")] = SLOWER,
    out: Annotated[
        Path,
        typer.Option(metavar="HTML", help="Markdown, CSV and JSON of the same name go beside it.", callback=cli.writable),
        cli.Writes(_pages),
    ] = Path("report.html"),
    json: cli.Json = None,
    seed: cli.Seed = 0,
) -> None:
    """One page of accuracy against latency, of files or of what is measured now; with limits, a gate."""
    from edge.devices.base import require_all
    from edge.evaluate import gates
    from edge.evaluate.records import device_failures, read_checks
    from edge.evaluate.timings import read_bench
    from edge.report import collect, compare, page
    from pose.files import require_apart, write_json

    limits = gates.parse_latency_limits(max_p90_ms)
    measuring = {"--artefact": artefact, "--target": target, "--limit": limit, "--rigorous": rigorous}
    measuring |= {"--device": device != ["local"], "--threads": threads != 1, "--apk": apk}
    reading = {"--category": category, "--exif": exif, "--strict": strict}
    measuring |= reading
    stray = [flag for flag, is_set in measuring.items() if is_set and (check or bench)]
    if stray:
        raise InputError(f"{stray[0]} says what to measure, and --check and --bench name results; leave one of them out")
    if against is None and (worse, slower) != (WORSE, SLOWER):
        raise InputError("--worse and --slower belong to --against; give the earlier report, too")
    old = collect.read_report(against) if against else None
    if out.suffix not in (".html", ".htm"):
        raise InputError(f"--out {out}: the page's name ends in .html")
    if images is not None and data is None and not check:
        raise InputError("--images belongs to --data; give the annotations, too")
    if data is None and any(reading.values()):
        raise InputError("--category, --exif and --strict belong to --data; give the annotations, too")
    checks = [one for path in check for one in read_checks(path).values()]
    benches = [read_bench(path) for path in bench]
    named = [Path(name) for one in checks for name in (one.data, one.artefact)]
    reads = [path for path in named if os.path.isfile(path)]  # noqa: PTH113 - Path.is_file raises on a name that is too long
    require_apart([*_pages(out), *([json] if json else [])], reads)
    if not check and not bench:
        from calib_data.coco import Reading
        from edge.report.measure import Order, measure

        how = Reading(category=category, exif=exif, strict=strict)
        checks, benches = measure(Order(artefact, target, device, data, images, limit, threads, rigorous, seed, apk, how))
    report = collect.collect(checks, benches, [_command()])
    applied = gates.accuracy(report.checks, max_drop) if max_drop is not None else []
    applied += gates.latency(report.benches, limits) if limits else []
    changes = compare.compare(report, old, worse, slower) if old else []
    pictures, undrawn = crops(report.checks, data, images)
    report = report.model_copy(update={"gates": applied, "changes": changes, "warnings": [*report.warnings, *undrawn]})
    written = page.write(report, pictures, out)
    if json:
        write_json(json, report.as_json())
    console = cli.console()
    for where, text in report.warnings:
        cli.note(f"{where}: {text}")
    for sentence in page.verdict(report):
        console.print(sentence)
    console.print(f"{', '.join(map(str, written))}", soft_wrap=True)
    if not check and not bench:  # before the gates, which fail where a device did
        timed = {one.device: one.error for bench_ in report.benches for one in bench_.devices if one.error}
        require_all(device_failures(report.checks) | timed, len(device))
    compare.require(report)
    if old:
        compare.require_comparable(changes)


def _command() -> str:
    return shlex.join(["python", "-m", "edge.report", *sys.argv[1:]])


if __name__ == "__main__":
    cli.run(main, "edge.report", "python -m edge.report --device ssh://pi@raspberrypi.local --max-drop 1 --max-p90-ms 50")
