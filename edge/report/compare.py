"""The figures of a report beside those of an earlier one: `edge.report --against`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from edge.evaluate import gates
from edge.evaluate.records import Check
from edge.report.model import Change, Entry, Report, entries
from pose.errors import GateError, InputError

BIGGER, LESS_INT8, FARTHER = 1.0, 0.5, 0.5  # tolerated: per cent of size, points of int8 MACs, pixels from float
OF_FILES = ("size", "int8 MACs")  # what changes of files are about
OPTIONS = ("boxes", "skeleton", "category", "exif")  # of edge.check, which decide what is scored


def compare(new: Report, old: Report, worse: float, slower: float) -> list[Change]:
    """Every figure that both reports have or that the new one lacks.

    Args:
        worse: points of AP or PCK that may be lost.
        slower: per cent that the 90th percentile of latency may grow.

    Raises:
        InputError: the float program of the earlier report leaves nothing to lose.
    """
    for check in old.checks:
        if check.fp32.ap is not None:
            gates.require_something_to_lose(check)
    return [*_accuracies(new, old, worse), *_latencies(new, old, slower), *_files(new, old)]


def require(report: Report) -> None:
    """Raises GateError if a gate failed or a figure got worse; one line, the first failure of each kind."""
    regressed = [change for change in report.changes if change.verdict in ("worse", "missing")]
    lines = [line for line in (gates.failure(report.gates),) if line]
    if regressed:
        change = regressed[0]
        now = "no longer measured" if change.new is None else f"{change.old:.2f} -> {change.new:.2f} {change.unit}"
        lines.append(f"{len(regressed)} regressions: {change.what}, {change.where}: {now}")
    if lines:
        raise GateError("; ".join(lines))


def require_comparable(changes: Sequence[Change]) -> None:
    """Raises InputError if no accuracy and no latency could be compared; a missing one is compared, and a regression."""
    measured = [change for change in changes if change.what not in OF_FILES] or changes
    if any(change.verdict != "not comparable" for change in measured):
        return
    why = measured[0].note if measured else "the earlier report has no figures"
    raise InputError(f"--against: nothing could be compared: {why}; give a report of the same people and machine")


def _change(
    where: str, what: str, unit: str, old: float | None, new: float | None, allowed: float, sign: int, note: str = ""
) -> Iterator[Change]:
    """One change; none if the figure was not measured before.

    Args:
        sign: 1 where more is better, -1 where less is.
        note: why the two figures are not comparable, if they are not.
    """
    if old is None:
        return
    gain = None if new is None else sign * (new - old)
    verdict: Literal["better", "same", "worse", "missing", "not comparable"]
    if note:
        verdict = "not comparable"
    elif gain is None:
        verdict = "missing"
    else:
        verdict = "worse" if gain < -allowed else "better" if gain > allowed else "same"
    yield Change(where=where, what=what, unit=unit, old=old, new=new, verdict=verdict, note=note)


def _accuracies(new: Report, old: Report, worse: float) -> Iterator[Change]:
    now = {check.key: check for check in new.checks}
    for before in old.checks:
        after = now.get(before.key)
        note = _other_people(before, after)
        for name, column in before.columns().items():
            other = after.columns().get(name) if after else None
            where = f"{before.label} {name}"
            yield from _change(where, "AP", "points", column.ap, other.ap if other else None, worse, 1, note)
            yield from _change(where, "PCK@0.2", "points", column.pck, other.pck if other else None, worse, 1, note)
            if name != "float" and column.keypoint_px:
                median = other.keypoint_px.median if other and other.keypoint_px else None
                what = "from float, median"
                yield from _change(where, what, "px", column.keypoint_px.median, median, FARTHER, -1, note)


def _other_people(before: Check, after: Check | None) -> str:
    if after is None:
        return ""
    if (after.data, after.persons, after.joints) != (before.data, before.persons, before.joints):
        return f"scored on other people: {before.persons} of {before.data}, now {after.persons} of {after.data}"
    if None not in (before.people, after.people) and before.people != after.people:
        return f"scored on other people: annotations, photos or boxes of {after.data} have changed"
    for option in OPTIONS:
        old, new = getattr(before, option), getattr(after, option)
        if old != new:
            return f"scored on other people: {option} {old or 'by default'}, now {new or 'by default'}"
    return ""


def _latencies(new: Report, old: Report, slower: float) -> Iterator[Change]:
    now: dict[tuple[str, str, str | None], list[Entry]] = {}
    for entry in entries(new):
        if entry.latency or entry.emulated:
            now.setdefault((entry.artefact, entry.precision, entry.device), []).append(entry)
    old_machines, new_machines = _machines(old), _machines(new)
    for before in entries(old):
        if before.latency is None:
            continue
        others = now.get((before.artefact, before.precision, before.device), [])
        after = next((entry for entry in others if entry.emulated or _how(entry) == _how(before)), None)
        machines = old_machines.get(before.device), new_machines.get(before.device)
        note = ""
        if others and machines[0] != machines[1]:
            note = f"another machine: {machines[0]}, now {machines[1]}"
        elif after and after.emulated:
            note = "emulated now"
        elif others and not after:
            note = f"timed in another way: {_how(before)}, now {_how(others[0])}"
        p90 = after.latency.p90 if after and after.latency else None
        where = f"{before.label} {before.precision} on {before.device}"
        yield from _change(where, "p90", "ms", before.latency.p90, p90, before.latency.p90 * slower / 100, -1, note)


def _how(entry: Entry) -> str:
    """How it was timed: a short run, other threads or other cores give other latencies of the same artefact."""
    cores = f" on cores {', '.join(map(str, sorted(set(entry.affinity))))}" if entry.affinity else ""
    return f"{entry.mode}, {entry.threads} thread{'s' * (entry.threads > 1)}{cores}"


def _machines(report: Report) -> dict[str | None, tuple[str, ...]]:
    devices = [device for bench in report.benches for device in bench.devices]
    facts = {device.device: device.facts.before for device in devices}
    return {
        name: tuple(fact for fact in (before.model, before.cpu, before.architecture) if fact) if before else ()
        for name, before in facts.items()
    }


def _files(new: Report, old: Report) -> Iterator[Change]:
    now = {check.key: check for check in new.checks}
    for before in old.checks:
        after = now.get(before.key)
        if after is None:
            continue  # its accuracy is reported as missing
        size, new_size = (check.bytes / 1e6 if check.bytes else None for check in (before, after))
        share, new_share = (100 * check.coverage.int8_macs if check.coverage else None for check in (before, after))
        yield from _change(before.label, "size", "MB", size, new_size, (size or 0) * BIGGER / 100, -1)
        yield from _change(before.label, "int8 MACs", "%", share, new_share, LESS_INT8, 1)
