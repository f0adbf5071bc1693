"""Which artefact predicts: the user's, or the bundled student's for one target, which is lowered once and cached."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from edge import dist
from pose import card as cards
from pose import cli, weights
from pose.cache import cache_folder
from pose.cut_graphs import whole_folder
from pose.errors import BackendError, InputError
from pose.files import CARD_SUFFIX
from pose.program import CARD, graph_name, load_program
from targets import base

if TYPE_CHECKING:
    from edge.predict.estimator import Estimator
    from pose.card import Precision

_LONGEST_NAME = 100  # characters of a bundled student's name, which becomes part of paths


def load(student: str | Path = weights.DEFAULT, runtime: str | None = None, threads: int = 1) -> Estimator:
    """See `pose.load`."""
    if isinstance(threads, bool) or not isinstance(threads, int) or not 1 <= threads <= cli.MOST_THREADS:
        raise InputError(f"threads is a whole number from 1 to {cli.MOST_THREADS}, not {threads!r}")
    if not str(student):
        raise InputError("the student's name is empty; name a bundled student or an artefact")
    return open_estimator(artefact_path(student, runtime), threads)


def open_estimator(path: Path, threads: int = 1) -> Estimator:
    """An estimator of an artefact, a program folder or one of its graphs.

    Raises:
        InputError, BackendError: see `edge.run.open`.
    """
    from edge import run
    from edge.predict.estimator import Estimator

    return Estimator(run.open(path, threads))


def artefact_path(student: str | Path | None = None, target: str | None = None) -> Path:
    """The file to open.

    Args:
        student: path of an artefact or of a program, or the name of a bundled student [default: the usual one].
        target: of a bundled student [default: the first that is lowered already, or that can be lowered here].

    Raises:
        InputError: no such file, student or target, or a target beside a file, which has one already.
        BackendError: the bundled student cannot be lowered here: no toolchain is installed.
    """
    name = str(student or weights.DEFAULT)
    is_bundled = len(name) < _LONGEST_NAME and (weights.FOLDER / name / CARD).is_file() and Path(name).name == name
    if target is not None:
        dist.require_lowered_target(target)
    if is_bundled and not _exists(Path(name)):
        return _bundled_path(name, target, "int8")
    path = Path(name)
    if not _exists(path):
        known = ", ".join(sorted(card.parent.name for card in weights.FOLDER.glob(f"*/{CARD}")))
        raise InputError(f"no artefact {path}; name a file of python -m edge.export, or a bundled student ({known})")
    if target is not None:
        raise InputError(f"{path} was made for one target already; a target is chosen for a bundled student only")
    return path


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # a name that is too long, or that no file can have
        return False


def twin_path(path: Path, precision: Precision) -> Path:
    """The same program in another precision, for the same target: the file beside it, or the bundled student's.

    Raises:
        InputError: there is none.
        BackendError: it has to be lowered, and the toolchain is not installed.
    """
    if path.is_dir() and (path / CARD).is_file():  # a program
        path = path / graph_name("int8")
    if path.suffix == ".pt2":
        return load_program(path.parent).path(precision)
    if path.parent.parent == weights.FOLDER:
        return _bundled_path(path.parent.name, cards.read(cards.card_path(path)).target, precision)
    return dist.find(path).twin(precision).path


def _bundled_path(name: str, target: str | None, precision: Precision) -> Path:
    program = weights.bundled(name)
    source = cards.read(program / CARD).files[graph_name(precision)]
    errors: list[BackendError] = []
    for path, card in _lowered(program):
        if card.precision == precision and card.sources.get("program") == source and target in (None, card.target):
            try:
                base.get(card.target)
                return whole_folder(cards.card_path(path), card) / path.name
            except BackendError as error:
                errors.append(error)
    folder = cache_folder() / "students" / f"{name}-{source[:16]}"
    for one in (target,) if target else base.lowered_names():
        spec = base.get_spec(one)
        path = folder / spec.file_name(name, precision)
        if path.is_file() and cards.card_path(path).is_file():
            return path
        try:
            spec.check_installed()
        except BackendError as error:
            errors.append(error)
            continue
        return _lower(program, one, precision, folder)
    raise errors[0]


def _lower(program: Path, target: str, precision: Precision, folder: Path) -> Path:
    from edge.export import export

    cli.note(f"lowering the bundled student to {target}, once; it is kept in {folder}")
    return export(program, target, precision, folder)[0]


def _lowered(program: Path) -> Iterator[tuple[Path, cards.Card]]:
    """The artefacts that are bundled beside a program."""
    for card in sorted(program.glob(f"*{CARD_SUFFIX}")):
        yield card.with_name(card.name.removesuffix(CARD_SUFFIX)), cards.read(card)
