"""Limits that the user sets with `--max-drop` and `--max-p90-ms`: one meaning for `edge.check`, `edge.bench`, `edge.report`.

A gate passes only on a measured, finite value within its limit. A missing AP, PCK or latency fails it. Where a limit cannot
mean anything, the input is wrong: nothing can be lost where the float program finds nobody, and emulated time is no latency.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from edge.evaluate.records import MEASURES, Check, Gate, TeacherScore
from edge.evaluate.timings import Bench
from pose.errors import GateError, InputError

NO_AP = 0.05  # points; below, AP is printed as 0.0
NEAR_CHANCE = 2.0  # points of PCK
LEAST_PCK = 2.0  # points


def accuracy(checks: Sequence[Check], max_drop: float) -> list[Gate]:
    """A gate for AP and for PCK of every column of every check: at most `max_drop` points below the float program.

    The columns are those that say something about the artefact: fake quantization only of an int8 one, the artefact on this
    machine, and every device, where one that failed fails its gates.

    Raises:
        InputError: nothing was scored, or the float program leaves nothing to lose (`require_something_to_lose`).
    """
    if not checks:
        raise InputError("--max-drop needs an accuracy; give --check FILE")
    gates = []
    for check in checks:
        require_something_to_lose(check)
        name = check.label or check.target
        columns = {column: scored for column, scored in check.columns().items() if column != "float"}
        columns |= {f"on {device}": scored for device, scored in check.on_device.items()}
        for column, scored in columns.items():
            for measure in MEASURES:
                before, after = check.fp32.measure(measure), scored.measure(measure)
                if before is None:
                    continue  # PCK that the data does not define for anybody
                drop = None if after is None else before - after
                gates.append(_gate(f"{measure.upper()} lost", f"{name} {column}", max_drop, drop, "points"))
    return gates


def require_something_to_lose(check: Check) -> None:
    """Raises InputError where the float program is so bad that no artefact could be worse.

    That is an AP that is not defined (nobody has labelled joints of the student) or 0, or a PCK near chance. Chance is the
    PCK of an answer that ignores the picture: each joint at its mean place among the other people (`Check.chance_pck`). A
    regression network that has learned nothing answers with this mean pose, and so does its int8 version. "Near" is
    less than `NEAR_CHANCE` points above it. A file without `chance_pck` is held against `LEAST_PCK`: keypoints at random in
    the crop reach about 1 %, the area of a circle of 0.2 torsos over that of the crop.
    """
    name, ap, pck = check.label or check.target, check.fp32.ap, check.fp32.pck
    data = f"{check.persons} people of {check.data}"
    if ap is None or not math.isfinite(ap):
        raise InputError(f"{name}: AP is not defined: nobody among {data} has labelled joints of the student")
    if ap < NO_AP:
        raise InputError(
            f"{name}: the float program has AP {ap:.1f} on {data}: there is nothing to lose; train it, or check its data"
        )
    if pck is not None and not pck >= _least_pck(check.chance_pck):
        chance = _near_chance(check.chance_pck)
        raise InputError(
            f"{name}: the float program has PCK {pck:.1f} on {data}, which is {chance}: there is nothing to lose"
        )


def require_above_chance(score: TeacherScore) -> None:
    """Raises InputError where a teacher's answers say nothing about the pictures: its figures are no accuracy.

    That is a PCK near chance, see `require_something_to_lose`; an AP of 0; or neither is defined.
    """
    data = f"{score.persons} people of {score.data}"
    if score.ap is None and score.pck is None:
        raise InputError(
            f"{score.teacher}: AP and PCK are not defined: nobody among {data} has labelled joints of the teacher"
        )
    if score.pck is not None and not score.pck >= _least_pck(score.chance_pck):
        has = f"PCK {score.pck:.1f} on {data}, which is {_near_chance(score.chance_pck)}"
    elif score.ap is not None and score.ap < NO_AP:
        has = f"AP {score.ap:.1f} on {data}"
    else:
        return
    raise InputError(
        f"{score.teacher} has {has}; check its YAML (size, mean, std, colour, joints), its weights, and the boxes"
    )


def _least_pck(chance: float | None) -> float:
    """The PCK, in points, from which on a network has learned something."""
    return LEAST_PCK if chance is None else max(LEAST_PCK, chance + NEAR_CHANCE)


def _near_chance(chance: float | None) -> str:
    return "near chance" + ("" if chance is None else f"; an answer that ignores the picture has {chance:.1f}")


def latency(benches: Sequence[Bench], limits: dict[str | None, float]) -> list[Gate]:
    """A gate for the 90th percentile of the artefact on every device that has a limit.

    Args:
        limits: device -> milliseconds; None for those that are not named. Only these leave out emulated devices.

    Raises:
        InputError: a limit cannot be applied: no such device, or only emulated ones.
    """
    emulated = {device.device: device.emulated for bench in benches for device in bench.devices}
    for name in limits:
        if name is not None and name not in emulated:
            raise InputError(f"--max-p90-ms {name}=...: not measured; there are {', '.join(emulated) or 'no devices'}")
        if name is not None and emulated[name]:
            raise InputError(f"--max-p90-ms {name}=...: it is emulated, and emulated time is not latency")
    if limits and all(emulated.values()):
        raise InputError("--max-p90-ms needs a latency of a real device; give --bench FILE or --device")
    gates = []
    for bench in benches:
        for device in bench.devices:
            limit = limits.get(device.device, limits.get(None))
            if limit is None or device.emulated:
                continue
            timing = device.timing(bench.timed)
            time = timing.latency_ms if timing else None
            where = f"{bench.label or bench.artefacts[bench.timed].target} on {device.device}"
            gates.append(_gate("p90 latency", where, limit, time.p90 if time else None, "ms"))
    return gates


def parse_latency_limits(texts: Sequence[str]) -> dict[str | None, float]:
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


def failure(gates: Sequence[Gate]) -> str | None:
    """One line about the first gate that failed and the number of all that did; None if none did."""
    failed = [gate for gate in gates if not gate.ok]
    if not failed:
        return None
    first = failed[0]
    value = "not measured" if first.value is None else f"{first.value:.2f} {first.unit}"
    return f"{len(failed)} of {len(gates)} gates failed: {first.name}, {first.where}: {value}, {first.limit:g} allowed"


def require(gates: Sequence[Gate]) -> None:
    """Raises GateError if a gate failed."""
    line = failure(gates)
    if line:
        raise GateError(line)


def _gate(name: str, where: str, limit: float, value: float | None, unit: str) -> Gate:
    measured = value if value is not None and math.isfinite(value) else None
    return Gate(
        name=name, where=where, limit=limit, value=measured, unit=unit, ok=measured is not None and measured <= limit
    )
