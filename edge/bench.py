"""`python -m edge.bench`: latency of an artefact beside its float twin, on this machine and on devices of your own.

The two take turns in one process on each device; devices work at the same time. Before anything is timed, the agent
(`edge.agent`) replays the card's golden crop on the device.
"""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pose import cli
from pose.errors import InputError

if TYPE_CHECKING:
    from rich.table import Table

    from edge.devices.base import Device
    from edge.devices.session import Plan
    from edge.dist import Artefact
    from edge.evaluate.timings import Bench, File, Role
    from edge.evaluate.timings import Device as DeviceRecord

# inferences and seconds of each artefact: the rigorous ones are the least that MLPerf Inference takes for a single stream
QUICK, RIGOROUS = (200, 0.0), (1024, 60.0)
LONGEST = 1e6  # seconds of a job: waiting for much more overflows


def bench(plan: Plan, devices: Sequence[Device], *, install: bool = False, clean: bool = False) -> Bench:
    """Latency, load time and memory of an artefact and its float twin on each device.

    Args:
        install: install the runtime on the devices before.
        clean: remove our files from the devices afterwards.

    Raises:
        InputError: an artefact does not match its card, or no device runs artefacts of its target.
    """
    from edge.devices import job
    from edge.evaluate.timings import Bench, File
    from pose.card import digest
    from pose.files import size

    files = {
        name: File(
            path=str(artefact.path),
            sha256=digest(artefact.path),
            bytes=size(artefact.path),
            target=job.require_runnable(artefact).target,
        )
        for name, artefact in plan.artefacts.items()
    }
    return Bench(
        schema_version=1,
        command=f"python -m edge.bench {shlex.join(sys.argv[1:])}",
        mode=plan.mode,
        threads=plan.threads,
        affinity=list(plan.affinity),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        artefacts=files,
        devices=_measure_all(plan, devices, install, clean),
    )


def twins(artefact: Artefact) -> dict[Role, Artefact]:
    """The artefacts that are timed in turns: of int8 or fp16 the float one beside it; of fp32 what lies beside it, or none.

    Args:
        artefact: one of the two.

    Raises:
        InputError: the float one is missing.
    """
    fp32 = artefact.twin("fp32")
    if artefact.card.precision != "fp32":
        return {"fp32": fp32, artefact.card.precision or "int8": artefact}
    reduced = artefact.find_twin("int8") or artefact.find_twin("fp16")
    return {"fp32": artefact, **({reduced.card.precision or "int8": reduced} if reduced else {})}


def _measure_all(plan: Plan, devices: Sequence[Device], install: bool, clean: bool) -> list[DeviceRecord]:
    """All at the same time; the record of a device that failed has its error."""
    from edge.devices.measure import measure
    from edge.devices.parallel import together

    shares = [0.0] * len(devices)
    with cli.progress("Timing", 100) as step:

        def measure_one(place: int, stopped: Callable[[], bool]) -> DeviceRecord:
            def advance(share: float) -> None:
                shares[place] = share
                step(round(100 * sum(shares) / len(shares)))

            return measure(devices[place], plan, advance, stopped, install=install, clean=clean)

        return together([partial(measure_one, place) for place in range(len(devices))])


def _print(result: Bench) -> None:
    out = cli.console()
    for device in result.devices:
        before = device.facts.before
        known = [fact for fact in (before.model, before.cpu, before.os) if fact] if before else []
        title = f"{device.device}: {', '.join(known)}" if known else device.device
        timings = {name: device.timing(name) for name in result.artefacts}
        ran_on = dict.fromkeys(timing.accelerator for timing in timings.values() if timing and timing.accelerator)
        out.print(f"{title}, {result.threads} thread(s){', on ' if ran_on else ''}{', '.join(ran_on)}")
        if any(timing and timing.latency_ms for timing in timings.values()):
            out.print(_table(device, result.artefacts))
        elif device.emulated and not device.error:
            answers = ", ".join(f"{name} {timing.golden_px or 0:.3f} px" for name, timing in timings.items() if timing)
            out.print(f"  emulated: its answers count (golden crop: {answers} off the card), its times do not")
        for warning in device.warnings:
            out.print(f"  {warning}")
        for name, timing in timings.items():
            if timing and timing.operators:
                from edge.evaluate.operators import operator_table

                out.print(operator_table(name, timing.operators))
        if device.error:
            out.print(f"  failed: {device.error}")


def _table(device: DeviceRecord, artefacts: dict[Role, File]) -> Table:
    from rich.table import Table

    percentiles, stages = ("p50", "p90", "p99", "mean"), ("preprocess", "decode")
    table = Table("ms", *percentiles, *stages, "first", "load", "peak MB", "of it runtime", "file MB", "runs")
    for name, file in artefacts.items():
        timing = device.timing(name)
        if timing is None:
            continue
        latency = timing.latency_ms
        cells = [_cell(getattr(latency, percentile, None), 2) for percentile in percentiles]
        cells += [_cell((timing.stages_ms or {}).get(stage), 2) for stage in stages]
        cells += [_cell(value, 1) for value in (timing.first_ms, timing.load_ms)]
        cells += [_cell(value, 0) for value in (timing.peak_memory_mb, timing.runtime_memory_mb)]
        table.add_row(name, *cells, f"{(file.bytes or 0) / 1e6:.2f}", str(latency.runs if latency else 0))
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
        float | None, typer.Option(min=0.1, max=LONGEST // 60, metavar="MINUTES", help="Run for so long, to see it get hot.")
    ] = None,
    timeout: Annotated[
        float | None,
        typer.Option(
            min=1, max=LONGEST, metavar="SECONDS", help="Of one job [default: estimated from its first inference]."
        ),
    ] = None,
    max_p90_ms: Annotated[
        float | None, typer.Option(min=0, help="Exit with 1 if the artefact's p90 is above this anywhere.")
    ] = None,
    per_operator: Annotated[
        bool, typer.Option("--per-operator", help="Also profile each operator here: ten in the table, all in the json.")
    ] = False,
    setup: Annotated[bool, typer.Option("--setup", help="Install the runtime in an environment of our own there.")] = False,
    clean: Annotated[bool, typer.Option("--clean", help="Afterwards, remove our files from the devices.")] = False,
    apk: cli.Apk = None,
    json: cli.Json = None,
) -> None:
    """Time an artefact and its float twin, in turns in one process on each device: p50, p90, p99, load time, memory."""
    from edge import dist
    from edge.devices.base import require_all
    from edge.devices.job import device_targets
    from edge.devices.parallel import open_all
    from edge.devices.session import Plan
    from edge.evaluate import gates
    from pose.files import write_json
    from targets.base import profiler

    if rigorous and sustained:
        raise InputError("--rigorous and --sustained are two ways to measure; choose one")
    opened, pinned = open_all(device, apk), cores(affinity)
    if setup and (local := [one.name for one in opened if one.here]):
        raise InputError(f"--setup is for other devices, not for {local[0]}; here: pip install 'distilpose-edge[device]'")
    pair = twins(dist.find_or_latest(artefact, device_targets()))
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
    if per_operator:
        if not any(one.here for one in opened):
            raise InputError("--per-operator profiles this host; add --device local")
        for one in pair.values():
            profiler(one.card.target)  # before minutes of timing
    result = bench(plan, opened, install=setup, clean=clean)
    if per_operator:
        from edge.evaluate.operators import with_operators

        result = with_operators(result, pair, threads)
    if json:
        write_json(json, result.as_json())  # before printing, which may fail
    _print(result)
    require_all({one.device: one.error for one in result.devices if one.error}, len(device))
    if max_p90_ms is not None:
        gates.require(gates.latency([result], {None: max_p90_ms}))


def cores(text: str) -> tuple[int, ...]:
    """`2,3` or `4-7` as numbers.

    Raises:
        InputError: it is neither.
    """
    numbers: list[int] = []
    for part in text.split(",") if text else ():
        ends = re.fullmatch(r"(\d{1,4})(?:-(\d{1,4}))?", part)
        if ends is None or int(ends[2] or ends[1]) < int(ends[1]):
            raise InputError(f"--affinity {text}: write core numbers, as 2,3 or 4-7")
        numbers += range(int(ends[1]), int(ends[2] or ends[1]) + 1)
    return tuple(numbers)


if __name__ == "__main__":
    cli.run(main, "edge.bench", "python -m edge.bench --device local --device ssh://pi@raspberrypi.local --rigorous")
