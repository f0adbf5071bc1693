"""What a report without files does first: score and time artefacts, here and on the devices that were named."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from calib_data.coco import Reading
from edge import bench as benching
from edge import dist
from edge.devices import answers as device_answers
from edge.devices.job import device_targets
from edge.devices.parallel import open_all
from edge.devices.session import Plan
from edge.evaluate.check import check_all, open_source
from edge.evaluate.records import EMBEDDED, Check
from edge.evaluate.timings import Bench


@dataclass(frozen=True)
class Order:
    """The options of the command.

    Attributes:
        artefact: None for the latest one.
        target: of the latest one, or `all`: every target that its program was lowered to.
        data: None for the embedded people.
        reading: how it is read.
    """

    artefact: Path | None
    target: str | None
    devices: Sequence[str]
    data: Path | None
    images: Path | None
    limit: int | None
    threads: int
    rigorous: bool
    seed: int
    apk: Path | None = None
    reading: Reading = field(default_factory=Reading)


def measure(order: Order) -> tuple[list[Check], list[Bench]]:
    """`edge.check` of the artefacts together, then `edge.bench` of each one that the agent runs.

    Raises:
        InputError, BackendError: as these.
    """
    devices = open_all(order.devices, order.apk)  # a wrong name is reported before anything is measured
    every = order.target == "all"
    targets = None if every else device_targets() if order.target is None else (order.target,)
    latest = dist.find_or_latest(order.artefact, targets)
    artefacts = latest.siblings if every else [latest]
    timed = [artefact for artefact in artefacts if artefact.card.target in device_targets()]
    pairs = [benching.twins(artefact) for artefact in timed]
    source = open_source(order.data, order.images, "annotation", **order.reading)
    answerable = any(device_answers.is_answerable(artefact) for artefact in artefacts)
    away = [device for device in devices if answerable and not device.here]  # here, it would give the same answers again
    results = check_all(artefacts, source, limit=order.limit, threads=order.threads, seed=order.seed, devices=away)
    checks = [check.model_copy(update=_origin(order, check.artefact)) for check in results.values()]
    benches = []
    for pair in pairs:
        limits = benching.RIGOROUS if order.rigorous else benching.QUICK
        plan = Plan(pair, "rigorous" if order.rigorous else "quick", *limits, order.threads)
        *_, timed_artefact = pair.values()
        command = ["edge.bench", "--artefact", str(timed_artefact.path), *(f"--device={name}" for name in order.devices)]
        command += ["--threads", str(order.threads), *(["--rigorous"] if order.rigorous else [])]
        benches.append(benching.bench(plan, devices).model_copy(update={"command": _line(command)}))
    return checks, benches


def _origin(order: Order, artefact: str) -> dict[str, str | None]:
    """Fields of a check: the data, and the command that reproduces it."""
    command = ["edge.check", "--artefact", artefact]
    command += [f"--device={name}" for name in order.devices if name != "local"]
    reading = {"category": order.reading.get("category"), "exif": order.reading.get("exif")}
    options = {"data": order.data, "images": order.images, **reading, "limit": order.limit}
    for name, value in (options | {"threads": order.threads, "seed": order.seed}).items():
        command += [f"--{name}", str(value)] if value is not None else []
    command += ["--strict"] if order.reading.get("strict") else []
    images = str(order.images) if order.images else None
    return {"data": str(order.data or EMBEDDED), "command": _line(command), "images": images, **reading}


def _line(words: Sequence[str]) -> str:
    return shlex.join(["python", "-m", *words])
