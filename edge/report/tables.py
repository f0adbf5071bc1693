"""The report's tables, for the page and for Markdown alike, and the rows of the CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from edge.evaluate.records import Column
from edge.evaluate.timings import Device
from edge.report import words
from edge.report.escape import spreadsheet
from edge.report.model import Entry, Report
from edge.report.svg import Scale, canvas, line, span, tag

GLYPH = 150  # pixels


@dataclass(frozen=True)
class Row:
    """Cells as text. `note` takes the place of missing cells at the end, `glyph` is in the last cell of the page."""

    cells: tuple[str, ...]
    note: str = ""
    kind: str = ""
    glyph: Markup | None = None


@dataclass(frozen=True)
class Table:
    """The first `words` columns are words, the others figures."""

    caption: str
    heads: tuple[str, ...]
    rows: tuple[Row, ...]
    words: int = 1
    glyph: str = ""


def accuracy(report: Report) -> Table | None:
    """Float, fake-quant, lowered and on device; rows that several artefacts of one program share appear once."""
    rows: dict[tuple[object, ...], tuple[str, str, Column, Column]] = {}
    several, students = len(report.checks) > 1, {check.student for check in report.checks}
    for check in report.checks:
        for name, column in check.columns().items():
            shared = name in ("float", "fake-quant")
            what = name if shared or not several else f"{name}, {check.label}"
            what = f"{check.student}: {what}" if shared and len(students) > 1 else what
            key = (what if shared else f"{check.key} {name}", column.ap, column.pck, column.keypoint_px)
            rows.setdefault(key, (what, words.column_class(name), column, check.fp32))
    if not rows:
        return None
    ends = [end for _, _, column, _ in rows.values() for end in (*column.ap_95, column.ap) if end is not None]
    x = Scale(*span(ends, least=2), 4, GLYPH - 4) if ends else None
    made = tuple(_scored(what, kind, column, base, x) for what, kind, column, base in rows.values())
    heads = ("", "AP", "Δ", "95 %", "PCK@0.2", "Δ", "px from float", "p99", "px from host")
    used = [index for index, _ in enumerate(heads) if index == 0 or any(row.cells[index] for row in made)]
    made = tuple(Row(tuple(row.cells[i] for i in used), kind=row.kind, glyph=row.glyph) for row in made)
    data = sorted({f"{check.persons} people of {check.data}" for check in report.checks})
    caption = f"AP and PCK@0.2 in points on {'; '.join(data)}. Δ is against float; px, pixels of the crop, are medians."
    return Table(caption, tuple(heads[i] for i in used), made, glyph="AP" if x else "")


def _scored(what: str, kind: str, column: Column, base: Column, x: Scale | None) -> Row:
    far, host = column.keypoint_px, column.host_px
    pixels = ("", "") if far is None or kind == "float" else (f"{far.median:.2f}", f"{far.p99:.2f}")
    changes = ("", "") if kind == "float" else (words.change(column.ap, base.ap), words.change(column.pck, base.pck))
    scores = (words.points(column.ap), changes[0], words.interval(column.ap_95), words.points(column.pck), changes[1])
    return Row(
        (what, *scores, *pixels, f"{host.median:.3f}" if host else ""), kind=kind, glyph=_glyph(column, base, kind, x)
    )


def _glyph(column: Column, base: Column, kind: str, x: Scale | None) -> Markup | None:
    if x is None or column.ap is None:
        return None
    low, high = column.ap_95
    parts = [line(x(base.ap), 0, x(base.ap), 18, "base")] if base.ap is not None else []
    parts += [line(x(low), 9, x(high), 9, f"whisker {kind}")] if low is not None and high is not None else []
    return canvas(GLYPH, 18, *parts, tag("circle", cx=x(column.ap), cy=9, r=4.5, class_=f"dot {kind}"))


def latency(every: Sequence[Entry], titles: dict[str, str]) -> Table | None:
    """A row for each artefact, precision and device; an emulated device has no figures."""
    timed = [entry for entry in every if entry.device is not None]
    if not timed:
        return None
    floats = {(e.artefact, e.device, e.threads): e.latency.p50 for e in timed if e.precision == "fp32" and e.latency}
    rows, group = [], None
    devices = list(dict.fromkeys(entry.device for entry in timed))
    for entry in sorted(timed, key=lambda one: devices.index(one.device)):
        if entry.device != group:
            group = entry.device
            rows.append(Row((titles.get(group or "", group or ""),), kind="group"))
        name = f"{entry.label} {words.precision(entry)}"
        kind = words.css_class(entry)
        timing, time = entry.timing, entry.latency
        if time is None or timing is None:
            note = words.EMULATED if entry.emulated else "not measured"
            if timing and timing.golden_px is not None:
                note += f"; golden crop: {timing.golden_px:.3f} px from its card's answer"
            rows.append(Row((name, words.megabytes(entry.bytes)), note=note, kind=kind))
            continue
        base = floats.get((entry.artefact, entry.device, entry.threads))
        faster = f"{base / time.p50:.2f}×" if base and entry.precision != "fp32" else ""
        memory = "" if timing.peak_memory_mb is None else f"{timing.peak_memory_mb:.0f}"
        figures = tuple(words.ms(value) for value in (time.p90, time.p50, time.p99, time.mean))
        once = (words.ms(timing.first_ms), words.ms(timing.load_ms), memory)
        size = words.megabytes(entry.bytes)
        rows.append(Row((name, size, *figures, faster, *once, str(time.runs), str(entry.threads)), kind=kind))
    heads = (
        "artefact",
        "file MB",
        "p90 ms",
        "p50",
        "p99",
        "mean",
        "speed-up",
        "first",
        "load",
        "peak MB",
        "runs",
        "threads",
    )
    caption = (
        "Float and int8 in turns in one process. Speed-up is that of the median over float's; first is the first inference, "
        "peak MB the resident memory of a process that runs this artefact alone, runtime included."
    )
    return Table(caption, heads, tuple(rows))


def coverage(report: Report) -> Table | None:
    """What the backends took, from the cards of the artefacts."""
    rows = []
    for check in report.checks:
        covered = check.coverage
        if covered is None:
            rows.append(Row((check.label,), note="its card is not beside it"))
            continue
        outside = ", ".join(f"{count} {name}" for name, count in covered.undelegated.items()) or "none"
        shares = [words.share(value) for value in (covered.int8_macs, covered.int8_ops, covered.float_matmul_macs)]
        rows.append(Row((check.label, *shares, str(covered.delegates), outside), glyph=_bar(covered.int8_macs)))
    heads = ("artefact", "int8 MACs", "int8 operators", "float attention MACs", "subgraphs", "operators outside")
    caption = (
        "Shares of the multiply-adds (MACs) and of the arithmetic operators that run in int8; of the MACs that are matrix "
        "products of attention in float; how many subgraphs the backend took (one: the graph is never split)."
    )
    return Table(caption, heads, tuple(rows), glyph="int8 MACs") if rows else None


def _bar(share: float) -> Markup:
    parts = [tag("rect", x=0, y=4, width=width, height=10, rx=2, class_=kind)
             for width, kind in ((GLYPH, "track"), (GLYPH * share, "fill"))]  # fmt: skip
    return canvas(GLYPH, 18, *parts)


def facts(device: Device, title: str) -> Table | None:
    """Facts of one device before and after the run, with a mark where they changed."""
    before, after = (facts.reported() if facts else {} for facts in (device.facts.before, device.facts.after))
    rows = []
    for name in dict.fromkeys([*before, *after]):
        values = tuple(_plain(facts.get(name)) for facts in (before, after))
        changed = bool(after) and values[0] != values[1]
        cells = (name.replace("_", " "), values[0], values[1] if changed else "")
        rows.append(Row(cells, kind="changed" if changed else ""))
    name = title if device.device in ("local", title) else f"{title}, {device.device}"
    return Table(name, ("fact", "before", "after, where it changed"), tuple(rows), 3) if rows else None


def _plain(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_plain(part)}" for key, part in value.items() if part not in ([], ""))
    if isinstance(value, list | tuple):
        return ", ".join(map(_plain, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value).strip("\0\n ")


def changes(report: Report) -> Table | None:
    """Beside an earlier report: what got worse first; what stayed as it was last."""
    order = ("worse", "missing", "not comparable", "better", "same")
    rows = []
    for change in sorted(report.changes, key=lambda one: order.index(one.verdict)):
        values = tuple("" if value is None else f"{value:.2f}" for value in (change.old, change.new))
        by = "" if change.note else words.change(change.new, change.old, 2)
        verdict = f"{change.verdict}: {change.note}" if change.note else change.verdict
        rows.append(
            Row((change.where, f"{change.what}, {change.unit}", verdict, *values, by), kind=change.verdict.split()[0])
        )
    heads = ("", "figure", "verdict", "earlier", "now", "change")
    return Table("Every figure of the earlier report.", heads, tuple(rows), 3) if rows else None


CSV = ("artefact", "student", "target", "precision", "device", "board", "emulated", "mode", "threads", "scored", "persons",
       "ap", "pck", "px_median", "px_p99", "p50_ms", "p90_ms", "p99_ms", "mean_ms", "runs", "first_ms", "load_ms",
       "peak_memory_mb", "bytes")  # fmt: skip


def as_csv(every: Sequence[Entry]) -> str:
    """One row for each entry. What was not measured is empty, and so is every time of an emulated device."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(CSV)
    for entry in every:
        score, time, timing = entry.accuracy, entry.latency, entry.timing if entry.latency else None
        far = score.keypoint_px if score and entry.precision != "fp32" else None
        about = (entry.artefact, entry.student, entry.target, entry.precision, entry.device, entry.board, entry.emulated)
        cells = [
            *about, entry.mode, entry.threads or None, entry.scored if score else None,
            *((score.persons, score.ap, score.pck) if score else (None,) * 3),
            *((far.median, far.p99) if far else (None,) * 2),
            *((time.p50, time.p90, time.p99, time.mean, time.runs) if time else (None,) * 5),
            *((timing.first_ms, timing.load_ms, timing.peak_memory_mb) if timing else (None,) * 3),
            entry.bytes,
        ]  # fmt: skip
        writer.writerow([spreadsheet(cell) if isinstance(cell, str) else cell for cell in cells])
    return out.getvalue()
