"""A folder of artefacts, their cards and the program they were lowered from: `Dist` reads each card once."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from edge.golden import open_replayed
from pose import card as cards
from pose.card import Card, Precision
from pose.errors import InputError
from pose.files import CARD_SUFFIX, atomic_file
from pose.program import CARD, Program, graph_name, load_program
from pose.terminal import note
from targets import base
from targets.base import Runner

DEFAULT = Path("dist")


def require_lowered_target(name: str) -> None:
    """Raises InputError unless artefacts are made for a target of that name."""
    names = base.lowered_names()
    if name not in names:
        raise InputError(f"there is no target '{name}'; choose one of {', '.join(names)}")


@dataclass(frozen=True, eq=False)
class Artefact(base.Artefact):
    """An artefact in a folder, with its card as it was when the folder was read; `dist` is the folder."""

    dist: Dist

    @property
    def variant(self) -> str:
        """What distinguishes it from the program's other artefacts of its precision: `onnx`, `tflite-float32`, ..."""
        return base.variant_name(self.card)

    @property
    def answered_here(self) -> bool:
        """Whether the artefact ran on the host that made it; a delegate that is only compiled here never does."""
        return "lowered" in self.card.golden.expected

    def open(self, threads: int = 1) -> Runner:
        """A runner of the artefact, in a process of its own.

        Raises:
            InputError: it does not match its card, or answers the golden crop otherwise.
            BackendError: its runtime is not installed, refuses it, or crashes on it.
        """
        return open_replayed(self.path, self.card, threads)

    @cached_property
    def program(self) -> Program:
        """The program that the artefact was lowered from.

        Raises:
            InputError: it does not lie beside the artefact, or another does.
        """
        folder, card = self.dist.program_folder(self.card.student), self.card
        if card.precision is None or not (folder / CARD).is_file():
            raise InputError(f"{folder}, the program that {self.path} was lowered from, is missing; export it again")
        program = self.dist.program(card.student)
        if program.card.files[graph_name(card.precision)] != card.sources.get("program"):
            raise InputError(
                f"{folder} is not the program that {self.path} was lowered from (sha256 differs); export it again"
            )
        mine, its = _identity(card), _identity(program.card)
        for field in mine:
            if mine[field] != its[field]:
                what = "of other joints, pairs, limbs or sigmas than"
                what = what if field == "skeleton" else f"{mine[field]}, and {its[field]} in"
                raise InputError(f"{cards.card_path(self.path)}: {field} is {what} its program's card; export it again")
        return program

    @property
    def siblings(self) -> list[Artefact]:
        """The artefacts in its folder, itself included, of its program and precision that run here, by target."""
        source = self.card.precision, self.card.sources.get("program")
        alike = [
            artefact
            for artefact in self.dist.artefacts
            if artefact.answered_here and (artefact.card.precision, artefact.card.sources.get("program")) == source
        ]
        order = {target: place for place, target in enumerate(base.SPECS)}
        return sorted(alike, key=lambda one: (order.get(one.card.target, len(order)), one.variant, one.path))

    def twin(self, precision: Precision) -> Artefact:
        """The artefact itself, or the one beside it that the same program was lowered to in that precision.

        For the same target, delegate and type of input.

        Raises:
            InputError: there is none.
        """
        twin = self.find_twin(precision)
        if twin is None:
            raise InputError(
                f"no {precision} artefact of the same program lies beside {self.path}; export it again, both are written"
            )
        return twin

    def find_twin(self, precision: Precision) -> Artefact | None:
        """See `twin`; None if there is none."""
        own, source = base.variant_name(self.card, "fp32"), self.program.card.files[graph_name(precision)]
        twins = [
            artefact
            for artefact in self.dist.artefacts
            if base.variant_name(artefact.card, "fp32") == own
            and (artefact.card.precision, artefact.card.sources.get("program")) == (precision, source)
        ]
        # the variant that is made by default has the shortest name
        return min(twins, key=lambda artefact: (artefact is not self, artefact.variant), default=None)


def _identity(card: Card) -> dict[str, Any]:
    """What an artefact's card has in common with that of its program."""
    return {"student": card.student, "skeleton": card.skeleton, **asdict(card.spec)}


class Dist:
    """The artefacts in a folder. Each card is read once, when it is first needed."""

    def __init__(self, folder: Path = DEFAULT) -> None:
        self.folder = Path(folder)
        self._artefacts: dict[Path, Artefact] = {}
        self._programs: dict[str, Program] = {}

    @cached_property
    def paths(self) -> list[Path]:
        """Everything in the folder that has a card beside it."""
        card_files = sorted(self.folder.glob(f"*{CARD_SUFFIX}")) if self.folder.is_dir() else []
        return [path.with_name(path.name.removesuffix(CARD_SUFFIX)) for path in card_files]

    def artefact(self, path: Path) -> Artefact:
        """The artefact at a path in the folder.

        Raises:
            InputError: it does not exist, or its card is missing or damaged.
        """
        path = Path(path)
        if path not in self._artefacts:
            if not path.exists():
                raise InputError(f"no artefact {path}; make one with python -m edge.export")
            self._artefacts[path] = Artefact(path, cards.read(cards.card_path(path)), self)
        return self._artefacts[path]

    @cached_property
    def artefacts(self) -> list[Artefact]:
        """All artefacts, by name. A card without its artefact, or of another one, is ignored with a note.

        Raises:
            InputError: see `artefact`.
        """
        own = []
        for path in self.paths:
            if not path.exists():
                note(f"note: {cards.card_path(path)} is ignored: {path.name} does not lie beside it")
            elif path.name not in (described := self.artefact(path).card.files):
                note(f"note: {path} is ignored: the card beside it is of {', '.join(described)}")
            else:
                own.append(self.artefact(path))
        return own

    def latest(self, targets: Sequence[str] | None = None) -> Artefact:
        """The int8 artefact that was written last, of those that run here.

        Args:
            targets: of these targets [default: of all].

        Raises:
            InputError: there is none, or no such target.
        """
        every = base.lowered_names()
        for target in targets or ():
            require_lowered_target(target)
        candidates = [
            artefact
            for artefact in self.artefacts
            if artefact.card.precision == "int8" and artefact.answered_here and artefact.card.target in (targets or every)
        ]
        if not candidates:
            some = targets is not None and tuple(targets) != tuple(every)
            what = f"int8 artefact of {', '.join(targets or ())}" if some else "int8 artefact"
            flag = f" --target {targets[0]}" if some and targets else ""
            raise InputError(
                f"no {what} in {self.folder}; make one with python -m edge.export{flag}, or name one with --artefact"
            )
        return max(candidates, key=lambda artefact: (artefact.path.stat().st_mtime, artefact.path))

    def program_folder(self, student: str) -> Path:
        """Folder of the copy of a student's program."""
        return self.folder / f"{student}.program"

    def program(self, student: str) -> Program:
        """The copy of a student's program.

        Raises:
            InputError: it is missing or damaged.
        """
        if student not in self._programs:
            self._programs[student] = load_program(self.program_folder(student))
        return self._programs[student]

    def keep_program(self, program: Program) -> None:
        """Copy a program, its card last, into the folder: then its artefacts can be checked anywhere."""
        for name in (*program.card.files, CARD):
            with atomic_file(self.program_folder(program.card.student) / name) as temporary:
                shutil.copyfile(program.folder / name, temporary)


def find_or_latest(path: Path | None, targets: Sequence[str] | None = None) -> Artefact:
    """The artefact at a path, or without one the latest in `dist` of these targets.

    Raises:
        InputError: see `find` and `Dist.latest`.
    """
    return find(path) if path else Dist(DEFAULT).latest(targets)


def find(path: Path) -> Artefact:
    """The artefact at a path, with its folder.

    Raises:
        InputError: it does not exist, or its card is missing or damaged.
    """
    return Dist(Path(path).parent).artefact(Path(path))
