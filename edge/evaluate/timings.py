"""Records of timing: what `edge.bench` measures on a device, and the facts of that device."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

from pydantic import ConfigDict, Field, JsonValue, SerializerFunctionWrapHandler, model_serializer

from edge.evaluate.records import Record, validated

Mode = Literal["quick", "rigorous", "sustained"]
Role = Literal["fp32", "int8"]  # the float twin, and the artefact that is timed beside it


class Throttled(Record):
    """What a Raspberry Pi reports about its supply and heat: reasons now, and since it was started."""

    raw: str = ""
    now: list[str] = Field(default=[])
    since_boot: list[str] = Field(default=[])


class Battery(Record):
    """Charge in per cent, temperature in degrees Celsius, and whether it is charging."""

    OPTIONAL = frozenset({"level", "celsius", "charging"})

    level: int | None = None
    celsius: float | None = None
    charging: bool | None = None


class Facts(Record):
    """What a device reports about itself. A fact that it does not report is not set, and not in the JSON.

    Attributes:
        board: key of `targets.boards`.
        features: instructions for int8 arithmetic.
        mhz, max_mhz: of each core. celsius: of each zone. load: of the last minute.
        trtexec: its path.
        emulated: what revealed an emulation, or False.
        runtime: library -> version, `python` among them.
        thermal: Android's thermal status. power: rail -> milliwatts.

    What the file of a board names beyond these is kept as text.
    """

    model_config = ConfigDict(extra="allow", frozen=True, allow_inf_nan=False)

    model: str = ""
    board: str = "generic"
    soc: str = ""
    cpu: str = ""
    cores: int = 0
    features: list[str] = Field(default=[])
    architecture: str = ""
    kernel: str = ""
    os: str = ""
    governor: str = ""
    mhz: list[float] = Field(default=[])
    max_mhz: list[float] = Field(default=[])
    celsius: list[float] = Field(default=[])
    trtexec: str = ""
    memory_mb: int = 0
    load: float = 0.0
    emulated: str | bool = False
    runtime: dict[str, str] = Field(default={})
    throttled: Throttled = Throttled()
    power_mode: str = ""
    power: dict[str, float] = Field(default={})
    thermal: str = "none"
    battery: Battery = Battery()

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

    p50: float
    p90: float
    p99: float
    mean: float
    runs: int


class Shape(Record):
    """Distribution of the times.

    Attributes:
        counts: of the bins of a histogram, each `width` ms wide, from `start` on; `beyond` are later than the last.
        over_time: medians of equal parts of the run, in order.
    """

    start: float
    width: float
    counts: list[int]
    beyond: int
    over_time: list[float]


class Operator(Record):
    """Milliseconds that one operator takes of one inference, by the runtime's profiler; `share` of all operators', 0..1."""

    name: str
    kind: str
    ms: float
    share: float


class EmulatedTiming(Record):
    """Times of an emulated device, which are no latency: kept apart so that nobody takes them for one."""

    OPTIONAL = frozenset({"p50", "p90", "p99", "mean", "runs"})

    load_ms: float | None = None
    first_ms: float | None = None
    stages_ms: dict[str, float] | None = None
    peak_memory_mb: float | None = None
    runtime_memory_mb: float | None = None
    p50: float | None = None
    p90: float | None = None
    p99: float | None = None
    mean: float | None = None
    runs: int | None = None


class Timing(Record):
    """One artefact on one device.

    Attributes:
        stages_ms: median of preprocess, model and decode.
        times_ms: of each inference, in order; None in a report.
        shape: of `times_ms`; only in a report.
        golden_px: distance between the device's answer to the golden crop and the card's, in pixels.
        emulated_ms: only of an emulated device, which has no other times.
        operators: the slowest first; only of this host, where `--per-operator` was given.
    """

    OPTIONAL: ClassVar[frozenset[str]] = frozenset({"times_ms", "shape", "emulated_ms", "operators"})

    latency_ms: Percentiles | None = None
    emulated_ms: EmulatedTiming | None = None
    times_ms: list[float] | None = None
    shape: Shape | None = None
    stages_ms: dict[str, float] | None = None
    first_ms: float | None = None
    load_ms: float | None = None
    peak_memory_mb: float | None = None
    runtime_memory_mb: float | None = None
    golden_px: float | None = None
    operators: list[Operator] | None = None


class DeviceFacts(Record):
    """Facts before and after a run; None if the run ended before they were read."""

    OPTIONAL = frozenset({"before", "after"})

    before: Facts | None = None
    after: Facts | None = None


class Device(Record):
    """What was measured on one device; `error` is the reason why something is missing."""

    device: str
    board: str = "generic"
    emulated: bool = False
    error: str | None = None
    facts: DeviceFacts = DeviceFacts()
    warnings: list[str] = Field(default=[])
    fp32: Timing | None = None
    int8: Timing | None = None

    def timing(self, precision: str) -> Timing | None:
        """Of the float twin, or of the artefact beside it."""
        return self.fp32 if precision == "fp32" else self.int8


class File(Record):
    """A file that was timed."""

    path: str
    sha256: str | None = None
    bytes: int | None = None
    target: str


class Bench(Record):
    """What `edge.bench --json` writes; label and key as of a `Check`."""

    OPTIONAL = frozenset({"label", "key"})

    schema_version: Literal[1]
    command: str | None = None
    mode: Mode
    threads: int
    affinity: list[int] = Field(default=[])
    created: str = ""
    artefacts: dict[Role, File]
    devices: list[Device]
    label: str = ""
    key: str = ""


def read_bench(path: Path) -> Bench:
    """What a file of `edge.bench --json` holds.

    Raises:
        InputError: it is not such a file; the message names the first field that is wrong.
    """
    from pose.files import read_json

    return validated(Bench, read_json(path), path, "edge.bench")
