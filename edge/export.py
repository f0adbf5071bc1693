"""`python -m edge.export`: a program -> an artefact for one backend, its float twin beside it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from pose import cli
from pose.errors import InputError


def export(program: Path, target: str, precision: Literal["int8", "fp32"], out: Path) -> list[Path]:
    """Lower the program's graph of that precision and, always, its float one; returns the artefacts, the float one last.

    A copy of the program goes beside them, so that `edge.check` has what the artefact is compared with.

    Raises:
        InputError: the program is missing, damaged or not whole, or `out` cannot be written to.
        BackendError: the backend's toolchain is not installed, or failed.
    """
    from edge import run
    from pose.program import load_program
    from targets import base

    source = load_program(program)  # before the toolchain, whose import takes seconds
    backend = base.get(target)
    _require_writable(out)  # before minutes of lowering
    wanted: list[Literal["int8", "fp32"]] = ["int8", "fp32"] if precision == "int8" else ["fp32"]
    made = []
    with cli.progress(f"Lowering to {target}", len(wanted)) as step:
        for done, each in enumerate(wanted, 1):
            with cli.quiet():
                made.append(backend.lower(source, out, each).path)
            step(done)
    run.keep_program(source, made[0])
    return made


def _require_writable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot write {folder}: {error.strerror}; choose another folder with --out") from error
    if not os.access(folder, os.W_OK):
        raise InputError(f"cannot write {folder}: no permission; choose another folder with --out")


def _rows(artefact: Path) -> dict[str, Any]:
    from pose import card as cards
    from pose.card import digest

    card = cards.read(cards.card_path(artefact))
    row: dict[str, Any] = {"artefact": str(artefact), "precision": card.precision, "bytes": artefact.stat().st_size}
    return {**row, "sha256": digest(artefact), "coverage": card.coverage.model_dump() if card.coverage else None}


def main(
    target: Annotated[str, typer.Option(help="Backend: executorch.")] = "executorch",
    program: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="What quantization wrote [default: the bundled int8 student].")
    ] = None,
    precision: Annotated[Literal["int8", "fp32"], typer.Option(help="int8 comes with its float twin.")] = "int8",
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Where the artefacts go.")] = Path("dist"),
    json: cli.Json = None,
) -> None:
    """Lower a program to an artefact for one backend; the float twin is always written beside it."""
    from rich.table import Table

    from pose.files import write_json
    from pose.weights import bundled

    rows = [_rows(artefact) for artefact in export(program or bundled(), target, precision, out)]
    table = Table("artefact", "precision", "MB", "delegates", "nodes outside", "int8 ops", "int8 MACs")
    for row in rows:
        covered = row["coverage"] or {}
        shares = [f"{covered[name]:.1%}" if covered else "" for name in ("int8_ops", "int8_macs")]
        outside = str(sum(covered["undelegated"].values())) if covered else ""
        size = f"{row['bytes'] / 1e6:.2f}"
        table.add_row(row["artefact"], row["precision"], size, str(covered.get("delegates", "")), outside, *shares)
    cli.console().print(table)
    if json:
        write_json(json, {"target": target, "artefacts": rows})


if __name__ == "__main__":
    cli.run(main, "edge.export", "python -m edge.export --target executorch --out dist")
