"""`python -m edge.bench`: how long an artefact takes beside its float twin, in turns in one process, and what it needs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from pose import cli

# inferences and seconds of each artefact: the rigorous ones are the least that MLPerf Inference takes for a single stream
QUICK, RIGOROUS = (200, 0.0), (1024, 60.0)


def bench(artefact: Path, threads: int = 1, *, rigorous: bool = False) -> dict[str, Any]:
    """Latency, load time and memory of an int8 artefact and its float twin on this machine.

    Returns:
        Of `fp32` and `int8`: `latency_ms` (p50, p90, p99, mean, runs) and `bytes`; of a process that opens just this one:
        `load_ms`, `first_ms` (the first inference), `peak_memory_mb` and `runtime_memory_mb` (before it was opened).

    Raises:
        InputError: the artefact has no twin, or one of them does not match its card.
        BackendError: the runtime failed.
    """
    from edge import run
    from edge.devices import local
    from pose.files import size

    pair = {"fp32": run.twin(artefact, "fp32"), "int8": run.twin(artefact, "int8")}
    alone = {name: local.load(path, threads) for name, path in pair.items()}
    runs, seconds = RIGOROUS if rigorous else QUICK
    with cli.progress("Timing", runs) as step:
        times = local.time_interleaved(list(pair.values()), threads, runs, seconds, step)
    return {
        "device": "local",
        "machine": local.describe(),
        "mode": "rigorous" if rigorous else "quick",
        "threads": threads,
        **{
            name: {"artefact": str(path), "latency_ms": summary(each), **alone[name], "bytes": size(path)}
            for (name, path), each in zip(pair.items(), times, strict=True)
        },
    }


def summary(times: list[float]) -> dict[str, float]:
    """Percentiles and mean of latencies, and how many there are."""
    import numpy as np

    p50, p90, p99 = (float(value) for value in np.percentile(times, [50, 90, 99]))
    return {"p50": p50, "p90": p90, "p99": p99, "mean": float(np.mean(times)), "runs": len(times)}


def _print(result: dict[str, Any]) -> None:
    from rich.table import Table

    table = Table("ms", "p50", "p90", "p99", "mean", "first", "load", "peak MB", "of it runtime", "file MB")
    for name in ("fp32", "int8"):
        each = result[name]
        latency = [f"{each['latency_ms'][k]:.2f}" for k in ("p50", "p90", "p99", "mean")]
        once = [f"{each[k]:.1f}" for k in ("first_ms", "load_ms")]
        memory = [f"{each[k]:.0f}" for k in ("peak_memory_mb", "runtime_memory_mb")]
        table.add_row(name, *latency, *once, *memory, f"{each['bytes'] / 1e6:.2f}")
    out = cli.console()
    out.print(table)
    runs = result["int8"]["latency_ms"]["runs"]
    out.print(f"{result['machine']['cpu']}, {result['threads']} thread(s), {runs} inferences each, in turns")
    if result["mode"] == "quick":
        out.print("Quick: a first impression. --rigorous runs 1024 inferences and a minute of each at least.")


def main(
    device: Annotated[Literal["local"], typer.Option(help="This machine.")] = "local",
    artefact: Annotated[Path | None, typer.Option(metavar="FILE", help="[default: the latest int8 one in dist]")] = None,
    threads: Annotated[int, typer.Option(min=1, max=256, help="Of the runtime.")] = 1,
    rigorous: Annotated[bool, typer.Option("--rigorous", help="At least 1024 inferences and 60 s of each.")] = False,
    json: cli.Json = None,
) -> None:
    """Time an artefact and its float twin, in turns in one process: p50, p90, p99, load time, peak memory."""
    from edge import run
    from pose.files import write_json

    result = bench(artefact or run.latest(), threads, rigorous=rigorous)
    _print(result)
    if json:
        write_json(json, result)


if __name__ == "__main__":
    cli.run(main, "edge.bench", "python -m edge.bench --device local --threads 2")
