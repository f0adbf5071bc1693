"""The operators that take most of an inference, as `edge.bench --per-operator` timed them."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from edge.evaluate.operators import SLOWEST
from edge.evaluate.timings import Operator
from edge.report import words
from edge.report.model import Entry
from edge.report.svg import HALF, Figure, Scale, canvas, figure, tag, text, text_width

ROW, BAR = 36, 12  # pixels of an operator with its name, and of its bar
_VALUE = 72  # pixels to the right of the longest bar, for its milliseconds


def slowest(entry: Entry, where: str) -> Figure | None:
    """A bar for each of the slowest operators; None where they were not timed.

    Args:
        where: the device, and the artefact where the report has several.
    """
    times = entry.timing.operators if entry.timing and not entry.emulated else None
    if not times:
        return None
    shown, others = times[:SLOWEST], times[SLOWEST:]
    share = sum(time.share for time in shown)
    caption = (
        f"By the runtime's profiler, which slows it down. These take {words.share(min(share, 1.0))} of all operators' time"
    )
    caption += f"; {len(others)} others take {_ms(sum(time.ms for time in others))} ms." if others else "."
    described = "; ".join(f"{time.name} ({time.kind}) {_ms(time.ms)} ms" for time in shown)
    title = f"Slowest operators: {where}, {words.precision(entry)}"
    kind = words.css_class(entry)
    return figure(title, caption, f"{title}. {described}", lambda width: _bars(width, shown, kind), HALF)


def _bars(width: int, times: Sequence[Operator], kind: str) -> Markup:
    x = Scale(0, max(time.ms for time in times) or 1, 0, width - _VALUE)
    drawn = []
    for row, time in enumerate(times):
        top = float(ROW * row)
        name, operator = _end(time.name, width - text_width(time.kind) - 24), time.kind
        bar = tag("rect", x=0.0, y=top + 18, width=max(x(time.ms), 0.5), height=float(BAR), class_=f"bar model {kind}")
        drawn += [text(0, top + 13, name, "label"), text(width, top + 13, operator, "tick", "end")]
        drawn.append(tag("g", bar, tag("title", f"{time.name} ({time.kind}): {_ms(time.ms)} ms, {time.share:.1%}")))
        drawn.append(text(x(time.ms) + 6, top + 28, f"{_ms(time.ms)} ms", "value"))
    return canvas(width, ROW * len(times) + 2, *drawn)


def _ms(value: float) -> str:
    return f"{value:.3f}"  # as in the table of edge.bench: many take microseconds


def _end(name: str, room: float) -> str:
    """The end of a name that is too long for some pixels: its beginning is the same for all operators of a block."""
    most = max(int(room / text_width("x", 12.5)), 4)
    return name if len(name) <= most else f"…{name[1 - most :]}"
