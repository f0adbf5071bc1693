"""What the commands write as JSON and what reports read: one frozen pydantic record for each kind of result.

Commands make records, JSON is their dump, and reports compute nothing anew. A record refuses NaN, infinity and every number
out of its range (`edge.evaluate.bounds`), and counts that disagree: a number that means nothing is never a result. Those of
timing are in `edge.evaluate.timings`.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)

from edge.evaluate.bounds import (
    Coordinate,
    Count,
    Distance,
    DistanceInterval,
    Figure,
    FileBytes,
    Number,
    Score,
    ScoreInterval,
)
from pose.card import Coverage, Digest, Precision
from pose.errors import InputError, first_problem

SCHEMA: Literal[1] = 1
Points = Annotated[list[tuple[Coordinate, Coordinate]], Field(min_length=1, max_length=10_000)]
Measure = Literal["ap", "pck"]
MEASURES: tuple[Measure, ...] = ("ap", "pck")
_Side = Annotated[int, Field(strict=True, ge=1, le=4096)]  # of a crop
EMBEDDED = "synthetic validation"  # the name, in `Check.data`, of the drawn people that ship with the package


class Record(BaseModel):
    """Frozen; unknown fields are ignored, so that files of other versions can be read; NaN and infinity are refused.

    Attributes:
        OPTIONAL: fields that the JSON leaves out while they are None or "".
    """

    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)
    OPTIONAL: ClassVar[frozenset[str]] = frozenset()

    def as_json(self) -> JsonValue:
        """The value that a JSON file of this record holds."""
        value: JsonValue = self.model_dump(mode="json", by_alias=True)
        return value

    @model_serializer(mode="wrap")
    def _without_missing(self, serialize: SerializerFunctionWrapHandler) -> dict[str, JsonValue]:
        fields = serialize(self)
        return {name: value for name, value in fields.items() if name not in self.OPTIONAL or value not in (None, "")}


AnyRecord = TypeVar("AnyRecord", bound=BaseModel)


class Pixels(Record):
    """Distance between the keypoints of two runners, in pixels of the crop, over every joint of every person.

    Attributes:
        median_95, p99_95: 95 % bootstrap intervals over the people.
    """

    median: Distance
    p99: Distance
    median_95: DistanceInterval = (None, None)
    p99_95: DistanceInterval = (None, None)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.median > self.p99:
            raise ValueError(f"median {self.median:g} is above p99 {self.p99:g}")
        return self


class Column(Record):
    """Accuracy of one runner. AP, AR and PCK are in points, 0 to 100; None where the data does not define them.

    Attributes:
        ap_95, pck_95: 95 % bootstrap intervals.
        pck_reference: the length that PCK measures errors by, see `pose.metrics.reference_length`; None in older files.
        keypoint_px: distance from the keypoints of the float program; None for that program in a file that leaves it out.
        per_joint_px: joint -> median distance from the float program; empty for that program.
        fake_quant_px: of the lowered artefact, distance from the fake-quantized program.
        host_px: on a device, distance from the same artefact on the host.
        error: the reason why there is no score: of a device, or of fake quantization without torch.
    """

    OPTIONAL = frozenset({"pck_reference", "fake_quant_px", "host_px"})

    ap: Score | None = None
    ap50: Score | None = None
    ap75: Score | None = None
    ar: Score | None = None
    ap_95: ScoreInterval = (None, None)
    pck: Score | None = None
    pck_95: ScoreInterval = (None, None)
    pck_reference: str | None = None
    persons: Count = 0
    keypoint_px: Pixels | None = None
    per_joint_px: dict[str, Distance] = {}
    fake_quant_px: Pixels | None = None
    host_px: Pixels | None = None
    error: str | None = None

    def measure(self, name: Measure) -> float | None:
        """AP or PCK, in points."""
        return self.ap if name == "ap" else self.pck


class Worst(Record):
    """A person on whom artefact and float program differ.

    Attributes:
        index: position in the data.
        px: distance in pixels of the crop, mean over the joints.
        fp32, lowered: both poses, [[x, y], ...] in image pixels.
    """

    index: Count
    px: Distance
    fp32: Points
    lowered: Points

    @model_validator(mode="after")
    def _of_one_skeleton(self) -> Self:
        if len(self.fp32) != len(self.lowered):
            raise ValueError(f"fp32 has {len(self.fp32)} joints, lowered has {len(self.lowered)}")
        return self


class FloatTwin(Record):
    """The float artefact beside an artefact; `torch_px` is its distance from the float program."""

    artefact: str = ""
    bytes: FileBytes
    torch_px: Pixels | None = None


class Check(Record):
    """Accuracy of one artefact: what `edge.check --json` writes.

    Attributes:
        joints: those that the data and the student share.
        limbs: pairs of the student's joints, for drawings.
        crop: width and height in pixels.
        data, images, boxes, skeleton, category, exif: the options of `edge.check`; `data` is a path or `EMBEDDED`.
        people: sha256 of what they name: annotations, photos and boxes; None of an older version's file.
        chance_pck: PCK of the mean pose of the other people, which an answer that ignores the picture reaches; None of
            fewer than two people, or in a file of an older version.
        on_device: device -> column.
        coverage: of the artefact's card, where a report could read it.
        label: distinguishes the check from the others of its report.
        key: identifies the artefact in another report.
    """

    OPTIONAL = frozenset(
        {"images", "skeleton", "category", "exif", "people", "sha256", "coverage", "label", "key", "command"}
    )

    schema_version: Literal[1] = SCHEMA
    artefact: str
    student: str
    target: str
    precision: Precision = "int8"
    sha256: Digest | None = None
    bytes: FileBytes | None = None
    float_twin: FloatTwin | None = None
    persons: Number
    joints: Annotated[list[str], Field(min_length=1)]
    limbs: list[tuple[str, str]] = []
    crop: tuple[_Side, _Side]
    data: str = EMBEDDED
    images: str | None = None
    boxes: str = "annotation"
    skeleton: str | None = None
    category: str | None = None
    exif: Literal["apply", "ignore"] | None = None
    people: Digest | None = None
    command: str | None = None
    chance_pck: Score | None = None
    fp32: Column
    fake_quant: Column
    lowered: Column
    on_device: dict[str, Column] = {}
    worst: list[Worst] = []
    coverage: Coverage | None = None
    label: str = ""
    key: str = ""

    @model_validator(mode="after")
    def _of_the_same_people(self) -> Self:
        columns = {"fp32": self.fp32, "fake_quant": self.fake_quant, "lowered": self.lowered, **self.device_columns}
        for name, column in columns.items():
            if column.persons not in (0, self.persons):  # 0 where a file leaves it out
                raise ValueError(f"{name}.persons is {column.persons}, and persons {self.persons}")
        for person in self.worst:
            if person.index >= self.persons:
                raise ValueError(f"worst names person {person.index} of {self.persons}")
        return self

    @property
    def device_columns(self) -> dict[str, Column]:
        """Device -> column, of the devices that answered."""
        return {name: column for name, column in self.on_device.items() if column.error is None}

    def columns(self) -> dict[str, Column]:
        """Name -> column, the float program first, the devices last.

        Fake quantization is among them only for an int8 artefact, about which alone it says something, and where torch was
        installed.
        """
        lowered = {"float": self.fp32}
        if self.precision == "int8" and self.fake_quant.error is None:
            lowered["fake-quant"] = self.fake_quant
        lowered["lowered"] = self.lowered
        return lowered | {f"on {name}": column for name, column in self.device_columns.items()}


class Checks(Record):
    """What `edge.check --target all --json` writes: variant of the target -> check."""

    schema_version: Literal[1] = SCHEMA
    targets: Annotated[dict[str, Check], Field(min_length=1)]


class TeacherScore(Column):
    """Accuracy of a teacher: what `edge.teacher --json` writes; `joints` are those that the data and the teacher share.

    `chance_pck` is that of `Check`.
    """

    OPTIONAL = frozenset({"keypoint_px", "per_joint_px", "fake_quant_px", "host_px", "error", "chance_pck"})

    schema_version: Literal[1] = SCHEMA
    teacher: str
    joints: list[str]
    data: str
    chance_pck: Score | None = None


class Gate(Record):
    """A limit that the user set, and the measured value; None if there is none, which fails the gate."""

    name: str
    where: str
    limit: Figure
    value: Figure | None
    unit: str
    ok: bool


def device_failures(checks: Iterable[Check]) -> dict[str, str]:
    """Device -> the first reason why it did not answer for an artefact, of those that failed."""
    failures: dict[str, str] = {}
    for check in checks:
        for name, column in check.on_device.items():
            if column.error:
                failures.setdefault(name, column.error)
    return failures


def validated(record: type[AnyRecord], value: JsonValue | dict[str, Any], where: object, command: str = "") -> AnyRecord:
    """The JSON value as that record.

    Args:
        where: of the value, for the message. command: that writes such files.

    Raises:
        InputError: it is none; the message names the first field that is wrong.
    """
    try:
        return record.model_validate(value)
    except ValidationError as error:
        field, reason = first_problem(error)
        hint = f"; it must be what python -m {command} --json writes" if command else ""
        raise InputError(f"{where}: {field + ': ' if field else ''}{reason}{hint}") from error


def read_checks(path: Path) -> dict[str, Check]:
    """Checks of a file of `edge.check --json`: variant of the target -> check, the variant "" where the file has one check.

    Raises:
        InputError: it is not such a file; the message names the first field that is wrong.
    """
    from pose.files import read_json

    value = read_json(path)
    if isinstance(value, dict) and "targets" in value:
        return validated(Checks, value, path, "edge.check").targets
    return {"": validated(Check, value, path, "edge.check")}


def read_check(path: Path) -> Check:
    """The one check of a file of `edge.check --json`.

    Raises:
        InputError: it is not such a file, or it holds several checks.
    """
    checks = read_checks(path)
    if list(checks) != [""]:
        raise InputError(f"{path} holds the checks of several targets; write one with edge.check without --target all")
    return checks[""]


def read_teacher_score(path: Path) -> TeacherScore:
    """What a file of `edge.teacher --json` holds.

    Raises:
        InputError: it is not such a file; the message names the first field that is wrong.
    """
    from pose.files import read_json

    return validated(TeacherScore, read_json(path), path, "edge.teacher")
