"""What a backend is, and the list of them: `SPECS`. Imports no toolchain, so that commands can list what they offer.

A backend is a module (or a package) of this folder with a `SPEC`, which is found by itself: no other list has to be changed.
From outside the repository, call `register`, or put the file into the folder that the environment variable
`DISTILPOSE_TARGETS` names. See docs/add-a-target.md.
"""

from __future__ import annotations

import importlib.util
import os
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Literal, Protocol, cast

from pose.errors import InputError
from targets.spec import TargetSpec

if TYPE_CHECKING:
    import numpy as np
    from torch.export import ExportedProgram

    from pose.card import Card, Precision
    from pose.program import Program

VARIABLE = "DISTILPOSE_TARGETS"  # environment: a folder of backends, one file each
_USER_MODULE = "distilpose_target_"  # what the names of their modules begin with
_FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Artefact:
    """A file (or folder) for one backend, and its card, which lies beside it (`pose.card.card_path`)."""

    path: Path
    card: Card


@dataclass(frozen=True)
class LintFinding:
    """Something in a program that a backend runs slowly, inaccurately or not at all.

    Attributes:
        severity: an `error` stops the lowering, a `warning` costs speed or accuracy.
        node: name in the program's graph.
    """

    severity: Literal["error", "warning"]
    node: str
    message: str


@dataclass(frozen=True)
class OperatorTime:
    """Milliseconds that one operator takes of one inference; `kind` is the type of operator that it is an instance of."""

    name: str
    kind: str
    ms: float


class RefusedError(InputError):
    """A program that a backend cannot lower, and why."""


class Runner(Protocol):
    """An opened artefact."""

    card: Card

    def predict(self, crops: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Crops uint8 [N, H, W, 3] in RGB, any N -> coords float32 [N, K, 2] in 0..1 and scores float32 [N, K].

        Raises:
            InputError: the crops have another shape or type.
            BackendError: the runtime failed, or its answer is not finite.
        """
        ...


class Target(Protocol):
    """The module that a `TargetSpec` names."""

    def lower(self, program: Program, out: Path, precision: Precision = "int8") -> Artefact:
        """Lower one of the program's two graphs into the folder `out`, with its card; both files are written atomically.

        The options of the backend's spec are further keyword arguments.

        Raises:
            RefusedError: `lint` finds an error in the graph.
            BackendError: the toolchain is not installed, or failed.
        """
        ...

    def open(self, path: Path, threads: int = 1) -> Runner:
        """Open an artefact that matches its card.

        Raises:
            InputError: the artefact or its card is missing, damaged or belongs to another target.
            BackendError: the runtime is not installed, or refuses the file.
        """
        ...

    def lint(self, program: ExportedProgram) -> list[LintFinding]:
        """What this backend would run slowly, inaccurately or not at all; empty if there is nothing of the kind."""
        ...


SPECS: dict[str, TargetSpec] = {}  # by name, in the order in which lists and tables show them
_load_errors: list[InputError] = []  # of the user's files: raised where a target is missing, not while commands are imported


def register(spec: TargetSpec) -> None:
    """Add a backend to this process. It replaces a backend of the same name."""
    SPECS[spec.name] = spec
    specs = sorted(SPECS.values(), key=lambda spec: (spec.order, spec.name))
    SPECS.clear()
    SPECS.update((spec.name, spec) for spec in specs)


def lowered_names() -> tuple[str, ...]:
    """The targets that a program is lowered to: `--target all`."""
    return tuple(spec.name for spec in SPECS.values() if spec.lowers)


def names_by_toolchain() -> tuple[tuple[str, ...], ...]:
    """`lowered_names` in groups that need the same modules, and that reuse each other's work when one process lowers them.

    Raises:
        InputError: a file in the user's folder cannot be loaded.
    """
    if _load_errors:
        raise _load_errors[0]
    groups: dict[tuple[str, ...], list[str]] = {}
    for name in lowered_names():
        groups.setdefault(SPECS[name].needs or (name,), []).append(name)
    return tuple(map(tuple, groups.values()))


def get_spec(name: str) -> TargetSpec:
    """The spec of that name.

    Raises:
        InputError: no such target, or a file in the user's folder cannot be loaded.
    """
    if name not in SPECS and _load_errors:
        raise _load_errors[0]
    if name not in SPECS:
        raise InputError(f"there is no target '{name}'; choose one of {', '.join(SPECS)}")
    return SPECS[name]


def is_of_this_process(name: str) -> bool:
    """Whether a backend was added by `register`, so that no other process knows it.

    Raises:
        InputError: no such target.
    """
    return not get_spec(name).module.startswith(("targets.", _USER_MODULE))


def get(name: str) -> Target:
    """The backend of that name, imported.

    Raises:
        InputError: no such target.
        BackendError: what it needs is not installed.
    """
    spec = get_spec(name)
    try:
        return cast(Target, import_module(spec.module))
    except ModuleNotFoundError as error:
        raise spec.not_installed(error.name) from error


def profiler(target: str) -> Callable[[Path, Card, int, int], list[OperatorTime]]:
    """What says where a runtime spends its time, by the runtime's own profiler: the module `profile` of a backend's package.

    It takes the path of an artefact, its card, the number of threads, and that of inferences of the golden crop.

    Raises:
        InputError: the runtime has no profiler that Python can use.
        BackendError: it is not installed.
    """
    if not (_FOLDER / target / "profile.py").is_file():
        others = [name for name in SPECS if (_FOLDER / name / "profile.py").is_file()]
        raise InputError(f"target {target} has no profiler of operators; profile the same program for {' or '.join(others)}")
    try:
        return cast(Callable[..., list[OperatorTime]], import_module(f"targets.{target}.profile").profile)
    except ModuleNotFoundError as error:
        raise get_spec(target).not_installed(error.name) from error


def variant_name(card: Card, precision: str | None = None) -> str:
    """What distinguishes the artefacts of one program and precision: `onnx`, `executorch-vulkan`, `tflite-float32`.

    Args:
        precision: of the twin whose name is wanted [default: the card's own].
    """
    spec = SPECS.get(card.target)
    if spec is None:  # of a backend that is not installed here
        return card.target
    return spec.variant(precision or card.precision, {option.name: option.value(card) for option in spec.options})


def open_artefact(path: Path, threads: int = 1) -> Runner:
    """Open any artefact, or one of the two graphs of a program, by what its card says it is.

    Raises:
        InputError, BackendError: see `Target.open`.
    """
    from pose import card as cards

    path = Path(path)
    name = "torch" if path.suffix == ".pt2" else cards.read(cards.card_path(path)).target
    return get(name).open(path, threads)


def _modules() -> Iterator[ModuleType]:
    """Every module of this folder, and of the user's, with a line that begins with `SPEC`."""
    for path in sorted([*_FOLDER.glob("*.py"), *_FOLDER.glob("*/__init__.py")]):
        if _has_spec(path):
            yield import_module(f"targets.{path.stem if path.parent == _FOLDER else path.parent.name}")
    folder = os.environ.get(VARIABLE)
    if folder and not Path(folder).is_dir():
        _load_errors.append(InputError(f"{VARIABLE}={folder} is not a folder; name the folder of your backends' files"))
    for path in sorted(Path(folder).glob("*.py")) if folder else ():
        if _has_spec(path):
            try:
                yield _load(path)
            except InputError as error:
                _load_errors.append(error)


def _has_spec(path: Path) -> bool:
    return re.search(r"^SPEC\b", path.read_text(encoding="utf-8"), re.MULTILINE) is not None


def _load(path: Path) -> ModuleType:
    """The module in a file outside the repository; a `SPEC` in it may name `__name__` as its module."""
    name = f"{_USER_MODULE}{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # it is the user's code
        del sys.modules[name]
        raise InputError(f"cannot load the backend {path}: {type(error).__name__}: {error}") from error
    if not isinstance(module.SPEC, TargetSpec):
        raise InputError(f"cannot load the backend {path}: its SPEC is not a targets.spec.TargetSpec")
    if module.SPEC.name in SPECS:
        raise InputError(f"cannot load the backend {path}: there already is a target '{module.SPEC.name}'; rename this one")
    return module


for _module in _modules():
    register(_module.SPEC)
