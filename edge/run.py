"""Open any artefact, or a program's own graphs, behind one call; find what belongs to an artefact."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pose import card as cards
from pose import cli, crop
from pose.card import Card, Precision
from pose.errors import InputError
from pose.files import whole
from pose.program import CARD, Program, graph_name, load_program
from targets import choices
from targets.base import LOWERED, Runner, check_name, open_artefact

OUT = Path("dist")


def open(path: Path, threads: int = 1) -> Runner:  # noqa: A001 - edge.run.open is what it is called
    """Open what `path` names: an artefact, a program's `.pt2`, or a program folder (its int8 graph).

    Raises:
        InputError: there is nothing there, or it does not match its card.
        BackendError: its runtime is not installed, or refuses it.
    """
    path = Path(path)
    if (path / CARD).is_file():
        path = path / graph_name("int8")
    if not path.exists():
        raise InputError(f"no artefact {path}; make one with python -m edge.export")
    with cli.quiet():  # ExecuTorch reports on the processor
        return open_artefact(path, threads)


def keypoints(runner: Runner, image: np.ndarray, box: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Keypoints float64 [K, 2] in image pixels and scores float32 [K] of the person in `box` (x, y, width, height).

    Args:
        image: uint8 [H, W, 3], RGB.
    """
    spec = runner.card.spec
    matrix = crop.affine(box, spec)
    coords, scores = runner.run(crop.normalise(crop.warp(image, matrix, spec), spec)[None])
    return crop.to_image(coords[0].astype(np.float64), matrix, spec), scores[0]


def kind(card: Card, precision: Precision | None = None) -> str:
    """What tells a program's artefacts of one precision apart: `onnx`, `executorch-vulkan`, `tflite-uint8`, ...

    Args:
        precision: that of its twin, whose kind is asked for [default: its own].
    """
    chosen = {
        "tflite": card.input.dtype,
        "executorch": card.metrics.get("delegate"),
        "coreml": card.metrics.get("compute", "float16"),  # as it was before cards said so
    }
    return choices.kind(card.target, precision or card.precision, chosen.get(card.target))


def latest(folder: Path = OUT, targets: Sequence[str] = LOWERED) -> Path:
    """The int8 artefact in `folder` that was written last, of those of some targets that run here.

    Raises:
        InputError: there is none, or no such target.
    """
    for target in targets:
        check_name(target, LOWERED)
    cards = [(path, _card(path)) for path in artefacts(folder)]
    found = [
        (path.stat().st_mtime, path)
        for path, card in cards
        if card.precision == "int8" and _runs_here(card) and card.target in targets
    ]
    if not found:
        some = targets != LOWERED
        what = f"int8 artefact of {', '.join(targets)}" if some else "int8 artefact"
        flag = f" --target {targets[0]}" if some else ""
        raise InputError(f"no {what} in {folder}; make one with python -m edge.export{flag}, or name one with --artefact")
    return max(found)[1]


def family(artefact: Path) -> list[Path]:
    """All artefacts in its folder, itself included, that its program was lowered to in its precision and that run here."""
    own = _card(artefact)
    cards = [(path, _card(path)) for path in artefacts(artefact.parent)]
    alike = [
        (LOWERED.index(card.target), kind(card), path)
        for path, card in cards
        if _runs_here(card) and (card.precision, card.sources.get("program")) == (own.precision, own.sources.get("program"))
    ]
    return [path for _, _, path in sorted(alike)]


def twin(artefact: Path, precision: Precision) -> Path:
    """The artefact itself, or the one beside it that the same program was lowered to in that precision.

    For the same target, delegate and kind of input.

    Raises:
        InputError: there is none.
    """
    found = find_twin(artefact, precision, program_of(artefact))
    if found is None:
        raise InputError(
            f"no {precision} artefact of the same program lies beside {artefact}; export it again, both are written"
        )
    return found


def find_twin(artefact: Path, precision: Precision, program: Program) -> Path | None:
    """See `twin`, of an artefact of this program; None if there is none."""
    own, source = kind(_card(artefact), "fp32"), program.card.files[graph_name(precision)]
    found = {}
    for path in [artefact, *artefacts(artefact.parent)]:
        card = _card(path)
        if (kind(card, "fp32"), card.precision, card.sources.get("program")) == (own, precision, source):
            found[path] = kind(card)
    return min(found, key=lambda path: (path != artefact, found[path]), default=None)  # the usual kind has the shortest name


def keep_program(program: Program, artefact: Path) -> None:
    """Copy a program, its card last, to beside the artefact that was made of it: then it can be checked anywhere."""
    for name in (*program.card.files, CARD):
        with whole(_program_folder(artefact) / name) as temporary:
            shutil.copyfile(program.folder / name, temporary)


def program_of(artefact: Path) -> Program:
    """The program that an artefact was lowered from.

    Raises:
        InputError: it does not lie beside the artefact, or another does.
    """
    folder, card = _program_folder(artefact), _card(artefact)
    if card.precision is None or not (folder / CARD).is_file():
        raise InputError(f"{folder}, the program that {artefact} was lowered from, is missing; export it again")
    program = load_program(folder)
    if program.card.files[graph_name(card.precision)] != card.sources.get("program"):
        raise InputError(f"{folder} is not the program that {artefact} was lowered from (sha256 differs); export it again")
    for what in ("student", "skeleton", "spec"):
        mine, its = getattr(card, what), getattr(program.card, what)
        if mine != its:
            raise InputError(f"{cards.card_path(artefact)}: {what} is {mine}, its program's {its}; export it again")
    return program


def _program_folder(artefact: Path) -> Path:
    return artefact.parent / f"{_card(artefact).student}.program"


def _runs_here(card: Card) -> bool:
    return "lowered" in card.golden.expected


def artefacts(folder: Path) -> list[Path]:
    """Everything in a folder that has a card beside it."""
    paths = sorted(folder.glob("*.card.yaml")) if folder.is_dir() else []
    return [path.with_name(path.name.removesuffix(".card.yaml")) for path in paths]


def _card(artefact: Path) -> Card:
    if not artefact.exists():
        raise InputError(f"no artefact {artefact}; make one with python -m edge.export")
    return cards.read(cards.card_path(artefact))
