"""Records of `edge.export`: the artefacts that were made, what their backends took and what lint found."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from edge.evaluate.bounds import FileBytes
from edge.evaluate.records import Record
from pose import card as cards
from pose.card import Coverage, Digest, Precision
from pose.files import size


class Lint(Record):
    """Something in a program that a backend runs slowly or inaccurately, and the nodes of the graph that it concerns."""

    severity: Literal["error", "warning"]
    message: str
    nodes: list[str]


class Exported(Record):
    """One artefact."""

    artefact: str
    target: str
    precision: Precision
    bytes: FileBytes
    sha256: Digest
    coverage: Coverage | None = None
    lint: list[Lint] = Field(default=[])


class Export(Record):
    """What `edge.export --json` writes; `left_out` is target -> reason."""

    target: str
    artefacts: list[Exported]
    left_out: dict[str, str] = Field(default={})


def exported(artefact: Path) -> Exported:
    """The record of an artefact, from its card."""
    card = cards.read(cards.card_path(artefact))
    findings = card.metrics.get("lint")
    return Exported(
        artefact=str(artefact),
        target=card.target,
        precision=card.precision or "int8",
        bytes=size(artefact),
        sha256=cards.digest(artefact),
        coverage=card.coverage,
        lint=[Lint.model_validate(finding) for finding in findings] if isinstance(findings, list) else [],
    )
