"""The report as a page, Markdown, JSON and CSV."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2

from edge.evaluate.records import Gate
from edge.report import escape, joints, latency, operators, scatter, summary, tables, words
from edge.report.model import Entry, Report, entries
from pose.files import write_json, write_text
from targets import boards

if TYPE_CHECKING:
    from edge.report.worst import Crop

TEMPLATES = Path(__file__).parent / "templates"


def write(report: Report, crops: Sequence[Crop], out: Path) -> list[Path]:
    """Write `out` (HTML) and, beside it, the same name with .md, .csv and .json, each atomically.

    Args:
        crops: of the artefact that shifts keypoints most (`edge.report.worst`).

    Raises:
        InputError: they cannot be written.
    """
    page, markdown = render(report, crops, "page.html.j2"), render(report, crops, "report.md.j2")
    written = paths(out)
    for path, text in zip(written, (page, markdown, tables.as_csv(entries(report))), strict=False):
        write_text(path, text)
    write_json(written[-1], report.as_json())
    return written


def paths(out: Path) -> list[Path]:
    """The files of a report whose page is `out`: HTML, Markdown, CSV, JSON."""
    return [out, *(out.with_suffix(suffix) for suffix in (".md", ".csv", ".json"))]


def verdict(report: Report) -> list[str]:
    """The first sentences of the page."""
    return summary.verdict(report, entries(report), _titles(report))


def render(report: Report, crops: Sequence[Crop], template: str) -> str:
    """The page, or Markdown."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=template.endswith(".html.j2"),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {"cell": escape.markdown, "fenced": escape.fenced}
    return escape.lines_as_shown(environment.get_template(template).render(_content(report, crops)))


def _content(report: Report, crops: Sequence[Crop]) -> dict[str, Any]:
    every, titles = entries(report), _titles(report)
    devices = [(bench, device) for bench in report.benches for device in bench.devices]
    limits = {
        entry.device: gate.limit
        for gate in report.gates
        if gate.unit == "ms"
        for entry in every
        if entry.device and gate.where.endswith(f" on {entry.device}")
    }
    facts = [tables.facts(device, titles[device.device]) for _, device in devices]
    bad = [change for change in report.changes if change.verdict in ("worse", "missing")]
    pairs = [_pair(every, entry) for entry in every if entry.precision != "fp32" and entry.latency]
    return {
        "report": report,
        "title": summary.title(report),
        "verdict": summary.verdict(report, every, titles),
        "tiles": summary.tiles(report, every, titles),
        "gates": _gates(report),
        "regressed": bad,
        "warnings": [(titles.get(where, where), [text for _, text in group])
                     for where, group in groupby(sorted(report.warnings, key=lambda w: w[0]), key=lambda w: w[0])],
        "scatter": scatter.scatter(every, limits, titles),
        "emulated": sorted({titles[device.device] for _, device in devices if device.emulated}),
        "accuracy": tables.accuracy(report),
        "latency": tables.latency(every, titles),
        "spread": [figure for pair in pairs if (figure := latency.distribution(pair, _heading(pair[-1], every, titles)))],
        "stages": latency.stages(every, titles),
        "operators": [figure for entry in every if (figure := operators.slowest(entry, _heading(entry, every, titles)))],
        "coverage": tables.coverage(report),
        "joints": joints.per_joint(report.checks),
        "crops": crops,
        "moved": crops[0].label if crops else "",
        "facts": list({table.caption: table for table in facts if table}.values()),
        "notes": _notes(report),
        "changes": tables.changes(report),
    }  # fmt: skip


def _gates(report: Report) -> list[Gate]:
    """Those that failed; if none did, the tightest of each kind."""
    failed = [gate for gate in report.gates if not gate.ok]
    tightest = {(gate.name, gate.limit): gate for gate in sorted(report.gates, key=lambda gate: gate.value or 0)}
    return failed or [tightest[kind] for kind in sorted(tightest)]


def _titles(report: Report) -> dict[str, str]:
    """Device -> title; with its name where several have the same title."""
    named = {device.device: words.device_title(device) for bench in report.benches for device in bench.devices}
    twice = [title for title in named.values() if list(named.values()).count(title) > 1]
    return {name: f"{title} ({name})" if title in twice else title for name, title in named.items()}


def _pair(every: Sequence[Entry], entry: Entry) -> list[Entry]:
    base = summary.twin(entry, every)
    return [base, entry] if base else [entry]


def _heading(entry: Entry, every: Sequence[Entry], titles: dict[str, str]) -> str:
    where = titles.get(entry.device or "", entry.device or "")
    return f"{where}, {entry.label}" if len({other.label for other in every}) > 1 else where


def _notes(report: Report) -> list[tuple[str, tuple[str, ...]]]:
    """Notes about the boards that were measured."""
    names = dict.fromkeys(device.board for bench in report.benches for device in bench.devices)
    known = [boards.get(name) for name in names if name in boards.known() and name != boards.GENERIC]
    return [(board.title, board.notes) for board in known if board.notes]
