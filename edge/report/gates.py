"""Limits on a report, and its figures beside those of an earlier one."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from edge.report.model import Bench, Change, Check, Entry, Gate, Report, entries
from pose.errors import GateError, InputError

BIGGER, LESS_INT8, FARTHER = 1.0, 0.5, 0.5  # tolerated: per cent of size, points of int8 MACs, pixels from float


def parse_limits(texts: Sequence[str]) -> dict[str | None, float]:
    """`[DEVICE=]MS` -> limits by device; None for those that are not named.

    Raises:
        InputError: one is not of that form, or a device has two.
    """
    limits: dict[str | None, float] = {}
    for text in texts:
        device, _, number = text.rpartition("=")
        try:
            limit = float(number)
        except ValueError:
            limit = math.nan
        if not (limit > 0 and math.isfinite(limit)):
            raise InputError(f"--max-p90-ms {text!r} is not [DEVICE=]MS; write --max-p90-ms 30 or --max-p90-ms local=30")
        if (device or None) in limits:
            raise InputError(f"--max-p90-ms is given twice for {device or 'all devices'}")
        limits[device or None] = limit
    return limits


def accuracy(checks: Sequence[Check], most: float) -> list[Gate]:
    """A gate for every column of every artefact: AP and PCK at most `most` points below float.

    Raises:
        InputError: no accuracy was measured, or AP cannot be told.
    """
    if not checks:
        raise InputError("--max-drop needs an accuracy; give --check FILE")
    gates = []
    for check in checks:
        if check.fp32.ap is None:
            raise InputError(f"{check.label}: AP cannot be told: nobody in {check.data} has labelled joints of the student")
        columns = {"fake-quant": check.fake_quant, "lowered": check.lowered}
        for name, column in (columns | {f"on {device}": column for device, column in check.on_device.items()}).items():
            for measure in ("ap", "pck"):
                before, after = getattr(check.fp32, measure), getattr(column, measure)
                if before is None:
                    continue
                drop = None if after is None else before - after
                what, where = f"{measure.upper()} lost", f"{check.label} {name}"
                ok = drop is not None and drop <= most
                gates.append(Gate(name=what, where=where, limit=most, value=drop, unit="points", ok=ok))
    return gates


def speed(found: Sequence[Entry], benches: Sequence[Bench], limits: dict[str | None, float]) -> list[Gate]:
    """A gate for every quantized artefact on every device that has a limit.

    Raises:
        InputError: a limit that nothing can be held against: no such device, or an emulated one.
    """
    emulated = {device.device: device.emulated for bench in benches for device in bench.devices}
    for device in limits:
        if device is not None and device not in emulated:
            raise InputError(f"--max-p90-ms {device}=...: not measured; there are {', '.join(emulated) or 'no devices'}")
        if device is not None and emulated[device]:
            raise InputError(f"--max-p90-ms {device}=...: it is emulated, and emulated time is not latency")
    if limits and all(emulated.values()):
        raise InputError("--max-p90-ms needs a latency of a real device; give --bench FILE or --device")
    gates = []
    for entry in found:
        limit = limits.get(entry.device, limits.get(None))
        if limit is None or entry.device is None or entry.emulated or entry.precision == "fp32":
            continue
        value, where = entry.latency.p90 if entry.latency else None, f"{entry.label} on {entry.device}"
        ok = value is not None and value <= limit
        gates.append(Gate(name="p90 latency", where=where, limit=limit, value=value, unit="ms", ok=ok))
    return gates


def compare(new: Report, old: Report, worse: float, slower: float) -> list[Change]:
    """Every figure that both reports have or that the new one lacks.

    Args:
        worse: points of AP or PCK that may be lost.
        slower: per cent that the 90th percentile of latency may grow.
    """
    return [*_accuracies(new, old, worse), *_speeds(new, old, slower), *_files(new, old)]


def require(report: Report) -> None:
    """Raises GateError if a gate is not kept or a figure got worse; one line, the first failure of each kind."""
    failed = [gate for gate in report.gates if not gate.ok]
    regressed = [change for change in report.changes if change.verdict in ("worse", "missing")]
    said = []
    if failed:
        gate = failed[0]
        value = "not measured" if gate.value is None else f"{gate.value:.2f} {gate.unit}"
        said.append(
            f"{len(failed)} of {len(report.gates)} gates failed: {gate.name}, {gate.where}: {value}, {gate.limit:g} allowed"
        )
    if regressed:
        change = regressed[0]
        now = "no longer measured" if change.new is None else f"{change.old:.2f} -> {change.new:.2f} {change.unit}"
        said.append(f"{len(regressed)} regressions: {change.what}, {change.where}: {now}")
    if said:
        raise GateError("; ".join(said))


def _change(
    where: str, what: str, unit: str, old: float | None, new: float | None, allowed: float, sign: int, note: str = ""
) -> Change | None:
    """`sign` is 1 where more is better; None if it was not measured before."""
    if old is None:
        return None
    if note:
        verdict = "not comparable"
    elif new is None:
        verdict = "missing"
    else:
        gain = sign * (new - old)
        verdict = "worse" if gain < -allowed else "better" if gain > allowed else "same"
    return Change.model_validate(
        {"where": where, "what": what, "unit": unit, "old": old, "new": new, "verdict": verdict, "note": note}
    )


def _accuracies(new: Report, old: Report, worse: float) -> Iterable[Change]:
    now = {check.key: check for check in new.checks}
    for before in old.checks:
        after = now.get(before.key)
        note = ""
        if after and (after.data, after.persons, after.joints) != (before.data, before.persons, before.joints):
            note = f"scored on other people: {before.persons} of {before.data}, now {after.persons} of {after.data}"
        for name, column in before.columns().items():
            other = after.columns().get(name) if after else None
            where = f"{before.label} {name}"
            found = [
                _change(where, "AP", "points", column.ap, other.ap if other else None, worse, 1, note),
                _change(where, "PCK@0.2", "points", column.pck, other.pck if other else None, worse, 1, note),
            ]
            if name != "float" and column.keypoint_px:
                far = other.keypoint_px.median if other and other.keypoint_px else None
                found.append(_change(where, "from float, median", "px", column.keypoint_px.median, far, FARTHER, -1, note))
            yield from (change for change in found if change)


def _speeds(new: Report, old: Report, slower: float) -> Iterable[Change]:
    now, machines = {entry.key: entry for entry in entries(new)}, [_machines(report) for report in (old, new)]
    for before in entries(old):
        if before.latency is None:
            continue
        after = now.get(before.key)
        note = ""
        if after and machines[0].get(before.device) != machines[1].get(before.device):
            note = f"another machine: {machines[0].get(before.device)}, now {machines[1].get(before.device)}"
        elif after and after.emulated:
            note = "emulated now"
        value = after.latency.p90 if after and after.latency else None
        where = f"{before.label} {before.precision} on {before.device}"
        change = _change(where, "p90", "ms", before.latency.p90, value, before.latency.p90 * slower / 100, -1, note)
        if change:
            yield change


def _machines(report: Report) -> dict[str | None, tuple[object, ...]]:
    devices = [device for bench in report.benches for device in bench.devices]
    facts = {device.device: device.facts.get("before", {}) for device in devices}
    return {name: tuple(fact[k] for k in ("model", "cpu", "architecture") if fact.get(k)) for name, fact in facts.items()}


def _files(new: Report, old: Report) -> Iterable[Change]:
    now = {check.key: check for check in new.checks}
    for before in old.checks:
        after = now.get(before.key)
        if after is None:
            continue  # its accuracy says that it is missing
        size, now_size = (each.bytes / 1e6 if each.bytes else None for each in (before, after))
        share, now_share = (100 * each.coverage.int8_macs if each.coverage else None for each in (before, after))
        found = [
            _change(before.label, "size", "MB", size, now_size, (size or 0) * BIGGER / 100, -1),
            _change(before.label, "int8 MACs", "%", share, now_share, LESS_INT8, 1),
        ]
        yield from (change for change in found if change)
