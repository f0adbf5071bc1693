"""A report: the records of checks and benches, and how they belong together."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePath
from typing import Literal

from pydantic import Field

from edge.evaluate.bounds import Count, Figure, FileBytes
from edge.evaluate.records import SCHEMA, Check, Column, Gate, Record
from edge.evaluate.timings import Bench, Device, Percentiles, Timing
from pose.card import Precision


class Change(Record):
    """One figure beside that of an earlier report. `worse` and `missing` are regressions."""

    where: str
    what: str
    unit: str
    old: Figure | None
    new: Figure | None
    verdict: Literal["better", "same", "worse", "missing", "not comparable"]
    note: str = ""


class Report(Record):
    """A whole report, as its JSON holds it.

    Attributes:
        warnings: (device, artefact or "accuracy", what is wrong with its figures).
        commands: that reproduce the report.
    """

    schema_version: Literal[1] = SCHEMA
    created: str
    checks: list[Check]
    benches: list[Bench]
    warnings: list[tuple[str, str]] = Field(default=[])
    commands: list[str] = Field(default=[])
    gates: list[Gate] = Field(default=[])
    changes: list[Change] = Field(default=[])


class Entry(Record):
    """One artefact in one precision on one device: a point of the figure, a row of the CSV.

    Attributes:
        artefact: see `Check.key`.
        device: None if it was scored and never timed.
        scored: where `accuracy` was measured: on the host or on the device.
        mode, threads, affinity: of the bench; no cores are all of them.
    """

    label: str
    artefact: str
    student: str
    target: str
    precision: Precision
    bytes: FileBytes | None
    accuracy: Column | None
    scored: Literal["host", "device"] = "host"
    device: str | None = None
    board: str = ""
    emulated: bool = False
    mode: str = ""
    threads: Count = 0
    affinity: list[Count] = Field(default=[])
    timing: Timing | None = None

    @property
    def key(self) -> tuple[str, str, str | None, int]:
        """Distinguishes it from the others of its report, and identifies it in another report."""
        return self.artefact, self.precision, self.device, self.threads

    @property
    def latency(self) -> Percentiles | None:
        """Never that of an emulated device."""
        return self.timing.latency_ms if self.timing and not self.emulated else None


def belongs(check: Check, bench: Bench) -> bool:
    """Whether both are of the same artefact: by sha256 where both have it, else by target and file name."""
    timed = bench.artefacts[bench.timed]
    if check.sha256 and timed.sha256:
        return check.sha256 == timed.sha256
    return check.target == timed.target and PurePath(check.artefact).name == PurePath(timed.path).name


def entries(report: Report) -> list[Entry]:
    """Every artefact, float twin first, on every device that it was timed on; once without device if on none."""
    every = [*_of_checks(report), *_of_benches_alone(report)]
    return list({(entry.key, entry.mode): entry for entry in every}.values())


def _of_checks(report: Report) -> Iterator[Entry]:
    for check in report.checks:
        precisions: dict[Precision, None] = dict.fromkeys(("fp32", check.precision))
        benches = [bench for bench in report.benches if belongs(check, bench)]
        if not benches:
            yield from (_entry(precision, check, None, None) for precision in precisions)
        for bench in benches:
            yield from (_entry(precision, check, bench, device) for device in bench.devices for precision in precisions)


def _of_benches_alone(report: Report) -> Iterator[Entry]:
    for bench in report.benches:
        if not any(belongs(check, bench) for check in report.checks):
            yield from (_entry(name, None, bench, device) for device in bench.devices for name in bench.artefacts)


def _entry(precision: Precision, check: Check | None, bench: Bench | None, device: Device | None) -> Entry:
    file = bench.artefacts.get("fp32" if precision == "fp32" else bench.timed) if bench else None
    accuracy, size = None, file.bytes if file else None
    scored: Literal["host", "device"] = "host"
    if check and precision == "fp32":
        accuracy, size = check.fp32, size or (check.float_twin.bytes if check.float_twin else None)
    elif check:
        on_device = check.device_columns.get(device.device) if device else None
        scored = "device" if on_device else "host"
        accuracy, size = on_device or check.lowered, size or check.bytes
    entry = Entry(
        label=check.label if check else bench.label if bench else "",
        artefact=check.key if check else bench.key if bench else "",
        student=check.student if check else "",
        target=check.target if check else file.target if file else "",
        precision=precision,
        bytes=size,
        accuracy=accuracy,
        scored=scored,
    )
    if not bench or not device:
        return entry
    of_device = {"device": device.device, "board": device.board, "emulated": device.emulated}
    how = {"mode": bench.mode, "threads": bench.threads, "affinity": bench.affinity}
    return entry.model_copy(update=of_device | how | {"timing": device.timing(precision)})
