"""Records of `edge.check` and `edge.bench` -> a report: matched, without emulated times, with warnings."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from edge.devices.job import device_targets
from edge.evaluate.records import SCHEMA, Check, validated
from edge.evaluate.timings import ROLES, Bench, Device, Shape, Timing
from edge.report.escape import own_commands
from edge.report.model import Report, belongs
from pose import card as cards
from pose.errors import InputError
from pose.files import read_json

FEW_PEOPLE = 100
ABOUT_TIMES = ("the governor ", "busy ", "the clock ", "throttled")  # beginnings of warnings
BINS, PARTS = 60, 60  # of a histogram, of latency over time


def read_report(path: Path) -> Report:
    """An earlier report's json.

    Raises:
        InputError: it is not one, or has another schema version.
    """
    value = read_json(path)
    if isinstance(value, dict) and value.get("schema_version") not in (None, SCHEMA):
        raise InputError(f"{path} has schema version {value['schema_version']}, this toolkit reads {SCHEMA}; make it again")
    return validated(Report, value, path, "edge.report")


def collect(checks: Sequence[Check], benches: Sequence[Bench], commands: Sequence[str] = ()) -> Report:
    """Put together what belongs together.

    Args:
        commands: that made this report, beside those that the files name.

    Raises:
        InputError: there is nothing, two files are of the same artefact, or they call two machines by one name.
    """
    if not checks and not benches:
        raise InputError("nothing to report: give --check FILE, --bench FILE or both")
    checks = _labelled([_with_card(check) for check in checks])
    benches = [
        bench.model_copy(update={"devices": [drop_emulated_timings(device) for device in bench.devices]})
        for bench in benches
    ]
    benches = [_named(bench, checks) for bench in benches]
    _require_timed_once(benches)
    _require_one_machine(benches)
    named = [*(check.command for check in checks), *(bench.command for bench in benches)]
    return Report(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        checks=checks,
        benches=benches,
        warnings=list(dict.fromkeys([*_bench_warnings(benches), *_check_warnings(checks, benches)])),
        commands=own_commands([*named, *commands]),
    )


def _with_card(check: Check) -> Check:
    """The check with sha256 and coverage of the card, if the artefact's card is still there and is of what was checked."""
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
    """The checks with the shortest labels that distinguish them: target, with the student or the folder where needed.

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
    file = bench.artefacts[bench.timed]
    names = ((check.label, check.key) for check in checks if belongs(check, bench))
    label, key = next(names, (file.target, Path(file.path).name))
    return bench.model_copy(update={"label": label, "key": key})


def _require_timed_once(benches: Sequence[Bench]) -> None:
    """Raises InputError where one time would hide another, or a gate apply to one that no table shows."""
    seen: set[tuple[str, str, int, str]] = set()
    for bench in benches:
        for device in bench.devices:
            key = bench.key, device.device, bench.threads, bench.mode
            if key in seen:
                raise InputError(
                    f"{bench.key} was timed twice on {device.device} among the files of --bench; give one of them"
                )
            seen.add(key)


def _require_one_machine(benches: Sequence[Bench]) -> None:
    """Raises InputError where files of several computers call each of them `local`: figures of both would be one's."""
    known: dict[tuple[str, str], str] = {}
    for bench in benches:
        for device in bench.devices:
            facts = device.facts.before
            for name in ("model", "cpu", "architecture") if facts else ():
                value = getattr(facts, name)
                if value and known.setdefault((device.device, name), value) != value:
                    raise InputError(
                        f"{device.device} has the {name} {known[device.device, name]} in one file of --bench and {value} in "
                        "another: they are of two machines; make a report of each"
                    )


def drop_emulated_timings(device: Device) -> Device:
    """The device with times as shapes. Of an emulated device, nothing that could be taken for speed or memory is kept."""
    update: dict[str, Timing] = {}
    for name in ROLES:
        timing = device.timing(name)
        if timing is not None and device.emulated:
            update[name] = Timing(golden_px=timing.golden_px)
        elif timing is not None:
            spread = shape(timing.times_ms) if timing.times_ms else timing.shape
            update[name] = timing.model_copy(update={"shape": spread, "times_ms": None, "emulated_ms": None})
    return device.model_copy(update=update)


def shape(times: Sequence[float]) -> Shape:
    """Distribution of latencies, up to a little past their 99th percentile, and their median over the run.

    The histogram ends at twice the 90th percentile at the latest: a tail beyond it would flatten the rest.
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


def _bench_warnings(benches: Sequence[Bench]) -> Iterator[tuple[str, str]]:
    """(device, warning) once for each, with the artefacts that it is about where that is not all of them."""
    about: dict[tuple[str, str], dict[str, str]] = {}
    for bench in benches:
        for device in bench.devices:
            for text in _device_warnings(device, bench):
                alike = re.sub(r"\d+(\.\d+)?", "#", text)  # a load that differs is the same warning
                about.setdefault((device.device, alike), {}).setdefault(bench.label, " ".join(text.split()))
    for (name, _), texts in about.items():
        text = next(iter(texts.values()))
        labels = {bench.label for bench in benches if any(device.device == name for device in bench.devices)}
        yield name, text if set(texts) == labels else f"{text} ({', '.join(texts)})"


def _device_warnings(device: Device, bench: Bench) -> list[str]:
    texts = [*device.warnings, *([device.error] if device.error else [])]
    if device.emulated:  # it has no times for these to be about
        texts = [text for text in texts if not text.startswith(ABOUT_TIMES)]
    if device.emulated and not any("emulated" in text for text in texts):
        texts.append("emulated: its answers count, its times do not")
    timed = not (device.emulated or device.error)
    if bench.mode == "quick" and timed and not any("quick" in text for text in texts):
        texts.append("quick: a first impression; --rigorous runs 1024 inferences and a minute of each at least")
    return texts


def _check_warnings(checks: Sequence[Check], benches: Sequence[Bench]) -> Iterable[tuple[str, str]]:
    targets = device_targets()
    for check in checks:
        outside = check.coverage.undelegated if check.coverage else {}
        of_devices = [text for bench in benches if belongs(check, bench) for one in bench.devices for text in one.warnings]
        if outside and not any("undelegated" in text for text in of_devices):
            operators = ", ".join(f"{count} {name}" for name, count in outside.items())
            yield check.label, f"undelegated: {sum(outside.values())} nodes run outside the backend ({operators})"
        if check.target not in targets:
            yield check.label, f"accuracy only: edge.bench times {', '.join(targets)}"
        for name, column in check.on_device.items():
            if column.error:
                yield name, f"not scored there: {column.error}"
    few = {check.persons for check in checks if check.persons < FEW_PEOPLE}
    if few:
        yield "accuracy", f"{min(few)} people only: the intervals are wide; score at least {FEW_PEOPLE}"
