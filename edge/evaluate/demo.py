"""The table of `make demo`, from the files that its steps wrote."""

from __future__ import annotations

from pathlib import Path

from edge.evaluate.bounds import Count, FileBytes, Latency, Score
from edge.evaluate.records import Column, Pixels, Record, read_check
from edge.evaluate.timings import read_bench
from pose.errors import InputError

STEPS = {"ptq": "int8, PTQ", "qat": "int8, QAT + distillation"}  # folder of a step -> name of its student
TIMED = "qat"  # the other student is the same operators with other weights


class DemoRow(Record):
    """Accuracy, median latency and size of one student."""

    name: str
    ap: Score | None
    pck: Score | None
    keypoint_px: Pixels | None
    persons: Count
    latency_ms: Latency | None
    bytes: FileBytes | None


class Demo(Record):
    """What `edge.demo --json` writes."""

    rows: list[DemoRow]
    picture: str


def collect(folder: Path) -> list[DemoRow]:
    """Rows of the table: the float student, then the int8 student of each step, as lowered.

    Args:
        folder: holds `STEPS`, each with the `check.json` that the command wrote, and `TIMED` with a `bench.json`, too.

    Raises:
        InputError: a file is missing, or is not what the command writes.
    """
    checks = {step: read_check(folder / step / "check.json") for step in STEPS}
    bench_file = folder / TIMED / "bench.json"
    bench, twin = read_bench(bench_file), checks[TIMED].float_twin
    timings = [bench.devices[0].fp32, bench.devices[0].int8] if bench.devices else []
    times = [timing.latency_ms.p50 for timing in timings if timing and timing.latency_ms]
    if len(times) < 2:
        raise InputError(f"{bench_file} has no latency of fp32 and int8; run make demo again")
    rows = [_row("fp32", checks[TIMED].fp32, times[0], twin.bytes if twin else None)]
    for step, name in STEPS.items():
        rows.append(_row(name, checks[step].lowered, times[1] if step == TIMED else None, checks[step].bytes))
    return rows


def _row(name: str, column: Column, latency_ms: float | None, size: int | None) -> DemoRow:
    return DemoRow(
        name=name,
        ap=column.ap,
        pck=column.pck,
        keypoint_px=column.keypoint_px,
        persons=column.persons,
        latency_ms=latency_ms,
        bytes=size,
    )
