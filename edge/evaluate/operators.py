"""Where the milliseconds of an artefact go on this host: `edge.bench --per-operator`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.evaluate.timings import Bench, Operator, Role, Timing
from pose import cli
from targets.base import profiler

if TYPE_CHECKING:
    from rich.table import Table

    from edge.dist import Artefact

RUNS = 50  # inferences
SLOWEST = 10  # operators in a table


def with_operators(bench: Bench, artefacts: dict[Role, Artefact], threads: int) -> Bench:
    """The bench with the times of operators in the record of this host.

    Raises:
        InputError, BackendError: see `targets.base.profiler`.
    """
    times = {str(role): operators(artefact, threads) for role, artefact in artefacts.items()}
    devices = []
    for device in bench.devices:
        if device.device == "local":
            timed = {role: device.timing(role) or Timing() for role in times}
            update = {role: timing.model_copy(update={"operators": times[role]}) for role, timing in timed.items()}
            device = device.model_copy(update=update)
        devices.append(device)
    return bench.model_copy(update={"devices": devices})


def operators(artefact: Artefact, threads: int, runs: int = RUNS) -> list[Operator]:
    """Operators of an artefact, the slowest first.

    Raises:
        InputError, BackendError: see `targets.base.profiler`.
    """
    profile = profiler(artefact.card.target)
    artefact.card.verify(artefact.path)
    with cli.quiet():
        times = profile(artefact.path, artefact.card, threads, runs)
    total = sum(time.ms for time in times)
    ordered = sorted(times, key=lambda time: -time.ms)
    return [Operator(name=time.name, kind=time.kind, ms=time.ms, share=time.ms / total if total else 0) for time in ordered]


def operator_table(name: str, times: list[Operator]) -> Table:
    """The slowest operators, and the sum of the others."""
    from rich.table import Table

    table = Table(f"{name}: the slowest of {len(times)} operators", "kind", "ms", "of all")
    for time in times[:SLOWEST]:
        table.add_row(time.name, time.kind, f"{time.ms:.3f}", f"{time.share:.1%}")
    others = times[SLOWEST:]
    if others:
        share = sum(time.share for time in others)
        table.add_row(f"{len(others)} others", "", f"{sum(time.ms for time in others):.3f}", f"{share:.1%}")
    return table
