"""What a report is made of: the files of `edge.check` and `edge.bench` as they must be, and how they belong together."""

from __future__ import annotations

from pathlib import PurePath
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from pose.card import Coverage

SCHEMA: Literal[1] = 1
Interval = tuple[float | None, float | None]
Points = list[tuple[float, float]]


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)


class Pixels(_Part):
    """Between two runners' keypoints, in pixels of the crop, over every joint of every person."""

    median: float
    p99: float


class Column(_Part):
    """What one runner scored: AP and PCK in points, 0 to 100, with 95 % intervals.

    Attributes:
        keypoint_px: from the float program; None of the float program itself in a file that leaves it out.
        per_joint_px: joint -> median pixels from the float program.
        host_px: on a device, from the same artefact on the host.
        error: on a device, why it has no score.
    """

    ap: float | None = None
    ap_95: Interval = (None, None)
    pck: float | None = None
    pck_95: Interval = (None, None)
    persons: int = 0
    keypoint_px: Pixels | None = None
    per_joint_px: dict[str, float] = {}
    host_px: Pixels | None = None
    error: str | None = None


class Worst(_Part):
    """A person on whom artefact and float program differ: `px` is the mean over the joints, poses are in image pixels."""

    index: int = Field(ge=0)
    px: float
    fp32: Points
    lowered: Points


class FloatTwin(_Part):
    """The float artefact beside it."""

    bytes: int


class Check(_Part):
    """What `edge.check --json` writes of one artefact.

    Attributes:
        data, images, boxes: what `edge.check` was told; data is a path or the name of the embedded set.
        coverage: of the artefact's card, where it could be read.
        label: what tells it from the others of its report.
        key: what finds it in another report.
    """

    artefact: str
    student: str
    target: str
    precision: str = "int8"
    sha256: str | None = None
    bytes: int | None = None
    float_twin: FloatTwin | None = None
    persons: int
    joints: list[str]
    crop: tuple[int, int]
    data: str
    images: str | None = None
    boxes: str = "annotation"
    command: str | None = None
    fp32: Column
    fake_quant: Column
    lowered: Column
    on_device: dict[str, Column] = {}
    worst: list[Worst] = []
    coverage: Coverage | None = None
    label: str = ""
    key: str = ""

    def columns(self) -> dict[str, Column]:
        """By the name of the column, the float program first, the devices last."""
        lowered = {"float": self.fp32, "fake-quant": self.fake_quant, "lowered": self.lowered}
        return lowered | {f"on {name}": column for name, column in self.on_device.items() if column.error is None}


class Percentiles(_Part):
    """Of the time of one inference, in milliseconds."""

    p50: float
    p90: float
    p99: float
    mean: float
    runs: int


class Shape(_Part):
    """How the times are spread.

    Attributes:
        counts: of the bins of a histogram, each `width` ms wide, from `start` on; `beyond` are later than the last.
        over_time: medians of equal parts of the run, in order.
    """

    start: float
    width: float
    counts: list[int]
    beyond: int
    over_time: list[float]


class Timing(_Part):
    """One artefact on one device.

    Attributes:
        stages_ms: median of preprocess, model and decode.
        times_ms: of each inference, in order; only in a bench file.
        shape: of `times_ms`; only in a report.
        golden_px: between the device's answer to the golden crop and the card's.
    """

    latency_ms: Percentiles | None = None
    stages_ms: dict[str, float] | None = None
    times_ms: list[float] | None = Field(default=None, exclude=True)
    shape: Shape | None = None
    first_ms: float | None = None
    load_ms: float | None = None
    peak_memory_mb: float | None = None
    runtime_memory_mb: float | None = None
    golden_px: float | None = None


class Device(_Part):
    """What was measured on one device.

    Attributes:
        facts: `before` and `after` the run: name -> value.
    """

    device: str
    board: str = "generic"
    emulated: bool = False
    error: str | None = None
    facts: dict[Literal["before", "after"], dict[str, Any]] = {}
    warnings: list[str] = []
    fp32: Timing | None = None
    int8: Timing | None = None

    def timing(self, precision: str) -> Timing | None:
        """Of the float twin, or of the quantized artefact."""
        return self.fp32 if precision == "fp32" else self.int8


class File(_Part):
    """A file that was timed."""

    path: str
    target: str
    sha256: str | None = None
    bytes: int | None = None


class Bench(_Part):
    """What `edge.bench --json` writes; label and key as of a `Check`."""

    schema_version: Literal[1]
    command: str | None = None
    mode: Literal["quick", "rigorous", "sustained"]
    threads: int
    created: str = ""
    artefacts: dict[Literal["fp32", "int8"], File]
    devices: list[Device]
    label: str = ""
    key: str = ""


class Gate(_Part):
    """A limit that the user set, and what was measured."""

    name: str
    where: str
    limit: float
    value: float | None
    unit: str
    ok: bool


class Change(_Part):
    """One figure beside that of an earlier report. `worse` and `missing` are regressions."""

    where: str
    what: str
    unit: str
    old: float | None
    new: float | None
    verdict: Literal["better", "same", "worse", "missing", "not comparable"]
    note: str = ""


class Report(_Part):
    """All of it, as the json holds it.

    Attributes:
        warnings: where -> what is wrong with its figures.
    """

    schema_version: Literal[1] = SCHEMA
    created: str
    checks: list[Check]
    benches: list[Bench]
    warnings: list[tuple[str, str]] = []
    commands: list[str] = []
    gates: list[Gate] = []
    changes: list[Change] = []


class Entry(_Part):
    """One artefact in one precision on one device: a point of the figure, a row of the CSV.

    Attributes:
        artefact: see `Check.key`.
        device: None if it was scored and never timed.
        scored: where `accuracy` was measured: on the host or on the device.
        mode, threads: of the bench.
    """

    label: str
    artefact: str
    student: str
    target: str
    precision: str
    bytes: int | None
    accuracy: Column | None
    scored: Literal["host", "device"] = "host"
    device: str | None = None
    board: str = ""
    emulated: bool = False
    mode: str = ""
    threads: int = 0
    timing: Timing | None = None

    @property
    def key(self) -> tuple[str, str, str | None, int]:
        """What tells it from the others of its report, and finds it in another one."""
        return self.artefact, self.precision, self.device, self.threads

    @property
    def latency(self) -> Percentiles | None:
        """Never that of an emulated device."""
        return self.timing.latency_ms if self.timing and not self.emulated else None


def belongs(check: Check, bench: Bench) -> bool:
    """Whether both speak of the same artefact: by sha256 where both know it, else by target, student and file name."""
    timed = bench.artefacts["int8"]
    if check.sha256 and timed.sha256:
        return check.sha256 == timed.sha256
    return check.target == timed.target and PurePath(check.artefact).name == PurePath(timed.path).name


def entries(report: Report) -> list[Entry]:
    """Every artefact, float twin first, on every device that it was timed on; once without device if on none."""
    found: list[Entry] = []
    timed: set[int] = set()
    for check in report.checks:
        precisions = dict.fromkeys(["fp32", check.precision])
        mine = [bench for bench in report.benches if belongs(check, bench)]
        timed |= {id(bench) for bench in mine}
        for bench in mine:
            found += [_entry(precision, check, bench, device) for device in bench.devices for precision in precisions]
        if not mine:
            found += [_entry(precision, check, None, None) for precision in precisions]
    for bench in report.benches:
        if id(bench) not in timed:
            found += [_entry(precision, None, bench, device) for device in bench.devices for precision in ("fp32", "int8")]
    return list({(entry.key, entry.mode): entry for entry in found}.values())


def _entry(precision: str, check: Check | None, bench: Bench | None, device: Device | None) -> Entry:
    file = bench.artefacts["fp32" if precision == "fp32" else "int8"] if bench else None
    accuracy, size = None, file.bytes if file else None
    scored: Literal["host", "device"] = "host"
    if check and precision == "fp32":
        accuracy, size = check.fp32, size or (check.float_twin.bytes if check.float_twin else None)
    elif check:
        there = check.on_device.get(device.device) if device else None
        scored = "device" if there and there.error is None else "host"
        accuracy, size = there if there and there.error is None else check.lowered, size or check.bytes
    about: dict[str, Any] = {}
    if bench and device:
        about = {"device": device.device, "board": device.board, "emulated": device.emulated}
        about |= {"mode": bench.mode, "threads": bench.threads, "timing": device.timing(precision)}
    return Entry(
        label=check.label if check else bench.label if bench else "",
        artefact=check.key if check else bench.key if bench else "",
        student=check.student if check else "",
        target=check.target if check else file.target if file else "",
        precision=precision, bytes=size, accuracy=accuracy, scored=scored, **about,
    )  # fmt: skip
