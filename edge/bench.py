"""`python -m edge.bench`: how long an artefact takes beside its float twin, on this machine and on devices of your own.

The two take turns in one process on each device; devices work at the same time. Before anything is timed, the agent there
(`edge.agent`) replays the card's golden crop.
"""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pose import cli
from pose.errors import BackendError, GateError, InputError

if TYPE_CHECKING:
    from edge.devices.base import Device
    from edge.devices.session import Plan

SCHEMA = 1
# inferences and seconds of each artefact: the rigorous ones are the least that MLPerf Inference takes for a single stream
QUICK, RIGOROUS = (200, 0.0), (1024, 60.0)


def bench(plan: Plan, devices: Sequence[Device], *, install: bool = False, clean: bool = False) -> dict[str, Any]:
    """Latency, load time and memory of an int8 artefact and its float twin on each device.

    Args:
        install, clean: put the runtime there before; remove what we put there afterwards.

    Returns:
        What `--json` writes: `artefacts`, and `devices` in the order given, each with its `error` or None.

    Raises:
        InputError: an artefact does not match its card, or no device runs its kind.
    """
    from edge.devices import job
    from pose.card import digest
    from pose.files import size

    cards = {name: job.card_of(path) for name, path in plan.artefacts.items()}
    return {
        "schema_version": SCHEMA,
        "command": f"python -m edge.bench {shlex.join(sys.argv[1:])}",
        "mode": plan.mode,
        "threads": plan.threads,
        "affinity": list(plan.affinity),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "artefacts": {
            name: {"path": str(path), "sha256": digest(path), "bytes": size(path), "target": cards[name].target}
            for name, path in plan.artefacts.items()
        },
        "devices": _measure_all(plan, devices, install, clean),
    }


def twins(artefact: Path) -> dict[str, Path]:
    """The float and the int8 artefact of one program for one target.

    Args:
        artefact: one of the two.

    Raises:
        InputError: one of them is missing, or it is neither.
    """
    from edge import run
    from pose import card as cards

    pair = {"fp32": run.twin(artefact, "fp32"), "int8": run.twin(artefact, "int8")}
    if artefact not in pair.values():
        precision = cards.read(cards.card_path(artefact)).precision
        raise InputError(f"{artefact} is {precision}; int8 is timed beside its float twin: name {pair['int8']}")
    return pair


def gate(result: dict[str, Any], limit: float) -> None:
    """Raises GateError if int8's 90th percentile is above `limit` milliseconds on some device, or has no latency there."""
    for device in result["devices"]:
        latency = device["int8"]["latency_ms"]
        if latency is None:
            raise GateError(f"{device['device']} has no latency to hold against --max-p90-ms {limit:g}")
        if latency["p90"] > limit:
            raise GateError(f"{device['device']}: int8 takes {latency['p90']:.2f} ms at p90, more than {limit:g}")


def _measure_all(plan: Plan, devices: Sequence[Device], install: bool, clean: bool) -> list[dict[str, Any]]:
    """All at the same time; a failed one is told of in its entry."""
    from edge.devices.measure import measure
    from edge.devices.parallel import together

    done = [0.0] * len(devices)
    with cli.progress("Timing", 100) as step:

        def one(place: int, stopped: Callable[[], bool]) -> dict[str, Any]:
            def advance(share: float) -> None:
                done[place] = share
                step(round(100 * sum(done) / len(done)))

            return measure(devices[place], plan, advance, stopped, install=install, clean=clean)

        return together([partial(one, place) for place in range(len(devices))])


def _print(result: dict[str, Any]) -> None:
    out = cli.console()
    for device in result["devices"]:
        before = device["facts"].get("before", {})
        where = ", ".join(str(before[key]) for key in ("model", "cpu", "os") if before.get(key))
        out.print(f"{device['device']}{f': {where}' if where else ''}, {result['threads']} thread(s)")
        if any(device[name]["latency_ms"] for name in result["artefacts"]):
            out.print(_table(device, result["artefacts"]))
        elif device["emulated"] and not device["error"]:
            answers = ", ".join(f"{name} {device[name]['golden_px']:.3f} px" for name in result["artefacts"])
            out.print(f"  emulated: what it answers counts (golden crop: {answers} off the card), its times do not")
        for warning in device["warnings"]:
            out.print(f"  {warning}", markup=False)
        if device["error"]:
            out.print(f"  failed: {device['error']}", markup=False)


def _table(device: dict[str, Any], artefacts: dict[str, Any]) -> Any:
    from rich.table import Table

    percentiles, stages = ("p50", "p90", "p99", "mean"), ("preprocess", "decode")
    memory = ("peak_memory_mb", "runtime_memory_mb")
    table = Table("ms", *percentiles, *stages, "first", "load", "peak MB", "of it runtime", "file MB", "runs")
    for name, file in artefacts.items():
        each = device[name]
        latency = each["latency_ms"] or {}
        cells = [_cell(latency.get(key), 2) for key in percentiles]
        cells += [_cell((each["stages_ms"] or {}).get(key), 2) for key in stages]
        cells += [_cell(each[key], 1) for key in ("first_ms", "load_ms")] + [_cell(each[key], 0) for key in memory]
        table.add_row(name, *cells, f"{file['bytes'] / 1e6:.2f}", str(latency.get("runs", 0)))
    return table


def _cell(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def main(
    device: Annotated[
        list[str],
        typer.Option(metavar="DEVICE", help="local, ssh://user@host[:port] or adb[:serial]; more than one may be given."),
    ] = ["local"],  # noqa: B006 - typer copies it
    artefact: Annotated[Path | None, typer.Option(metavar="FILE", help="[default: the latest int8 one in dist]")] = None,
    threads: cli.Threads = 1,
    affinity: Annotated[str, typer.Option(metavar="CORES", help="Cores to run on, as 2,3 or 4-7 [default: all].")] = "",
    rigorous: Annotated[bool, typer.Option("--rigorous", help="At least 1024 inferences and 60 s of each.")] = False,
    sustained: Annotated[
        float | None, typer.Option(min=0.1, metavar="MINUTES", help="Go on for so long, and see it get hot.")
    ] = None,
    timeout: Annotated[
        float | None, typer.Option(min=1, metavar="SECONDS", help="Of one job [default: reckoned from its first inference].")
    ] = None,
    max_p90_ms: Annotated[
        float | None, typer.Option(min=0, help="Exit with 1 if int8's p90 is above this anywhere.")
    ] = None,
    setup: Annotated[bool, typer.Option("--setup", help="Install the runtime in an environment of our own there.")] = False,
    clean: Annotated[bool, typer.Option("--clean", help="Afterwards, remove what we put on the devices.")] = False,
    json: cli.Json = None,
) -> None:
    """Time an artefact and its float twin, in turns in one process on each device: p50, p90, p99, load time, memory."""
    from edge import run
    from edge.devices.job import TARGETS
    from edge.devices.parallel import open_all
    from edge.devices.session import Plan
    from pose.files import write_json

    if rigorous and sustained:
        raise InputError("--rigorous and --sustained are two ways to measure; choose one")
    opened, pinned = open_all(device), cores(affinity)
    if setup and (here := [each.name for each in opened if each.here]):
        raise InputError(f"--setup is for other devices, not for {here[0]}; here: pip install 'distilpose-edge[device]'")
    pair = twins(artefact or run.latest(targets=TARGETS))
    runs, seconds = (10, 60 * sustained / len(pair)) if sustained else RIGOROUS if rigorous else QUICK
    plan = Plan(
        artefacts=pair,
        mode="sustained" if sustained else "rigorous" if rigorous else "quick",
        runs=runs,
        seconds=seconds,
        threads=threads,
        affinity=pinned,
        timeout=timeout,
    )
    result = bench(plan, opened, install=setup, clean=clean)
    _print(result)
    if json:
        write_json(json, result)
    failed = [each for each in result["devices"] if each["error"]]
    if failed:
        raise BackendError(f"{len(failed)} of {len(device)} devices failed; {failed[0]['error']}")
    if max_p90_ms is not None:
        gate(result, max_p90_ms)


def cores(text: str) -> tuple[int, ...]:
    """`2,3` or `4-7` as numbers.

    Raises:
        InputError: it is neither.
    """
    found: list[int] = []
    for part in text.split(",") if text else ():
        ends = re.fullmatch(r"(\d{1,4})(?:-(\d{1,4}))?", part)
        if ends is None or int(ends[2] or ends[1]) < int(ends[1]):
            raise InputError(f"--affinity {text}: write core numbers, as 2,3 or 4-7")
        found += range(int(ends[1]), int(ends[2] or ends[1]) + 1)
    return tuple(found)


if __name__ == "__main__":
    cli.run(main, "edge.bench", "python -m edge.bench --device local --device ssh://pi@raspberrypi.local --rigorous")
