"""Open any artefact, or a program's own graphs, behind one call; find what belongs to an artefact."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

from pose import card as cards
from pose import cli, crop
from pose.card import Card, Precision
from pose.errors import InputError
from pose.files import whole
from pose.program import CARD, Program, graph_name, load_program
from targets.base import Runner, open_artefact

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
    if path.suffix == ".pt2":
        import torch.ao.quantization.fx._decomposed  # noqa: F401 - torch.export.load knows quantize and dequantize by it
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


def latest(folder: Path = OUT) -> Path:
    """The int8 artefact in `folder` that was written last.

    Raises:
        InputError: there is none.
    """
    found = [(path.stat().st_mtime, path) for path in _artefacts(folder) if _card(path).precision == "int8"]
    if not found:
        raise InputError(f"no int8 artefact in {folder}; make one with python -m edge.export, or name one with --artefact")
    return max(found)[1]


def twin(artefact: Path, precision: Precision) -> Path:
    """The artefact itself, or the one beside it that the same program was lowered to for the same target in that precision.

    Raises:
        InputError: there is none.
    """
    target, source = _card(artefact).target, program_of(artefact).card.files[graph_name(precision)]
    for path in [artefact, *_artefacts(artefact.parent)]:
        card = _card(path)
        if (card.target, card.precision, card.sources.get("program")) == (target, precision, source):
            return path
    raise InputError(
        f"no {precision} artefact of the same program lies beside {artefact}; export it again, both are written"
    )


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
    return program


def _program_folder(artefact: Path) -> Path:
    return artefact.parent / f"{_card(artefact).student}.program"


def _artefacts(folder: Path) -> list[Path]:
    paths = sorted(folder.glob("*.card.yaml")) if folder.is_dir() else []
    return [path.with_name(path.name.removesuffix(".card.yaml")) for path in paths]


def _card(artefact: Path) -> Card:
    if not artefact.exists():
        raise InputError(f"no artefact {artefact}; make one with python -m edge.export")
    return cards.read(cards.card_path(artefact))
