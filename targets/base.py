"""What a target is: it lowers a program to an artefact, opens artefacts it made, and says what in a program it dislikes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, cast

import numpy as np

from pose import card as cards
from pose.card import Card, Coverage, Precision, Prediction
from pose.crop import normalise
from pose.errors import BackendError, InputError
from pose.files import sha256

if TYPE_CHECKING:
    from torch.export import ExportedProgram

    from pose.program import Program

# Name -> module that is a `Target`; a module is imported when its target is asked for.
TARGETS = {
    "torch": "targets.torch",
    "executorch": "targets.executorch",
    "tflite": "targets.tflite",
    "coreml": "targets.coreml",
    "onnx": "targets.onnx",
    "tensorrt": "targets.tensorrt",
}

# What each needs beside torch: a toolchain's import takes seconds, asking whether it is there does not.
_NEEDS = {
    "executorch": ("executorch",),
    "tflite": ("litert_torch", "ai_edge_litert"),
    "coreml": ("coremltools",),
    "onnx": ("onnx", "onnxscript", "onnxruntime"),
    "tensorrt": ("onnx", "onnxscript", "onnxruntime"),
}

LOWERED = tuple(name for name in TARGETS if name != "torch")  # what `edge.export --target all` makes

# The same, those of one toolchain together: what it makes for one, it makes for the other.
BY_TOOLCHAIN = tuple(
    tuple(name for name in LOWERED if _NEEDS[name] == needs) for needs in dict.fromkeys(_NEEDS[name] for name in LOWERED)
)


@dataclass(frozen=True)
class Artefact:
    """A file (or folder) for one backend, and its card, which lies beside it (`pose.card.card_path`)."""

    path: Path
    card: Card


@dataclass(frozen=True)
class Finding:
    """Something in a program that a target runs badly or not at all.

    Attributes:
        severity: an `error` stops the lowering, a `warning` costs speed or accuracy.
        node: name in the program's graph.
    """

    severity: Literal["error", "warning"]
    node: str
    message: str


class RefusedError(InputError):
    """A program that a target does not take, and why."""


def accepted(findings: list[Finding], program: Program, target: str) -> list[Finding]:
    """The findings, none of which is an error.

    Raises:
        RefusedError: one is.
    """
    for finding in findings:
        if finding.severity == "error":
            raise RefusedError(f"{target} does not take {program.folder}: {finding.node} {finding.message}")
    return findings


class Runner(Protocol):
    """An opened artefact."""

    card: Card

    def run(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Network inputs float32 [N, 3, H, W], any N -> coords float32 [N, K, 2] in 0..1 and scores float32 [N, K].

        Raises:
            InputError: the images have another shape or type.
            BackendError: the runtime failed.
        """
        ...


class Target(Protocol):
    """A module of this package."""

    def lower(self, program: Program, out: Path, precision: Precision = "int8") -> Artefact:
        """Lower one of the program's two graphs into the folder `out`, with its card; whole or not at all.

        Raises:
            RefusedError: `lint` finds an error in it.
            BackendError: the backend's toolchain is not installed, or failed.
        """
        ...

    def open(self, path: Path, threads: int = 1) -> Runner:
        """Open an artefact that matches its card.

        Raises:
            InputError: the artefact or its card is missing, damaged or another's.
            BackendError: the runtime is not installed, or refuses the file.
        """
        ...

    def lint(self, program: ExportedProgram) -> list[Finding]:
        """What this target would run badly; empty when there is nothing to say."""
        ...


def check_name(name: str, known: Iterable[str]) -> None:
    """Raises InputError unless it is one of the targets that are asked for."""
    known = list(known)
    if name not in known:
        raise InputError(f"there is no target '{name}'; choose one of {', '.join(known)}")


def check_installed(name: str) -> None:
    """Raises BackendError unless what the target needs to lower is installed; nothing is imported."""
    for module in _NEEDS.get(name, ()):
        if find_spec(module) is None:
            raise _not_installed(name, module)


def get(name: str) -> Target:
    """The target of that name.

    Raises:
        InputError: no such target.
        BackendError: what it needs is not installed.
    """
    check_name(name, TARGETS)
    try:
        return cast(Target, import_module(TARGETS[name]))
    except ModuleNotFoundError as error:
        raise _not_installed(name, error.name) from error


def _not_installed(name: str, module: str | None) -> BackendError:
    return BackendError(f"target {name} needs {module}; pip install 'distilpose-edge[{name}]'")


def open_artefact(path: Path, threads: int = 1) -> Runner:
    """Open any artefact, or one of the two graphs of a program, by what its card says it is.

    Raises:
        InputError, BackendError: see `Target.open`.
    """
    path = Path(path)
    name = "torch" if path.suffix == ".pt2" else cards.read(cards.card_path(path)).target
    return get(name).open(path, threads)


def artefact_card(
    program: Program,
    target: str,
    precision: Precision,
    files: dict[str, str],
    coverage: Coverage | None,
    findings: Sequence[Finding],
    libraries: Sequence[str],
) -> Card:
    """The card of an artefact that was made of `program`, without its own answer to the golden crop yet (`with_answer`).

    Args:
        files: name -> sha256 of what was written. findings: `Target.lint` of the graph, which the card holds as
            `metrics["lint"]`. libraries: distributions that made it, whose versions the card names.
    """
    lint: dict[tuple[str, str], list[str]] = {}
    for finding in findings:
        lint.setdefault((finding.severity, finding.message), []).append(finding.node)
    told = [{"severity": severity, "message": text, "nodes": nodes} for (severity, text), nodes in lint.items()]
    return program.card.model_copy(
        update={
            "target": target,
            "precision": precision,
            "coverage": coverage,
            "files": files,
            "sources": {**program.card.sources, "program": sha256(program.path(precision))},
            "versions": {**program.card.versions, **{name: version(name) for name in libraries}},
            "metrics": {"lint": told},
        }
    )


def with_answer(card: Card, runner: Runner) -> Card:
    """The card with what the artefact itself answers to the golden crop, in `golden.expected.lowered`."""
    crop = card.golden.pixels(card.spec.width, card.spec.height)
    coords, scores = runner.run(normalise(crop, card.spec)[None])
    lowered = Prediction(coords=coords[0].tolist(), scores=scores[0].tolist())
    golden = card.golden.model_copy(update={"expected": {**card.golden.expected, "lowered": lowered}})
    return card.model_copy(update={"golden": golden})


def verified_card(path: Path, target: str) -> Card:
    """The card beside an artefact that was made for `target`, and matches it.

    Raises:
        InputError: the artefact or its card is missing, damaged or another's.
    """
    card = cards.read(cards.card_path(path))
    if card.target != target:
        raise InputError(f"{path} was made for {card.target}, not for {target}")
    card.verify(path)
    return card


def check_images(images: np.ndarray, card: Card) -> None:
    """Raises InputError unless `images` is what the card's network takes, at any batch."""
    expected = card.input.shape[1:]
    if images.ndim != 4 or images.shape[1:] != expected or images.dtype != np.float32:
        raise InputError(
            f"{card.student} takes float32 [N, {', '.join(map(str, expected))}], not {images.dtype} {list(images.shape)}"
        )


def one_by_one(call: RunOne, images: np.ndarray, card: Card) -> tuple[np.ndarray, np.ndarray]:
    """Run a batch through a network of batch 1."""
    check_images(images, card)
    answers = [call(image[None]) for image in images]
    keypoints = card.outputs[0].shape[1]
    if not answers:
        return np.zeros((0, keypoints, 2), np.float32), np.zeros((0, keypoints), np.float32)
    return np.concatenate([coords for coords, _ in answers]), np.concatenate([scores for _, scores in answers])


class RunOne(Protocol):
    """[1, 3, H, W] -> coords [1, K, 2], scores [1, K]."""

    def __call__(self, image: np.ndarray, /) -> tuple[np.ndarray, np.ndarray]: ...
