"""What every backend does in the same way: crops and answers are checked, artefacts and cards are written and verified.

Importing this module is cheap: a backend may import it beside its `SPEC`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from pose.errors import BackendError, InputError
from pose.files import atomic_file, sha256
from targets.base import SPECS, Artefact, LintFinding, RefusedError, Runner

if TYPE_CHECKING:
    import numpy as np

    from pose.card import Card, Coverage, Precision
    from pose.program import Program

LARGEST = 1e6  # of a coordinate in sizes of the crop, or of a score


class OneByOneRunner(ABC):
    """A `Runner` whose network has batch 1: a backend says how one crop is answered, the rest is checked here."""

    def __init__(self, card: Card) -> None:
        self.card = card

    @abstractmethod
    def predict_one(self, crop: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """A crop uint8 [H, W, 3] in RGB -> coords float32 [1, K, 2] in 0..1 and scores float32 [1, K].

        Raises:
            BackendError: the runtime failed.
        """

    def predict(self, crops: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See `targets.base.Runner`."""
        import numpy as np

        from pose.decode import assign_queries

        check_crops(crops, self.card)
        keypoints = len(self.card.skeleton)
        coords, scores = np.zeros((len(crops), keypoints, 2), np.float32), np.zeros((len(crops), keypoints), np.float32)
        for index, crop in enumerate(crops):
            answer = self.predict_one(crop)
            check_answer(answer, self.card, index)
            coords[index : index + 1], scores[index : index + 1] = assign_queries(*answer)
        return coords, scores


def network_input(crop: np.ndarray, card: Card) -> np.ndarray:
    """The tensor float32 [1, 3, H, W] that a network without pre-processing takes of a crop uint8 [H, W, 3]."""
    from pose.crop import normalise

    return normalise(crop, card.spec)[None]


def check_crops(crops: np.ndarray, card: Card) -> None:
    """Raises InputError unless `crops` are pixels uint8 [N, H, W, 3] of the size that the card names."""
    import numpy as np

    expected = (card.spec.height, card.spec.width, 3)
    if not isinstance(crops, np.ndarray) or crops.ndim != 4 or crops.shape[1:] != expected or crops.dtype != np.uint8:
        given = f"{crops.dtype} {list(crops.shape)}" if isinstance(crops, np.ndarray) else type(crops).__name__
        raise InputError(f"{card.student} takes crops uint8 [N, {', '.join(map(str, expected))}], not {given}")


def check_answer(answer: tuple[np.ndarray, np.ndarray], card: Card, index: int) -> None:
    """Raises BackendError unless a runtime's answer to the crop of that index has the card's shapes; see `check_values`."""
    shapes = tuple(tuple(part.shape) for part in answer)
    expected = tuple((1, *output.shape[1:]) for output in card.outputs)
    if shapes != expected:
        raise BackendError(f"{_artefact_name(card)} answered shapes {shapes}, its card says {expected}; export it again")
    check_values(answer, card, index)


def check_values(answer: tuple[np.ndarray, np.ndarray], card: Card, index: int) -> None:
    """Raises BackendError unless the numbers of an answer to the crop of that index are finite and at most `LARGEST`."""
    import numpy as np

    values = np.concatenate([part.ravel() for part in answer])
    wrong = ~(np.abs(values) <= LARGEST)  # also of NaN
    if wrong.any():
        what = f"more than {LARGEST:g}" if np.isfinite(values).all() else "NaN or infinite"
        raise BackendError(
            f"{_artefact_name(card)} answered crop {index} with {np.count_nonzero(wrong)} of {values.size} values that are "
            f"{what}; export it again, in another precision if that does not help"
        )


def _artefact_name(card: Card) -> str:
    from pose.program import graph_name

    return graph_name(card.precision or "int8") if card.target == "torch" else next(iter(card.files), card.target)


def accepted(findings: list[LintFinding], program: Program, target: str) -> list[LintFinding]:
    """The findings, none of which is an error.

    Raises:
        RefusedError: one is.
    """
    for finding in findings:
        if finding.severity == "error":
            raise RefusedError(f"{target} does not take {program.folder}: {finding.node} {finding.message}")
    return findings


def artefact_card(
    program: Program, target: str, precision: Precision, coverage: Coverage | None, findings: Sequence[LintFinding]
) -> Card:
    """The card of an artefact that was made of `program`, without `files` and its answer to the golden crop yet.

    Args:
        coverage: what the backend took of the graph, where it says so.
        findings: `Target.lint` of the graph, which the card holds as `metrics["lint"]`.
    """
    nodes_by_message: dict[tuple[str, str], list[str]] = {}
    for finding in findings:
        nodes_by_message.setdefault((finding.severity, finding.message), []).append(finding.node)
    lint = [
        {"severity": severity, "message": message, "nodes": nodes} for (severity, message), nodes in nodes_by_message.items()
    ]
    return program.card.model_copy(
        update={
            "target": target,
            "precision": precision,
            "coverage": coverage,
            "files": {},
            "sources": {**program.card.sources, "program": sha256(program.path(precision))},
            "versions": {**program.card.versions, **{name: version(name) for name in SPECS[target].libraries}},
            "metrics": {"lint": lint},
        }
    )


def write_artefact(
    path: Path,
    content: bytes,
    card: Card,
    open_runner: Callable[[Path, Card], Runner] | None,
    coverage: Callable[[], Coverage] | None = None,
) -> Artefact:
    """Write an artefact and its card, which gets the file's sha256 and its own answer to the golden crop.

    Both files are written atomically: a lowering that fails leaves neither.

    Args:
        card: made by `artefact_card`.
        open_runner: opens the file that was written; None if this machine cannot run it.
        coverage: computes the card's coverage once the file could be written; None if the card has it already.

    Raises:
        InputError: the folder cannot be written to, or the disk is full.
        BackendError: the runtime refuses the file, fails, or answers with numbers that are not finite.
    """
    from pose.card import card_path

    with atomic_file(card_path(path)) as card_file, atomic_file(path) as file:
        file.write_bytes(content)
        card = card.model_copy(update={"files": {path.name: sha256(file)}})
        if coverage is not None:
            card = card.model_copy(update={"coverage": coverage()})
        if open_runner is not None:
            card = with_answer(card, open_runner(file, card))
        card_file.write_text(card.as_yaml(), encoding="utf-8")
    return Artefact(path, card)


def with_answer(card: Card, runner: Runner) -> Card:
    """The card with the artefact's own answer to the golden crop, in `golden.expected.lowered`.

    Raises:
        BackendError: the runtime fails on it, or answers with numbers that are not finite.
    """
    from pose.card import Prediction

    crop = card.golden.pixels(card.spec.width, card.spec.height)
    coords, scores = runner.predict(crop[None])
    lowered = Prediction(coords=coords[0].tolist(), scores=scores[0].tolist())
    golden = card.golden.model_copy(update={"expected": {**card.golden.expected, "lowered": lowered}})
    return card.model_copy(update={"golden": golden})


def verified_card(path: Path, target: str) -> Card:
    """The card beside an artefact that was made for `target`, and matches it.

    Raises:
        InputError: the artefact or its card is missing, damaged or belongs to another target.
    """
    from pose import card as cards

    card = cards.read(cards.card_path(path))
    if card.target != target:
        raise InputError(f"{path} was made for {card.target}, not for {target}")
    card.verify_artefact(path)
    return card
