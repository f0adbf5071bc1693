"""`python -m edge.npu`: which operators of an int8 `.tflite` an Arm Ethos-U NPU would run, and which the CPU beside it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from pose import cli

if TYPE_CHECKING:
    from rich.table import Table

    from edge.evaluate.npu import NpuEstimate


def estimate_table(estimates: list[NpuEstimate]) -> Table:
    """One row a file. Every number is the compiler's estimate, none is a latency."""
    from rich.table import Table

    table = Table("file", "operators", "on the CPU", "multiply-adds on the NPU", "cycles", "SRAM, KiB")
    table.title = f"{estimates[0].column}, by {estimates[0].compiler}"
    for row in estimates:
        cpu = f"{row.cpu_operators} ({row.cpu_operators / row.operators:.0%})"
        npu_macs = f"{1 - row.cpu_macs / row.macs:.1%}" if row.macs else ""
        cycles = f"{row.cycles / 1e6:.2f} M" if row.cpu_operators < row.operators else ""
        table.add_row(
            Path(row.artefact).name,
            str(row.operators),
            cpu,
            npu_macs,
            cycles,
            f"{row.sram_bytes / 1024:.0f}" if cycles else "",
        )
    return table


def main(
    artefact: Annotated[list[Path], typer.Option(metavar="FILE", help="A .tflite; repeatable.")],
    accelerator: Annotated[
        Literal[
            "ethos-u55-128",
            "ethos-u55-256",
            "ethos-u65-256",
            "ethos-u65-512",
            "ethos-u85-256",
            "ethos-u85-512",
            "ethos-u85-1024",
        ],
        typer.Option(help="The NPU and its multiply-adds a cycle."),
    ] = "ethos-u85-256",
    json: cli.Json = None,
) -> None:
    """Estimate with Arm's compiler Vela how much of a .tflite an Ethos-U NPU takes; needs the extra `vela`."""
    from edge.evaluate.npu import estimate
    from pose.files import write_json

    estimates = [estimate(path, accelerator) for path in cli.track(artefact, "Compiling", len(artefact))]
    if json:
        write_json(json, [row.as_json() for row in estimates])
    out = cli.console()
    out.print(estimate_table(estimates))
    for row in estimates:
        for group in row.cpu:
            out.print(f"{Path(row.artefact).name}, on the CPU: {group.count} {group.operator} ({group.reason})")


if __name__ == "__main__":
    cli.run(main, "edge.npu", "python -m edge.npu --artefact dist/distilpose_edge-tflite-int8.tflite")
