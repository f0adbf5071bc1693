"""What `edge.peers --json` writes: students and foreign networks, scored on the same people and timed in one process."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from edge.evaluate.bounds import Duration, FileBytes, Latency, Number
from edge.evaluate.records import SCHEMA, Column, Record, validated
from edge.evaluate.timings import Facts, Percentiles
from pose.card import Digest
from pose.cli import SET_NAME

Kind = Literal["student", "peer"]
_MultiplyAdds = Annotated[int, Field(strict=True, ge=0, le=10**15)]
_Ratio = Annotated[float, Field(strict=True, gt=0, le=1e9)]


class PeopleSet(Record):
    """A set that every network is scored on; `boxes` as of `edge.check`."""

    path: str
    boxes: str = "annotation"
    persons: Number
    joints: Number


class Accuracy(Column):
    """Of one network on one set; `joints` are those that both have, and `error` says why there is no figure."""

    OPTIONAL = frozenset({"keypoint_px", "per_joint_px", "fake_quant_px", "host_px", "error"})

    joints: list[str] = Field(default=[])


class PeerTiming(Record):
    """Of one network on a number of threads: the runtime alone, from an input that is ready to outputs that are read.

    Attributes:
        min_ms: the fastest inference, which other work on the machine delays least.
        decode_ms: median of what is left to do outside of the file until keypoints are known.
        ratio: of the fastest inference to that of the baseline; None without one.
        peak_share: multiply-adds in a ms over `Peak.mmac_per_ms`; None of a float network.
    """

    threads: Number
    min_ms: Latency
    latency_ms: Percentiles
    decode_ms: Duration
    ratio: _Ratio | None = None
    peak_share: _Ratio | None = None

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.min_ms > self.latency_ms.p50:
            raise ValueError(f"min_ms {self.min_ms:g} is above the median, {self.latency_ms.p50:g}")
        return self


class Peak(Record):
    """Million multiply-adds a ms of the int8 matrix product `targets.gemm`, the fastest of as many runs as a network has."""

    runtime: str
    threads: Number
    mmac_per_ms: Annotated[float, Field(strict=True, gt=0, le=1e9)]


class Network(Record):
    """One network in one file.

    Attributes:
        name: distinguishes it from the others. title: of the network, whatever its runtime and precision.
        crop: width and height of its input in pixels.
        multiply_adds: of one inference; None where the file does not say.
        accuracy: name of the set -> its figures.
        error: why figures are missing.
        skipped: whether there was nothing to measure: its file or its runtime is missing.
    """

    OPTIONAL = frozenset({"bytes", "sha256", "crop", "multiply_adds", "error", "precision"})

    name: str
    title: str
    kind: Kind
    runtime: str
    path: str
    precision: Literal["fp32", "fp16", "int8"] | None = None
    bytes: FileBytes | None = None
    sha256: Digest | None = None
    crop: tuple[Number, Number] | None = None
    multiply_adds: _MultiplyAdds | None = None
    accuracy: dict[str, Accuracy] = Field(default={})
    timings: list[PeerTiming] = Field(default=[])
    error: str | None = None
    skipped: bool = False

    @model_validator(mode="after")
    def _skipped_without_figures(self) -> Self:
        if self.skipped and (self.accuracy or self.timings or not self.error):
            raise ValueError(f"{self.name} is skipped, and has figures or no reason")
        return self

    def timing(self, threads: int) -> PeerTiming | None:
        """On that many threads; None where it was not timed."""
        return next((timing for timing in self.timings if timing.threads == threads), None)


class Peers(Record):
    """The whole comparison.

    Attributes:
        facts: of this machine, its load before the measurement among them.
        block: inferences of a network in its turn, `rounds` turns of each; one more before them is not counted.
        baseline: name of the network that ratios are to; None where none was timed.
    """

    OPTIONAL = frozenset({"command"})

    schema_version: Literal[1] = SCHEMA
    command: str | None = None
    created: str = ""
    facts: Facts = Facts()
    people: dict[Annotated[str, Field(pattern=f"^{SET_NAME}$")], PeopleSet]
    threads: Annotated[list[Number], Field(min_length=1)]
    rounds: Number
    block: Number
    baseline: str | None = None
    peaks: list[Peak] = Field(default=[])
    networks: Annotated[list[Network], Field(min_length=1)]

    @model_validator(mode="after")
    def _names(self) -> Self:
        names = [network.name for network in self.networks]
        if len(set(names)) < len(names):
            raise ValueError(f"networks name {max(names, key=names.count)} twice")
        if self.baseline is not None and self.baseline not in names:
            raise ValueError(f"baseline {self.baseline} is not among the networks")
        unknown = {name for network in self.networks for name in network.accuracy} - set(self.people)
        if unknown:
            raise ValueError(f"networks are scored on {min(unknown)}, which is not among people")
        return self


def read_peers(path: Path) -> Peers:
    """What a file of `edge.peers --json` holds.

    Raises:
        InputError: it is not such a file; the message names the first field that is wrong.
    """
    from pose.files import read_json

    return validated(Peers, read_json(path), path, "edge.peers")
