"""Records of timing: what `edge.bench` measures on a device, and the facts of that device."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

from pydantic import ConfigDict, Field, JsonValue, SerializerFunctionWrapHandler, model_serializer, model_validator

from edge.evaluate.bounds import Count, Distance, Duration, FileBytes, Latency, Megabytes, Number
from edge.evaluate.records import Record, validated
from pose.card import Digest

Mode = Literal["quick", "rigorous", "sustained"]
_Celsius = Annotated[float, Field(ge=-274, le=1e4)]
_Mhz = Annotated[float, Field(ge=0, le=1e6)]
Role = Literal["fp32", "fp16", "int8"]  # the float twin, and the artefact that is timed beside it
ROLES: tuple[Role, ...] = ("fp32", "fp16", "int8")


class Throttled(Record):
    """What a Raspberry Pi reports about its supply and heat: reasons now, and since it was started."""

    raw: str = ""
    now: list[str] = Field(default=[])
    since_boot: list[str] = Field(default=[])


class Battery(Record):
    """Charge in per cent, temperature in degrees Celsius, and whether it is charging."""

    OPTIONAL = frozenset({"level", "celsius", "charging"})

    level: Annotated[int, Field(ge=0, le=100)] | None = None
    celsius: _Celsius | None = None
    charging: bool | None = None


class Facts(Record):
    """What a device reports about itself. A fact that it does not report is not set, and not in the JSON.

    Attributes:
        board: key of `targets.boards`.
        features: instructions for int8 arithmetic, and `atomics`, which wheels for newer processors need.
        bits: of the programs there, 32 or 64, whatever the kernel has. libc: such as `glibc 2.36` or `musl`.
        mhz, max_mhz: of each core. celsius: of each zone. load: of the last minute.
        trtexec: its path.
        emulated: what revealed an emulation, or False.
        runtime: library -> version, `python` among them.
        thermal: Android's thermal status. power: rail -> milliwatts.
        unread: fact -> why the command that reads it failed.

    What the file of a board names beyond these is kept as text.
    """

    model_config = ConfigDict(extra="allow", frozen=True, allow_inf_nan=False)

    model: str = ""
    board: str = "generic"
    soc: str = ""
    cpu: str = ""
    cores: Count = 0
    features: list[str] = Field(default=[])
    architecture: str = ""
    bits: int = 0
    libc: str = ""
    kernel: str = ""
    os: str = ""
    governor: str = ""
    mhz: list[_Mhz] = Field(default=[])
    max_mhz: list[_Mhz] = Field(default=[])
    celsius: list[_Celsius] = Field(default=[])
    trtexec: str = ""
    memory_mb: Count = 0
    load: Annotated[float, Field(ge=0, le=1e6)] = 0.0
    emulated: str | bool = False
    runtime: dict[str, str] = Field(default={})
    throttled: Throttled = Throttled()
    power_mode: str = ""
    power: dict[str, Annotated[float, Field(ge=0, le=1e9)]] = Field(default={})
    thermal: str = "none"
    battery: Battery = Battery()
    unread: dict[str, str] = Field(default={})

    @model_serializer(mode="wrap")
    def _without_missing(self, serialize: SerializerFunctionWrapHandler) -> dict[str, JsonValue]:
        known = self.model_fields_set | set(self.model_extra or {})
        return {name: value for name, value in serialize(self).items() if name in known}

    def reported(self) -> dict[str, JsonValue]:
        """Name -> value of the facts that the device reported."""
        value: dict[str, JsonValue] = self.model_dump(mode="json")
        return value

    def with_facts(self, other: Facts) -> Facts:
        """These facts and those that `other` reports."""
        return Facts.model_validate({**self.reported(), **other.reported()})


class Percentiles(Record):
    """Of the time of one inference, in milliseconds."""

    p50: Latency
    p90: Latency
    p99: Latency
    mean: Latency
    runs: Number

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not self.p50 <= self.p90 <= self.p99:
            raise ValueError(f"p50 {self.p50:g}, p90 {self.p90:g} and p99 {self.p99:g} are not in order")
        return self


class Shape(Record):
    """Distribution of the times.

    Attributes:
        counts: of the bins of a histogram, each `width` ms wide, from `start` on; `beyond` are later than the last.
        over_time: medians of equal parts of the run, in order.
    """

    start: Latency
    width: Latency
    counts: Annotated[list[Count], Field(min_length=1, max_length=1000)]
    beyond: Count
    over_time: Annotated[list[Latency], Field(min_length=1, max_length=1000)]


class Operator(Record):
    """Milliseconds that one operator takes of one inference, by the runtime's profiler; `share` of all operators', 0..1."""

    name: str
    kind: str
    ms: Duration
    share: Annotated[float, Field(ge=0, le=1)]


class EmulatedTiming(Record):
    """Times of an emulated device, which are no latency: kept apart so that nobody takes them for one."""

    OPTIONAL = frozenset({"p50", "p90", "p99", "mean", "runs"})

    load_ms: Latency | None = None
    first_ms: Latency | None = None
    stages_ms: dict[str, Duration] | None = None
    peak_memory_mb: Megabytes | None = None
    runtime_memory_mb: Megabytes | None = None
    p50: Latency | None = None
    p90: Latency | None = None
    p99: Latency | None = None
    mean: Latency | None = None
    runs: Number | None = None


class Timing(Record):
    """One artefact on one device.

    Attributes:
        stages_ms: median of preprocess, model and decode.
        times_ms: of each inference, in order; None in a report.
        shape: of `times_ms`; only in a report.
        accelerator: what ran the graph, as the runtime reports it: `XNNPACK`, `CPUExecutionProvider`, `TensorRT 10.3.0`.
        golden_px: distance between the device's answer to the golden crop and the card's, in pixels.
        emulated_ms: only of an emulated device, which has no other times.
        operators: the slowest first; only of this host, where `--per-operator` was given.
    """

    OPTIONAL: ClassVar[frozenset[str]] = frozenset({"times_ms", "shape", "emulated_ms", "accelerator", "operators"})

    latency_ms: Percentiles | None = None
    emulated_ms: EmulatedTiming | None = None
    times_ms: Annotated[list[Latency], Field(max_length=5_000_000, fail_fast=True)] | None = None
    shape: Shape | None = None
    stages_ms: dict[str, Duration] | None = None
    first_ms: Latency | None = None
    load_ms: Latency | None = None
    peak_memory_mb: Megabytes | None = None
    runtime_memory_mb: Megabytes | None = None
    golden_px: Distance | None = None
    accelerator: str = ""
    operators: list[Operator] | None = None

    @model_validator(mode="after")
    def _of_the_same_runs(self) -> Self:
        if self.latency_ms is None:
            return self
        runs = self.latency_ms.runs
        if self.times_ms is not None and len(self.times_ms) != runs:
            raise ValueError(f"latency_ms.runs is {runs}, and there are {len(self.times_ms)} times_ms")
        if self.shape is not None and sum(self.shape.counts) + self.shape.beyond != runs:
            raise ValueError(f"latency_ms.runs is {runs}, and shape counts {sum(self.shape.counts) + self.shape.beyond}")
        return self


class DeviceFacts(Record):
    """Facts before and after a run; None if the run ended before they were read."""

    OPTIONAL = frozenset({"before", "after"})

    before: Facts | None = None
    after: Facts | None = None


class Device(Record):
    """What was measured on one device; `error` is the reason why something is missing."""

    OPTIONAL = frozenset({"fp16"})

    device: str
    board: str = "generic"
    emulated: bool = False
    error: str | None = None
    facts: DeviceFacts = DeviceFacts()
    warnings: list[str] = Field(default=[])
    fp32: Timing | None = None
    fp16: Timing | None = None
    int8: Timing | None = None

    def timing(self, precision: str) -> Timing | None:
        """Of the float twin, or of the artefact beside it; None of a precision that was not timed."""
        return {"fp32": self.fp32, "fp16": self.fp16, "int8": self.int8}.get(precision)


class File(Record):
    """A file that was timed."""

    path: str
    sha256: Digest | None = None
    bytes: FileBytes | None = None
    target: str


class Bench(Record):
    """What `edge.bench --json` writes; label and key as of a `Check`."""

    OPTIONAL = frozenset({"label", "key"})

    schema_version: Literal[1]
    command: str | None = None
    mode: Mode
    threads: Number
    affinity: list[Count] = Field(default=[])
    created: str = ""
    artefacts: dict[Role, File] = Field(min_length=1)
    devices: list[Device]
    label: str = ""
    key: str = ""

    @model_validator(mode="after")
    def _of_two_artefacts_and_each_device_once(self) -> Self:
        if len(self.artefacts) > 2 or ("int8" in self.artefacts and "fp32" not in self.artefacts):
            raise ValueError(f"artefacts are {', '.join(self.artefacts)}, not one and its float twin, fp32")
        names = [device.device for device in self.devices]
        if len(set(names)) < len(names):
            raise ValueError(f"devices name {max(names, key=names.count)} twice")
        return self

    @property
    def timed(self) -> Role:
        """The precision of the artefact that is timed beside its float twin; `fp32` where that is timed alone."""
        return max(self.artefacts, key=ROLES.index)


def read_bench(path: Path) -> Bench:
    """What a file of `edge.bench --json` holds.

    Raises:
        InputError: it is not such a file; the message names the first field that is wrong.
    """
    from pose.files import read_json

    return validated(Bench, read_json(path), path, "edge.bench")
