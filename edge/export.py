"""`python -m edge.export`: a program -> artefacts for one backend or for all of them, float twins beside them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from pose import cli
from pose.errors import GateError, InputError

Precision = Literal["int8", "fp16", "fp32"]


def export(
    program: Path, target: str, precision: Precision, out: Path, pixels: Literal["float32", "uint8"] = "float32"
) -> list[Path]:
    """Lower the program's graph of that precision and, always, its float one; returns the artefacts, the float one last.

    A copy of the program goes beside them, so that `edge.check` has what the artefact is compared with.

    Args:
        pixels: what a TFLite artefact takes: normalised values, or a camera's bytes.

    Raises:
        InputError: the program is missing, damaged or not whole, or `out` cannot be written to.
        BackendError: the backend's toolchain is not installed, or failed.
    """
    from edge import run
    from pose.program import load_program
    from targets import base

    if pixels != "float32" and target != "tflite":
        raise InputError(f"--input {pixels} is for --target tflite; {target} has one kind of input")
    source = load_program(program)  # before the toolchain, whose import takes seconds
    backend: Any = base.get(target)
    _require_writable(out)  # before minutes of lowering
    how = {"input": pixels} if target == "tflite" else {}
    wanted = dict.fromkeys([precision, "fp32"])
    made = []
    with cli.progress(f"Lowering to {target}", len(wanted)) as step:
        for done, each in enumerate(wanted, 1):
            with cli.quiet():
                made.append(backend.lower(source, out, each, **how).path)
            step(done)
    run.keep_program(source, made[0])
    return made


def export_all(program: Path, precision: Precision, out: Path) -> list[Path]:
    """Lower to every target that takes the program; one that does not is left out with a note.

    Raises:
        InputError, BackendError: see `export`.
    """
    from pose.program import load_program
    from targets import base

    graph = load_program(program).graph(precision)
    made: list[Path] = []
    for target in base.LOWERED:
        refused = [finding for finding in base.get(target).lint(graph) if finding.severity == "error"]
        if refused:
            cli.note(f"{target} is left out: {refused[0].node} {refused[0].message}")
        else:
            made += export(program, target, precision, out)
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
    from pose.files import size

    card = cards.read(cards.card_path(artefact))
    row: dict[str, Any] = {"artefact": str(artefact), "precision": card.precision, "bytes": size(artefact)}
    return {**row, "sha256": digest(artefact), "coverage": card.coverage.model_dump() if card.coverage else None}


def _gate(rows: list[dict[str, Any]], least: float) -> None:
    for row in rows:
        share = (row["coverage"] or {}).get("int8_macs", 0.0)
        if row["precision"] == "int8" and share < least:
            raise GateError(f"{row['artefact']}: {share:.1%} of the multiply-adds are int8, less than {least:.1%}")


def main(
    target: Annotated[
        str, typer.Option(help="executorch, tflite, coreml, onnx, tensorrt, or all.", show_default=True)
    ] = "executorch",
    program: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="What quantization wrote [default: the bundled int8 student].")
    ] = None,
    precision: Annotated[Precision, typer.Option(help="A float twin, fp32, always comes with it.")] = "int8",
    pixels: Annotated[
        Literal["float32", "uint8"], typer.Option("--input", help="TFLite: normalised values, or a camera's bytes.")
    ] = "float32",
    min_int8_macs: Annotated[
        float | None, typer.Option(min=0, max=1, help="Exit with 1 if less of the multiply-adds is int8.")
    ] = None,
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Where the artefacts go.")] = Path("dist"),
    json: cli.Json = None,
) -> None:
    """Lower a program to artefacts for one backend, or for all; the float twin is always written beside."""
    from rich.table import Table

    from pose.files import write_json
    from pose.weights import bundled

    source = program or bundled()
    made = export_all(source, precision, out) if target == "all" else export(source, target, precision, out, pixels)
    rows = [_rows(artefact) for artefact in made]
    table = Table("artefact", "precision", "MB", "delegates", "nodes outside", "int8 ops", "int8 MACs")
    for row in rows:
        covered = row["coverage"] or {}
        shares = [f"{covered[name]:.1%}" if covered else "" for name in ("int8_ops", "int8_macs")]
        outside = str(sum(covered["undelegated"].values())) if covered else ""
        table.add_row(
            row["artefact"],
            row["precision"],
            f"{row['bytes'] / 1e6:.2f}",
            str(covered.get("delegates", "")),
            outside,
            *shares,
        )
    cli.console().print(table)
    if json:
        write_json(json, {"target": target, "artefacts": rows})
    if min_int8_macs is not None:
        _gate(rows, min_int8_macs)


if __name__ == "__main__":
    cli.run(main, "edge.export", "python -m edge.export --target executorch --out dist")
