"""What a report without files does first: score and time artefacts here and on the devices that were named."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edge import bench as benching
from edge import check as checking
from edge import on_device, run
from edge.devices.job import TARGETS
from edge.devices.parallel import open_all
from edge.devices.session import Plan
from edge.report.collect import valid
from edge.report.model import Bench, Check
from pose import card as cards
from targets.base import LOWERED


@dataclass(frozen=True)
class Order:
    """As the command line says it.

    Attributes:
        artefact: None for the latest one. target: of that, or `all`: every target that its program was lowered to.
        data: None for the embedded people.
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


def measure(order: Order) -> tuple[list[Check], list[Bench]]:
    """`edge.check` of the artefacts together, then `edge.bench` of one after the other; of those that the agent runs.

    Raises:
        InputError, BackendError: as these.
    """
    devices = open_all(order.devices)  # a wrong name is said before anything is measured
    every = order.target == "all"
    targets = LOWERED if every else TARGETS if order.target is None else (order.target,)
    latest = order.artefact or run.latest(targets=targets)
    artefacts = run.family(latest) if every else [latest]
    pairs = [benching.twins(artefact) for artefact in artefacts if cards.read(cards.card_path(artefact)).target in TARGETS]
    source = checking.open_source(order.data, order.images, "annotation")
    asked = any(on_device.takes(artefact) for artefact in artefacts)
    away = [device for device in devices if asked and not device.here]  # here, it would answer as it just did
    results = checking.check_all(artefacts, source, limit=order.limit, threads=order.threads, seed=order.seed, devices=away)
    checks = [
        valid(Check, result | _asked(order, Path(result["artefact"])), result["artefact"]) for result in results.values()
    ]
    benches = []
    for pair in pairs:
        limits = benching.RIGOROUS if order.rigorous else benching.QUICK
        plan = Plan(pair, "rigorous" if order.rigorous else "quick", *limits, order.threads)
        command = ["edge.bench", "--artefact", str(pair["int8"]), *(f"--device={each}" for each in order.devices)]
        command += ["--threads", str(order.threads), *(["--rigorous"] if order.rigorous else [])]
        benches.append(valid(Bench, benching.bench(plan, devices) | {"command": _line(command)}, str(pair["int8"])))
    return checks, benches


def _asked(order: Order, artefact: Path) -> dict[str, str]:
    """What `edge.check` would have been told, for who does it again."""
    command = ["edge.check", "--artefact", str(artefact)]
    command += [f"--device={each}" for each in order.devices if each != "local"]
    more = {"data": order.data, "images": order.images, "limit": order.limit, "threads": order.threads, "seed": order.seed}
    for name, value in more.items():
        command += [f"--{name}", str(value)] if value is not None else []
    told = {"data": str(order.data or "synthetic validation"), "command": _line(command)}
    return told | ({"images": str(order.images)} if order.images else {})


def _line(words: Sequence[str]) -> str:
    return shlex.join(["python", "-m", *words])
