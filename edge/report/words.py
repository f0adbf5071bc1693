"""Texts of figures, on the page and in Markdown."""

from __future__ import annotations

from edge.evaluate.records import MEASURES, Column, Measure
from edge.evaluate.timings import Device
from edge.report.model import Entry
from targets import boards

MINUS = "\u2212"
EMULATED = "emulated, not latency"
PRECISIONS = {"fp32": "float", "int8": "int8", "fp16": "fp16"}


def points(value: float | None) -> str:
    """AP or PCK."""
    return "n/a" if value is None else f"{value:.1f}"


def change(new: float | None, old: float | None, digits: int = 1) -> str:
    """With its sign; nothing where one is not known."""
    if new is None or old is None:
        return ""
    by = round(new - old, digits)
    return f"{'+' if by > 0 else MINUS if by < 0 else '±'}{abs(by):.{digits}f}"


def interval(ends: tuple[float | None, float | None]) -> str:
    """A 95 % interval."""
    return "" if None in ends else f"{ends[0]:.1f}–{ends[1]:.1f}"


def ms(value: float | None) -> str:
    """Milliseconds to three figures."""
    if value is None:
        return ""
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:.0f}"


def megabytes(value: float | None) -> str:
    """Of a file, from bytes."""
    return "" if value is None else f"{value / 1e6:.1f}"


def share(value: float) -> str:
    """Per cent; only all of it is 100 %."""
    return f"{int(value * 1000) / 10:g} %"


def precision(entry: Entry) -> str:
    """Name of its precision in texts."""
    return PRECISIONS[entry.precision]


def css_class(entry: Entry) -> str:
    """Class of its precision in the style sheet."""
    return "float" if entry.precision == "fp32" else "int8"


def column_class(name: str) -> str:
    """Class of a column of `Check.columns` in the style sheet."""
    return {"float": "float", "fake-quant": "fake", "lowered": "int8"}.get(name, "device")


def shared_measure(column: Column, float_column: Column) -> Measure | None:
    """AP, or PCK where one of the two has no AP; None where they have no measure in common."""
    both = (name for name in MEASURES if None not in (column.measure(name), float_column.measure(name)))
    return next(both, None)


def device_title(device: Device) -> str:
    """Title of a device: the model that it reports; of this host the processor."""
    facts = device.facts.before
    model, cpu = (facts.model.strip("\0 "), facts.cpu.strip("\0 ")) if facts else ("", "")
    if device.device == "local":
        return f"this host ({cpu or model})" if cpu or model else "this host"
    known = boards.known().get(device.board, boards.get(boards.GENERIC))
    return model or cpu or f"{known.title} ({device.device})"
