"""Records of `edge.doctor`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from edge.evaluate.records import Record


class Diagnosis(Record):
    """One thing that was examined.

    Attributes:
        severity: an `error` keeps the artefact, or every artefact, from running there.
        fix: the command or the action that fixes it, "" where nothing is wrong. The JSON calls it `mend`, as it always did.
    """

    severity: Literal["ok", "warn", "error"]
    what: str
    fix: str = Field(default="", serialization_alias="mend")


class Diagnosed(Record):
    """The diagnoses of one device, or of the host."""

    device: str
    findings: list[Diagnosis]


class Doctor(Record):
    """What `edge.doctor --json` writes; the host is the first device."""

    artefact: str | None = None
    devices: list[Diagnosed]
