"""`python -m edge.export`: a program -> artefacts for one backend or for all of them, float twins beside them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from pose import cli
from pose.errors import GateError, InputError, UserError
from targets import choices
from targets.choices import CHOICES, Compute, Delegate, Pixels

if TYPE_CHECKING:
    from pose.card import Card, Precision
    from pose.program import Program


def export(
    program: Path,
    target: str,
    precision: Precision,
    out: Path,
    pixels: Pixels | None = None,
    delegate: Delegate | None = None,
    compute: Compute | None = None,
) -> list[Path]:
    """Lower the program's graph of that precision and, always, its float one; returns the artefacts, the float one last.

    A float one that is there already, of the same graph and made by the same libraries, stays, under the program's card. A
    copy of the program goes beside them, so that `edge.check` has what the artefact is compared with.

    Args:
        pixels: what a TFLite artefact takes: normalised values, or a camera's bytes.
        delegate: of ExecuTorch.
        compute: what a Core ML artefact of int8 computes with between its integers.

    Raises:
        InputError: the program is missing, damaged or not whole, the target does not take it, or `out` cannot be written to.
        BackendError: the backend's toolchain is not installed, or failed.
    """
    from edge import run
    from pose.program import load_program
    from targets import base

    how = _how(target, precision, pixels, delegate, compute)
    source = load_program(program)  # before the toolchain, whose import takes seconds
    base.check_name(target, base.LOWERED)
    base.check_installed(target)
    _require_writable(out)  # before minutes of lowering
    made = []
    wanted = dict.fromkeys([precision, "fp32"])
    with cli.progress(f"Lowering to {target}", len(wanted)) as step:
        for done, each in enumerate(wanted, 1):
            made.append(_lowered(source, target, each, out, how))
            step(done)
    run.keep_program(source, made[0])
    return made


def export_all(program: Path, precision: Precision, out: Path) -> tuple[list[Path], dict[str, str]]:
    """Lower to every target that takes the program, one toolchain a process, as many at once as there are processors.

    Returns:
        The artefacts in the order of the targets, and the targets that were left out, with the reason.

    Raises:
        InputError, BackendError: see `export`. What was lowered before that stays, each artefact whole.
    """
    from edge.processes import each_in_its_own
    from pose.program import load_program
    from targets import base

    source = load_program(program)
    for target in base.LOWERED:
        base.check_installed(target)
    _require_writable(out)
    made: dict[str, list[Path]] = {}
    left_out: dict[str, str] = {}
    work = {" and ".join(targets): (source.folder, targets, precision, out) for targets in base.BY_TOOLCHAIN}
    with cli.progress("Lowering to all targets", len(base.LOWERED)) as step:
        for _, (lowered, refused) in each_in_its_own(_some_of_all, work):
            made |= lowered
            left_out |= refused
            step(len(made) + len(left_out))
    return [path for target in base.LOWERED for path in made.get(target, [])], left_out


def _some_of_all(
    program: Path, targets: Sequence[str], precision: Precision, out: Path
) -> tuple[dict[str, list[Path]], dict[str, str]]:
    """What `export` makes for each, and why the others do not take the program."""
    from targets.base import RefusedError

    made: dict[str, list[Path]] = {}
    left_out: dict[str, str] = {}
    with cli.quiet():
        for target in targets:
            try:
                made[target] = export(program, target, precision, out)
            except RefusedError as refused:
                left_out[target] = str(refused)
    return made, left_out


def _how(target: str, precision: str, pixels: str | None, delegate: str | None, compute: str | None) -> dict[str, Any]:
    """Keywords of the target's `lower`: what was chosen, if anything.

    Raises:
        InputError: the target has no such choice.
    """
    how = {}
    for owner, chosen in (("tflite", pixels), ("executorch", delegate), ("coreml", compute)):
        choice = CHOICES[owner]
        if chosen is None:
            continue
        if owner != target:
            raise InputError(f"--{choice.name} {chosen} is for --target {owner}, not {target}")
        if precision not in choice.precisions:
            raise InputError(f"--{choice.name} {chosen} is for --precision {choice.precisions[0]}, not {precision}")
        how[choice.name] = chosen
    return how


def _lowered(source: Program, target: str, precision: Precision, out: Path, how: dict[str, Any]) -> Path:
    from targets import base

    kept = _kept(source, target, out, how) if precision == "fp32" else None
    if kept is not None:
        return kept
    with cli.quiet():
        return base.get(target).lower(source, out, precision, **how).path


def _kept(source: Program, target: str, out: Path, how: dict[str, Any]) -> Path | None:
    """The float artefact in `out` of the program's float graph and these libraries, under a card of this program."""
    from edge import run
    from pose import card as cards

    kind = choices.kind(target, "fp32", next(iter(how.values()), None))
    for path in run.artefacts(out):
        try:
            card = cards.read(cards.card_path(path))
            if card.precision == "fp32" and run.kind(card) == kind and _is_of(card, source):
                card.verify(path)
                new = {name: getattr(source.card, name) for name in ("student", "skeleton", "scheme", "float_modules")}
                sources = {**source.card.sources, "program": card.sources["program"]}
                lowered = {name: said for name, said in card.golden.expected.items() if name == "lowered"}
                golden = source.card.golden.model_copy(update={"expected": {**source.card.golden.expected, **lowered}})
                mine = card.model_copy(update={**new, "sources": sources, "golden": golden})
                if mine != card:
                    mine.write(cards.card_path(path))
                return path
        except UserError:  # what is damaged is made anew
            continue
    return None


def _is_of(card: Card, source: Program) -> bool:
    """Whether the card's artefact was made of the program's float graph, by the libraries that are installed now."""
    made_by = {name: said for name, said in card.versions.items() if name not in source.card.versions}
    try:
        same = all(version(name) == said for name, said in made_by.items())
    except PackageNotFoundError:
        return False
    return same and card.sources.get("program") == source.card.files[source.path("fp32").name]


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
    row: dict[str, Any] = {"artefact": str(artefact), "target": card.target, "precision": card.precision}
    row |= {"bytes": size(artefact), "sha256": digest(artefact)}
    coverage = card.coverage.model_dump() if card.coverage else None
    return {**row, "coverage": coverage, "lint": card.metrics.get("lint", [])}


def _gate(rows: list[dict[str, Any]], least: float) -> None:
    for row in rows:
        share = (row["coverage"] or {}).get("int8_macs", 0.0)
        if row["precision"] == "int8" and share < least:
            raise GateError(f"{row['artefact']}: {share:.1%} of the multiply-adds are int8, less than {least:.1%}")


def _print(rows: list[dict[str, Any]]) -> None:
    from rich.table import Table

    table = Table("artefact", "precision", "MB", "delegates", "nodes outside", "int8 ops", "int8 MACs", "float products")
    for row in rows:
        covered = row["coverage"] or {}
        shares = [f"{covered[name]:.1%}" if covered else "" for name in ("int8_ops", "int8_macs", "float_matmul_macs")]
        outside = str(sum(covered["undelegated"].values())) if covered else ""
        megabytes = f"{row['bytes'] / 1e6:.2f}"
        table.add_row(
            Path(row["artefact"]).name, row["precision"], megabytes, str(covered.get("delegates", "")), outside, *shares
        )
    out = cli.console()
    out.print(table)
    out.print(f"in {Path(rows[0]['artefact']).parent}, with cards")
    for row in rows:
        if row["precision"] == "fp32":
            continue
        for name, where in (("delegated", "in delegates"), ("undelegated", "outside")):
            if counts := (row["coverage"] or {}).get(name):
                out.print(f"{row['target']}, {where}: " + ", ".join(f"{count} {each}" for each, count in counts.items()))
        for finding in row["lint"]:
            nodes = finding["nodes"]
            at = nodes[0] if len(nodes) == 1 else f"{len(nodes)} nodes, {nodes[0]} first"
            out.print(f"{row['target']}, {finding['severity']}: {finding['message']} ({at})")


def main(
    target: Annotated[
        str, typer.Option(help="executorch, tflite, coreml, onnx, tensorrt, or all.", show_default=True)
    ] = "executorch",
    program: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="What quantization wrote [default: the bundled int8 student].")
    ] = None,
    precision: Annotated[
        Literal["int8", "fp16", "fp32"], typer.Option(help="A float twin, fp32, always comes with it.")
    ] = "int8",
    pixels: Annotated[
        Pixels | None, typer.Option("--input", help="TFLite: normalised values [default], or a camera's bytes.")
    ] = None,
    delegate: Annotated[
        Delegate | None, typer.Option(help="ExecuTorch: XNNPACK [default], or one that is compiled but not run here.")
    ] = None,
    compute: Annotated[
        Compute | None, typer.Option(help="Core ML: as quantized, on CPU and GPU [default], or for the Neural Engine.")
    ] = None,
    min_int8_macs: Annotated[
        float | None, typer.Option(min=0, max=1, help="Exit with 1 if less of the multiply-adds is int8.")
    ] = None,
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Where the artefacts go.")] = Path("dist"),
    json: cli.Json = None,
) -> None:
    """Lower a program to artefacts for one backend, or for all; the float twin is always written beside."""
    from pose.files import write_json
    from pose.weights import bundled

    source = program or bundled()
    left_out: dict[str, str] = {}
    if target == "all":
        _how(target, precision, pixels, delegate, compute)
        made, left_out = export_all(source, precision, out)
    else:
        made = export(source, target, precision, out, pixels, delegate, compute)
    rows = [_rows(artefact) for artefact in made]
    _print(rows)
    if compute != "float16" and any((row["target"], row["precision"]) == ("coreml", "int8") for row in rows):
        cli.note("coreml keeps to CPU and GPU, as quantized; --compute float16 is for the Neural Engine, and rounds twice")
    for name, reason in left_out.items():
        cli.note(f"{name} is left out: {reason}")
    if json:
        write_json(json, {"target": target, "artefacts": rows, "left_out": left_out})
    if min_int8_macs is not None:
        _gate(rows, min_int8_macs)


if __name__ == "__main__":
    cli.run(main, "edge.export", "python -m edge.export --target executorch --out dist")
