"""What is known of a backend without importing its toolchain, whose import takes seconds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from pose.errors import BackendError, InputError

if TYPE_CHECKING:
    from pose.card import Card

PRECISIONS = ("fp32", "fp16", "int8")


@dataclass(frozen=True)
class Option:
    """A decision that the user may take when a program is lowered.

    Attributes:
        name: keyword argument of the backend's `lower`.
        choices: every value.
        default: the value that no file name shows.
        card_field: where an artefact's card records the value: a field of a field, as `input.dtype` or `metrics.delegate`.
        help: the line that `edge.export --help` shows.
        precisions: of the artefacts that differ by it.
        if_unrecorded: the value of a card that records none [default: `default`].
        note: what `edge.export` says after an export with the default, where the default is not best for everybody.
    """

    name: str
    choices: tuple[str, ...]
    default: str
    card_field: str
    help: str
    precisions: tuple[str, ...] = PRECISIONS
    if_unrecorded: str | None = None
    note: str = ""

    def __post_init__(self) -> None:
        if self.default not in self.choices:
            raise ValueError(f"option {self.name}: its default '{self.default}' is not among its choices")

    @property
    def flag(self) -> str:
        """The option of `edge.export`."""
        return f"--{self.name}"

    def value(self, card: Card) -> str:
        """The value that an artefact was lowered with, by its card."""
        place: Any = card
        for name in self.card_field.split("."):
            place = place.get(name) if isinstance(place, Mapping) else getattr(place, name)
        return str(place or self.if_unrecorded or self.default)


@dataclass(frozen=True)
class TargetSpec:
    """One backend. Its file defines this as `SPEC`, and importing that file imports no toolchain.

    Attributes:
        name: what `--target` and cards call it.
        module: the module that has `lower`, `open` and `lint` (`targets.base.Target`); `__name__` where it is the same file.
        suffix: of an artefact's file name.
        needs: modules that `lower` and `open` import beside torch.
        libraries: distributions whose versions a card records.
        extra: extra of `distilpose-edge` that installs the toolchain; None where pip installs `libraries` by name.
        options: what the user may decide.
        wheels: what `edge.bench --setup` installs on a device with Python.
        python: the versions of CPython that have these wheels for arm64 and x86-64 Linux, looked up in November 2026.
        runtime: which of the runtimes that `edge.agent` opens runs the artefact on a device; None where none does.
        device_tool: the program on a device that builds and times the artefact in the agent's place, where it is installed.
        lowers: False for torch, whose artefact is the program itself.
        order: place in lists and tables; equal ones are sorted by name.
    """

    name: str
    module: str
    suffix: str
    needs: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ()
    extra: str | None = None
    options: tuple[Option, ...] = ()
    wheels: tuple[str, ...] = ()
    python: str = ">=3.9,<3.15"
    runtime: str | None = None
    device_tool: str | None = None
    lowers: bool = True
    order: int = 100

    def install_hint(self) -> str:
        """The command that installs what the backend needs."""
        return f"pip install 'distilpose-edge[{self.extra}]'" if self.extra else f"pip install {' '.join(self.libraries)}"

    def not_installed(self, module: str | None) -> BackendError:
        """The error that says which module is missing and how to install it."""
        return BackendError(f"target {self.name} needs {module}; {self.install_hint()}")

    def check_installed(self) -> None:
        """Raises BackendError unless everything in `needs` is installed; imports nothing."""
        for module in self.needs:
            if find_spec(module) is None:
                raise self.not_installed(module)

    def check_option(self, name: str, value: str, precision: str | None = None) -> None:
        """Raises InputError unless the backend has that option with that value, for artefacts of that precision."""
        option = next((option for option in self.options if option.name == name), None)
        if option is None:
            raise InputError(f"target {self.name} has no option {name}")
        if value not in option.choices:
            raise InputError(f"there is no {name} '{value}'; choose one of {', '.join(option.choices)}")
        if precision is not None and precision not in option.precisions:
            raise InputError(f"{option.flag} {value} is for --precision {' or '.join(option.precisions)}, not {precision}")

    def variant(self, precision: str | None, chosen: Mapping[str, str | None]) -> str:
        """What distinguishes the artefacts of one program and precision: `onnx`, `tflite-float32`, `executorch-vulkan`.

        Args:
            chosen: option -> value; the default where it is missing or None.
        """
        parts = [self.name]
        for option in self.options:
            value = chosen.get(option.name) or option.default
            if value != option.default and precision in option.precisions:
                parts.append(value)
        return "-".join(parts)

    def file_name(self, student: str, precision: str, chosen: Mapping[str, str | None] | None = None) -> str:
        """Name of an artefact: `distilpose_s-tflite-float32-int8.tflite`; see `variant` for `chosen`."""
        return f"{student}-{self.variant(precision, chosen or {})}-{precision}{self.suffix}"
