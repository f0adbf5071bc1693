"""`python -m edge.export`: a program -> artefacts for one backend or for all of them, with their float twins."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from pose import cli
from pose.errors import GateError, InputError, UserError
from targets.base import SPECS, get_spec, is_of_this_process, lowered_names, names_by_toolchain

if TYPE_CHECKING:
    from edge.evaluate.exports import Exported
    from pose.card import Card, Precision
    from pose.program import Program

Options = Mapping[str, str | None]  # name of an option in a `TargetSpec` -> value; None where the user chose nothing


def export(program: Path, target: str, precision: Precision, out: Path, options: Options | None = None) -> list[Path]:
    """Lower the program's graph of that precision and, always, its float one; returns the artefacts, the float one last.

    A float artefact that exists, of the same graph and made by the same libraries, is kept and gets the program's card. A
    copy of the program goes into the folder, so that `edge.check` can compare the artefacts with it.

    Args:
        options: of the target's spec.

    Raises:
        InputError: the program is missing or damaged, the target does not take it, or `out` cannot be written to.
        BackendError: the backend's toolchain is not installed, or failed.
    """
    from edge.dist import Dist, require_lowered_target
    from pose.program import load_program

    chosen = _chosen_options(target, precision, options or {})
    source = load_program(program)  # before the toolchain, whose import takes seconds
    require_lowered_target(target)
    get_spec(target).check_installed()
    _require_writable(out)  # before minutes of lowering
    made = []
    precisions = dict.fromkeys([precision, "fp32"])
    with cli.progress(f"Lowering to {target}", len(precisions)) as step:
        for done, one in enumerate(precisions, 1):
            made.append(_lower(source, target, one, out, chosen))
            step(done)
    Dist(out).keep_program(source)
    return made


def export_all(program: Path, precision: Precision, out: Path) -> tuple[list[Path], dict[str, str]]:
    """Lower to every target that takes the program, one toolchain a process, as many at once as there are processors.

    Returns:
        The artefacts in the order of the targets, and target -> reason of those that do not take the program.

    Raises:
        InputError, BackendError: see `export`. Artefacts that were lowered before are kept; each of them is whole.
    """
    from edge.processes import run_in_subprocesses
    from pose.program import load_program

    source = load_program(program)
    for target in lowered_names():
        get_spec(target).check_installed()
    _require_writable(out)
    made: dict[str, list[Path]] = {}
    left_out: dict[str, str] = {}
    work = {" and ".join(targets): (source.folder, targets, precision, out) for targets in names_by_toolchain()}
    with cli.progress("Lowering to all targets", len(lowered_names())) as step:
        for _, (lowered, refused) in run_in_subprocesses(_export_group, work):
            made |= {target: [Path(path) for path in paths] for target, paths in lowered.items()}
            left_out |= refused
            step(len(made) + len(left_out))
    return [path for target in lowered_names() for path in made.get(target, [])], left_out


def export_apart(program: Path, target: str, precision: Precision, out: Path, options: Options) -> list[Path]:
    """`export` in a process of its own, where a toolchain or a runtime that crashes on the program ends only that.

    Raises:
        InputError, BackendError: see `export`.
    """
    from edge.processes import run_in_subprocesses

    if target in SPECS and is_of_this_process(target):
        return export(program, target, precision, out, options)
    ((_, paths),) = run_in_subprocesses(_export_one, {target: (program, target, precision, out, options)})
    return [Path(path) for path in paths]


def _export_one(program: Path, target: str, precision: Precision, out: Path, options: Options) -> list[str]:
    return [str(path) for path in export(program, target, precision, out, options)]


def _export_group(
    program: Path, targets: Sequence[str], precision: Precision, out: Path
) -> tuple[dict[str, list[str]], dict[str, str]]:
    """What `export` makes for each target, and target -> reason of those that do not take the program."""
    from targets.base import RefusedError

    made: dict[str, list[str]] = {}
    left_out: dict[str, str] = {}
    with cli.quiet():
        for target in targets:
            try:
                made[target] = _export_one(program, target, precision, out, {})
            except RefusedError as refused:
                left_out[target] = str(refused)
    return made, left_out


def _chosen_options(target: str, precision: str, options: Options) -> dict[str, str]:
    """Option -> value of those that the user chose.

    Raises:
        InputError: the target has no such option, or the precision has no use for it.
    """
    chosen = {name: value for name, value in options.items() if value is not None}
    own = {option.name for option in SPECS[target].options} if target in SPECS else set()
    for name, value in chosen.items():
        if name not in own:
            owners = [spec.name for spec in SPECS.values() if any(option.name == name for option in spec.options)]
            raise InputError(f"--{name} {value} is for --target {' or '.join(owners)}, not {target}")
        get_spec(target).check_option(name, value, precision)
    return chosen


def _lower(source: Program, target: str, precision: Precision, out: Path, chosen: dict[str, str]) -> Path:
    from targets import base

    kept = _kept_float(source, target, out, chosen) if precision == "fp32" else None
    if kept is not None:
        return kept
    with cli.quiet():
        return base.get(target).lower(source, out, precision, **chosen).path


def _kept_float(source: Program, target: str, out: Path, chosen: dict[str, str]) -> Path | None:
    """The float artefact in `out` of the program's float graph and these libraries, with a card of this program."""
    from edge.dist import Dist
    from pose import card as cards

    variant, dist = get_spec(target).variant("fp32", chosen), Dist(out)
    for path in dist.paths:
        try:
            artefact = dist.artefact(path)
            card = artefact.card
            if card.precision == "fp32" and artefact.variant == variant and _is_of(card, source):
                card.verify_artefact(path)
                new = _with_program(card, source.card)
                if new != card:
                    new.write(cards.card_path(path))
                return path
        except UserError:  # a damaged one is made anew
            continue
    return None


def _with_program(card: Card, program: Card) -> Card:
    """The card of a float artefact with what it says of its program taken from that program."""
    fields = {name: getattr(program, name) for name in ("student", "skeleton", "scheme", "float_modules")}
    lowered = {name: answer for name, answer in card.golden.expected.items() if name == "lowered"}
    golden = program.golden.model_copy(update={"expected": {**program.golden.expected, **lowered}})
    sources = {**program.sources, "program": card.sources["program"]}
    return card.model_copy(update={**fields, "sources": sources, "golden": golden})


def _is_of(card: Card, source: Program) -> bool:
    """Whether the card's artefact was made of the program's float graph, by the libraries that are installed now."""
    made_by = {name: number for name, number in card.versions.items() if name not in source.card.versions}
    try:
        same = all(version(name) == number for name, number in made_by.items())
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


def _require_int8_share(made: Sequence[Exported], least: float) -> None:
    for artefact in made:
        share = artefact.coverage.int8_macs if artefact.coverage else 0.0
        if artefact.precision == "int8" and share < least:
            raise GateError(f"{artefact.artefact}: {share:.1%} of the multiply-adds are int8, less than {least:.1%}")


def _print(made: Sequence[Exported]) -> None:
    from rich.table import Table

    table = Table("artefact", "precision", "MB", "delegates", "nodes outside", "int8 ops", "int8 MACs", "float products")
    for row in made:
        covered = row.coverage
        shares = [covered.int8_ops, covered.int8_macs, covered.float_matmul_macs] if covered else []
        cells = [str(covered.delegates), str(sum(covered.undelegated.values()))] if covered else ["", ""]
        cells += [f"{share:.1%}" for share in shares]
        table.add_row(Path(row.artefact).name, row.precision, f"{row.bytes / 1e6:.2f}", *cells)
    out = cli.console()
    out.print(table)
    out.print(f"in {Path(made[0].artefact).parent}, with cards")
    for row in made:
        if row.precision == "fp32":
            continue
        counts = {"in delegates": row.coverage.delegated, "outside": row.coverage.undelegated} if row.coverage else {}
        for where, operators in counts.items():
            if operators:
                names = ", ".join(f"{count} {operator}" for operator, count in operators.items())
                out.print(f"{row.target}, {where}: {names}")
        for finding in row.lint:
            nodes = finding.nodes
            at = nodes[0] if len(nodes) == 1 else f"{len(nodes)} nodes, {nodes[0]} first"
            out.print(f"{row.target}, {finding.severity}: {finding.message} ({at})")


def _notes(made: Sequence[Exported], options: Options) -> list[str]:
    """What to know about an option that was left at its default."""
    return [
        option.note
        for name, spec in SPECS.items()
        for option in spec.options
        if option.note
        and options.get(option.name) in (None, option.default)
        and any(row.target == name and row.precision in option.precisions for row in made)
    ]


def main(
    target: Annotated[str, typer.Option(help=f"{', '.join(lowered_names())}, or all.", show_default=True)] = "executorch",
    program: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="What quantization wrote [default: the bundled int8 student].")
    ] = None,
    precision: Annotated[
        Literal["int8", "fp16", "fp32"], typer.Option(help="A float twin, fp32, always comes with it.")
    ] = "int8",
    min_int8_macs: Annotated[
        float | None, typer.Option(min=0, max=1, help="Exit with 1 if less of the multiply-adds is int8.")
    ] = None,
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Where the artefacts go.")] = Path("dist"),
    android: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Also put them into the assets of this Android app.")
    ] = None,
    json: cli.Json = None,
    **options: str | None,
) -> None:
    """Lower a program to artefacts for one backend, or for all; the float twin is always written beside."""
    from edge import app_assets
    from edge.evaluate.exports import Export, exported
    from pose.files import write_json
    from pose.weights import bundled

    if min_int8_macs is not None and precision != "int8":
        raise InputError(f"--min-int8-macs is for --precision int8, not {precision}; leave it out")
    if android:
        app_assets.require_app(android, target)
    source = program or bundled()
    left_out: dict[str, str] = {}
    if target == "all":
        _chosen_options(target, precision, options)
        paths, left_out = export_all(source, precision, out)
    else:
        paths = export_apart(source, target, precision, out, options)
    made = [exported(path) for path in paths]
    if android:
        app_assets.write_assets(paths, android / app_assets.FOLDER)
    if json:
        write_json(json, Export(target=target, artefacts=made, left_out=left_out).as_json())
    _print(made)
    for note in _notes(made, options):
        cli.note(note)
    for name, reason in left_out.items():
        cli.note(f"{name} is left out: {reason}")
    if min_int8_macs is not None:
        _require_int8_share(made, min_int8_macs)


def with_target_options(command: Callable[..., None]) -> Callable[..., None]:
    """Make the options of all targets those of the command: typer reads them from its signature."""
    signature = inspect.signature(command, eval_str=True)
    fixed = [one for one in signature.parameters.values() if one.kind is not inspect.Parameter.VAR_KEYWORD]
    options: dict[str, tuple[list[str], list[str]]] = {}  # name -> choices, help of each target
    for spec in SPECS.values():
        for option in spec.options:
            choices, texts = options.setdefault(option.name, ([], []))
            choices += [choice for choice in option.choices if choice not in choices]
            texts.append(option.help)
    more = []
    for name, (choices, texts) in options.items():
        kind: Any = Literal[tuple(choices)]
        typed = Annotated[kind | None, typer.Option(f"--{name}", help=" ".join(texts))]
        more.append(
            inspect.Parameter(name.replace("-", "_"), inspect.Parameter.KEYWORD_ONLY, default=None, annotation=typed)
        )
    command.__signature__ = signature.replace(parameters=[*fixed, *more])  # type: ignore[attr-defined]
    return command


with_target_options(main)

if __name__ == "__main__":
    cli.run(main, "edge.export", "python -m edge.export --target executorch --out dist")
