"""The beginning of the page: sentences about accuracy and latency, and up to four figures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from edge.evaluate.records import Check
from edge.report import words
from edge.report.model import Entry, Report


@dataclass(frozen=True)
class Tile:
    """A figure, what it is, and a note that compares it."""

    value: str
    unit: str
    what: str
    note: str


def title(report: Report) -> str:
    """Title of the page."""
    students = list(dict.fromkeys(check.student for check in report.checks)) or [report.benches[0].label]
    return f"{', '.join(students)}: accuracy and latency"


def fastest(every: Sequence[Entry]) -> list[Entry]:
    """The fastest quantized artefact (90th percentile) of each real device that was timed."""
    best: dict[str, Entry] = {}
    for entry in every:
        if entry.precision != "fp32" and entry.latency and entry.device:
            other = best.get(entry.device)
            if other is None or other.latency is None or entry.latency.p90 < other.latency.p90:
                best[entry.device] = entry
    return list(best.values())


def verdict(report: Report, every: Sequence[Entry], titles: dict[str, str]) -> list[str]:
    """Sentences: what int8 costs in accuracy, then what it gains on each device."""
    sentences = [_cost(report.checks)] if report.checks else []
    for entry in fastest(every):
        base = twin(entry, every)
        assert entry.latency is not None
        on = f"On {titles.get(entry.device or '', entry.device)}, {entry.label} {words.precision(entry)} answers in "
        ratio = base.latency.p50 / entry.latency.p50 if base and base.latency else None
        beside = (
            "" if ratio is None
            else f", {ratio:.1f} times as fast as float" if ratio >= 1.05
            else ", no faster than float" if ratio > 0.95
            else f": slower than float, by {100 / ratio - 100:.0f} %"
        )  # fmt: skip
        sentences.append(f"{on}{words.ms(entry.latency.p90)} ms (90th percentile){beside}.")
    if report.benches and not fastest(every):
        sentences.append("No latency of a real device was measured.")
    return sentences


def twin(entry: Entry, every: Sequence[Entry]) -> Entry | None:
    """The float artefact that was timed in turns with it."""
    alike = (e for e in every if e.precision == "fp32" and (e.artefact, *e.key[2:]) == (entry.artefact, *entry.key[2:]))
    return next(alike, None)


def _cost(checks: Sequence[Check]) -> str:
    losses = [(before - after, before, after, name, check) for check in checks for name, before, after in _measured(check)]
    if not losses:
        return "No accuracy is defined: nobody in the data has labelled joints of the student."
    most, before, after, name, check = max(losses, key=lambda loss: loss[0])
    how = "loses" if round(most, 1) > 0 else "gains" if round(most, 1) < 0 else "keeps"
    by = "its accuracy" if how == "keeps" else f"{abs(most):.1f} points of {name}"
    where = f"{check.label}, " if len(checks) > 1 else ""
    worst = " at worst" if len(checks) > 1 else ""
    within = "" if how == "keeps" or name != "AP" or not _overlap(check) else ", inside float's 95 % interval"
    return f"Lowered to {check.precision}, the student {how}{worst} {by} ({where}{before:.1f} → {after:.1f}){within}."


def _measured(check: Check) -> Iterator[tuple[str, float, float]]:
    """AP or PCK of the float program and of the artefact, by the first measure that both have; nothing where none is."""
    measure = words.shared_measure(check.lowered, check.fp32)
    before, after = (column.measure(measure) if measure else None for column in (check.fp32, check.lowered))
    if measure is not None and before is not None and after is not None:
        yield measure.upper(), before, after


def _overlap(check: Check) -> bool:
    low, high = check.fp32.ap_95
    return low is not None and high is not None and check.lowered.ap is not None and low <= check.lowered.ap <= high


def tiles(report: Report, every: Sequence[Entry], titles: dict[str, str]) -> list[Tile]:
    """Accuracy, keypoints, speed, size; those that were measured."""
    made = []
    best = min(fastest(every), key=lambda e: e.latency.p90 if e.latency else 0.0, default=None)
    check = next((check for check in report.checks if best and check.key == best.artefact), None)
    check = check or (report.checks[0] if report.checks else None)
    if check:
        for name, base, value in _measured(check):
            note = f"{words.change(value, base)} against float's {words.points(base)}"
            unit = "AP" if name == "AP" else "PCK@0.2"
            made.append(Tile(words.points(value), unit, f"{check.label} {check.precision}, lowered", note))
        if moved := check.lowered.keypoint_px:
            note = f"99 % of them by at most {moved.p99:.1f} px"
            made.append(Tile(f"{moved.median:.2f}", "px", "keypoints moved, median", note))
    if best and best.latency:
        base_entry = twin(best, every)
        note = f"float takes {words.ms(base_entry.latency.p90)} ms" if base_entry and base_entry.latency else ""
        where = titles.get(best.device or "", best.device or "")
        made.append(Tile(words.ms(best.latency.p90), "ms", f"p90 on {where}", note))
    size = (check.bytes, check.float_twin.bytes if check.float_twin else None) if check else (None, None)
    if size[0]:
        note = f"{size[0] / size[1]:.0%} of float's {words.megabytes(size[1])} MB" if size[1] else ""
        made.append(Tile(words.megabytes(size[0]), "MB", "file", note))
    return made
