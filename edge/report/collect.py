"""Files of `edge.check` and `edge.bench` -> a report: validated, matched, emulated times thrown away, warnings gathered."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from pydantic import BaseModel, ValidationError

from edge.devices.job import TARGETS
from edge.report.model import SCHEMA, Bench, Check, Device, Report, Shape, Timing, belongs
from pose import card as cards
from pose.errors import InputError
from pose.files import read_json

FEW_PEOPLE = 100
ABOUT_TIMES = ("the governor ", "busy ", "the clock ", "throttled")  # warnings
BINS, PARTS = 60, 60  # of a histogram, of latency over time
Model = TypeVar("Model", bound=BaseModel)


def read_checks(path: Path) -> list[Check]:
    """What a file of `edge.check --json` holds: one artefact, or several (`--target all`).

    Raises:
        InputError: it is not such a file; the first field that is wrong is named.
    """
    value = read_json(path)
    several = value.get("targets") if isinstance(value, dict) else None
    parts = list(several.values()) if isinstance(several, dict) else [value]
    return [valid(Check, part, path, "edge.check") for part in parts]


def read_bench(path: Path) -> Bench:
    """What a file of `edge.bench --json` holds.

    Raises:
        InputError: it is not such a file; the first field that is wrong is named.
    """
    return valid(Bench, read_json(path), path, "edge.bench")


def read_report(path: Path) -> Report:
    """An earlier report's json.

    Raises:
        InputError: it is not one, or has another schema version.
    """
    value = read_json(path)
    if isinstance(value, dict) and value.get("schema_version") not in (None, SCHEMA):
        raise InputError(f"{path} has schema version {value['schema_version']}, this toolkit reads {SCHEMA}; make it again")
    return valid(Report, value, path, "edge.report")


def collect(checks: Sequence[Check], benches: Sequence[Bench], commands: Sequence[str] = ()) -> Report:
    """Put together what belongs together.

    Args:
        commands: that made this report, beside those that the files name.

    Raises:
        InputError: there is nothing, or two files speak of the same artefact.
    """
    if not checks and not benches:
        raise InputError("nothing to report: give --check FILE, --bench FILE or both")
    checks = _labelled([_with_card(check) for check in checks])
    benches = [bench.model_copy(update={"devices": [_honest(device) for device in bench.devices]}) for bench in benches]
    benches = [_named(bench, checks) for bench in benches]
    named = [*(check.command for check in checks), *(bench.command for bench in benches)]
    return Report(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        checks=checks,
        benches=benches,
        warnings=list(dict.fromkeys([*_of_benches(benches), *_of_checks(checks, benches)])),
        commands=list(dict.fromkeys(command for command in (*named, *commands) if command)),
    )


def valid(model: type[Model], value: Any, where: object, command: str = "") -> Model:
    """The value as that model.

    Raises:
        InputError: it is not; the first field that is wrong is named.
    """
    try:
        return model.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "file"
        mend = f"; it must be what python -m {command} --json writes" if command else ""
        raise InputError(f"{where}: {field}: {first['msg']}{mend}") from error


def _with_card(check: Check) -> Check:
    """The check with what the card says, if the artefact still lies there and is the one that was checked."""
    path = Path(check.artefact)
    try:
        card = cards.read(cards.card_path(path))
    except InputError:
        return check
    digest = card.files.get(path.name)
    if check.sha256 not in (None, digest):
        return check
    return check.model_copy(update={"sha256": digest, "coverage": check.coverage or card.coverage})


def _labelled(checks: list[Check]) -> list[Check]:
    """Each with the shortest label that tells it apart: target, with the student or the folder where needed.

    Raises:
        InputError: two are of the same artefact.
    """
    twice = [path for path, count in Counter(check.artefact for check in checks).items() if count > 1]
    if twice:
        raise InputError(f"{twice[0]} was checked twice among the files of --check; give one of them")
    students = {check.student for check in checks}
    names = [check.target if len(students) == 1 else f"{check.student} {check.target}" for check in checks]
    count = Counter(names)
    labels = [
        f"{name} ({Path(check.artefact).parent})" if count[name] > 1 else name
        for name, check in zip(names, checks, strict=True)
    ]
    count = Counter(labels)
    labels = [Path(check.artefact).name if count[label] > 1 else label for label, check in zip(labels, checks, strict=True)]
    files = Counter(Path(check.artefact).name for check in checks)
    keys = [check.artefact if files[Path(check.artefact).name] > 1 else Path(check.artefact).name for check in checks]
    return [
        check.model_copy(update={"label": label, "key": key}) for check, label, key in zip(checks, labels, keys, strict=True)
    ]


def _named(bench: Bench, checks: list[Check]) -> Bench:
    file = bench.artefacts["int8"]
    names = ((check.label, check.key) for check in checks if belongs(check, bench))
    label, key = next(names, (file.target, Path(file.path).name))
    return bench.model_copy(update={"label": label, "key": key})


def _honest(device: Device) -> Device:
    """The device with times as shapes; of an emulated one nothing that passes for speed or memory is kept."""
    update: dict[str, Any] = {}
    for name in ("fp32", "int8"):
        timing = device.timing(name)
        if timing is not None and device.emulated:
            update[name] = Timing(golden_px=timing.golden_px)
        elif timing is not None and timing.times_ms:
            update[name] = timing.model_copy(update={"shape": shape(timing.times_ms), "times_ms": None})
    return device.model_copy(update=update)


def shape(times: Sequence[float]) -> Shape:
    """How latencies are spread, up to a little past their 99th percentile, and how their median went over the run.

    The histogram ends at twice the 90th percentile at the latest: beyond it is a tail that would flatten all the rest.
    """
    values = np.asarray(times, np.float64)
    start, (p90, p99) = float(values.min()), np.percentile(values, [90, 99]).tolist()
    end = min(p99, 2 * p90)
    width = max((end - start) * 1.05 / BINS, 1e-6)
    places = np.floor((values - start) / width).astype(int)
    counts = np.bincount(places[places < BINS], minlength=BINS)
    over_time = [float(np.median(part)) for part in np.array_split(values, min(PARTS, len(values)))]
    beyond = int((places >= BINS).sum())
    return Shape(start=start, width=width, counts=counts.tolist(), beyond=beyond, over_time=over_time)


def _of_benches(benches: Sequence[Bench]) -> Iterable[tuple[str, str]]:
    """Each warning of a device once, with the artefacts that it is about where that is not all of them."""
    about: dict[tuple[str, str], dict[str, str]] = {}
    for bench in benches:
        for device in bench.devices:
            said = [*device.warnings, *([device.error] if device.error else [])]
            if device.emulated:  # there are no times for these to be about
                said = [text for text in said if not text.startswith(ABOUT_TIMES)]
            if device.emulated and not any("emulated" in text for text in said):
                said.append("emulated: what it answers counts, how long it takes does not")
            timed = not (device.emulated or device.error)
            if bench.mode == "quick" and timed and not any("quick" in text for text in said):
                said.append("quick: a first impression; --rigorous runs 1024 inferences and a minute of each at least")
            for text in said:
                alike = re.sub(r"\d+(\.\d+)?", "#", text)  # a load that differs is the same warning
                about.setdefault((device.device, alike), {}).setdefault(bench.label, " ".join(text.split()))
    for (where, _), told in about.items():
        text = next(iter(told.values()))
        there = {bench.label for bench in benches if any(device.device == where for device in bench.devices)}
        yield where, text if set(told) == there else f"{text} ({', '.join(told)})"


def _said(bench: Bench) -> list[str]:
    return [text for device in bench.devices for text in device.warnings]


def _of_checks(checks: Sequence[Check], benches: Sequence[Bench]) -> Iterable[tuple[str, str]]:
    for check in checks:
        outside = check.coverage.undelegated if check.coverage else {}
        told = any("undelegated" in text for bench in benches if belongs(check, bench) for text in _said(bench))
        if outside and not told:
            operators = ", ".join(f"{count} {name}" for name, count in outside.items())
            yield check.label, f"undelegated: {sum(outside.values())} nodes run outside the backend ({operators})"
        if check.target not in TARGETS:
            yield check.label, f"accuracy only: edge.bench times {', '.join(TARGETS)}"
        for name, column in check.on_device.items():
            if column.error:
                yield name, f"not scored there: {column.error}"
    few = {check.persons for check in checks if check.persons < FEW_PEOPLE}
    if few:
        yield "accuracy", f"{min(few)} people only: the intervals are wide; score at least {FEW_PEOPLE}"
