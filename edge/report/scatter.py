"""Accuracy against latency: one point for each artefact, one Pareto line for each device."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from edge.report import words
from edge.report.model import Entry
from edge.report.pareto import front
from edge.report.svg import NARROW, Figure, Scale, canvas, figure, line, span, tag, text, text_width

LOG_FROM = 8  # the slowest over the fastest from which the axis is logarithmic
SIZE = 6.5
FAR = 24  # pixels between a point and its name from which a line joins them
# offsets of a name from its point: the first free one is taken
PLACES = [
    *((9, -11, "start"), (9, 20, "start"), (0, -13, "middle"), (0, 22, "middle")),
    *((dx, dy, anchor) for dy in (-32, 41, -50, 59) for dx, anchor in ((0, "middle"), (-4, "start"), (4, "end"))),
    *((-9, -11, "end"), (-9, 20, "end")),  # last, for a name before its point seems to be that of the point before
]


@dataclass(frozen=True)
class Point:
    """What is drawn for an entry: `ms` is the 90th percentile, `score` AP, or PCK where there is no AP."""

    entry: Entry
    ms: float
    score: float
    ends: tuple[float | None, float | None]


def points(entries: Sequence[Entry]) -> tuple[str, list[Point]]:
    """The measure on the axis, AP where every entry has it, else PCK@0.2; and the entries with accuracy and real latency."""
    timed = [entry for entry in entries if entry.latency is not None and entry.accuracy is not None]
    measure = "ap" if all(entry.accuracy and entry.accuracy.ap is not None for entry in timed) else "pck"
    made = []
    for entry in timed:
        score = getattr(entry.accuracy, measure)
        if score is not None and entry.latency is not None:
            made.append(Point(entry, entry.latency.p90, score, getattr(entry.accuracy, f"{measure}_95")))
    return {"ap": "AP", "pck": "PCK@0.2"}[measure], made


def scatter(entries: Sequence[Entry], budgets: dict[str, float], titles: dict[str, str]) -> Figure | None:
    """The figure; None if nothing has both an accuracy and a latency.

    Args:
        budgets: device -> its limit of the 90th percentile in ms.
        titles: device -> title.
    """
    measure, shown = points(entries)
    if not shown:
        return None
    devices = list(dict.fromkeys(point.entry.device or "" for point in shown))
    best = {device: _front(shown, device) for device in devices}
    descriptions = [
        f"{titles.get(device, device)}: "
        + "; ".join(
            f"{_name(p.entry)} {words.ms(p.ms)} ms, {measure} {p.score:.1f}" for p in shown if p.entry.device == device
        )
        for device in devices
    ]
    caption = (
        f"Up and to the left is better. A point is one artefact: its {measure} and the 90th percentile of its latency. "
        "The line across it runs from the median to the 99th percentile, the faint one upwards is the 95 % interval of "
        f"{measure}, which float and int8, scored on the same people, share for the most part. "
        "The stepped line joins what no other artefact on that device beats in both."
    )
    return figure(
        "Accuracy against latency",
        caption,
        f"Scatter of {measure} against latency. {' | '.join(descriptions)}",
        lambda width: _draw(width, measure, shown, best, {d: b for d, b in budgets.items() if d in devices}, titles),
    )


def _front(shown: Sequence[Point], device: str) -> list[Point]:
    mine = [point for point in shown if point.entry.device == device]
    return [mine[index] for index in front([(point.ms, point.score) for point in mine])]


def _name(entry: Entry) -> str:
    return f"{entry.label} {words.precision(entry)}"


def _draw(
    width: int,
    measure: str,
    shown: Sequence[Point],
    best: dict[str, list[Point]],
    budgets: dict[str, float],
    titles: dict[str, str],
) -> Markup:
    narrow, devices = width <= NARROW, list(best)
    top = 26 + 20 * -(-len(devices) // (1 if narrow else 3)) if len(devices) > 1 else 26
    bottom = top + (270 if narrow else 330)
    left, right = 40, width - 14
    edges = [p.ms for p in shown] + [p.entry.latency.p99 for p in shown if p.entry.latency] + list(budgets.values())
    log = max(edges) > LOG_FROM * min(p.ms for p in shown)
    lowest = min(p.entry.latency.p50 for p in shown if p.entry.latency)
    x = Scale(lowest / 1.4, max(edges) * 1.25, left, right, True) if log else Scale(0, max(edges) * 1.12, left, right)
    scores = [value for p in shown for value in (p.score, *p.ends) if value is not None]
    y = Scale(*span(scores, least=2), bottom, top)
    drawn = [_axes(x, y, measure, left, right, top, bottom)]
    drawn += [_legend(devices, titles, narrow, left)] if len(devices) > 1 else []
    for limit in sorted(set(budgets.values())):
        whose = [titles.get(device, device) for device, budget in budgets.items() if budget == limit]
        words_ = f"limit {words.ms(limit)} ms" + (f", {', '.join(whose)}" if len(whose) < len(devices) else "")
        drawn += [line(x(limit), top, x(limit), bottom, "limit"), _limit_label(x(limit), top + 12, words_, right)]
    for device in devices:
        end = max(x(p.ms) for p in shown if p.entry.device == device) + 36
        drawn.append(_steps(best[device], x, y, min(end, right)))
    taken = [(x(p.ms) - SIZE, y(p.score) - SIZE, x(p.ms) + SIZE, y(p.score) + SIZE) for p in shown]
    for point in shown:
        drawn.append(_marker(point, x, y, devices.index(point.entry.device or "")))
    several = len({p.entry.label for p in shown}) > 1
    for point in shown:
        label = _name(point.entry) if several else words.precision(point.entry)
        drawn.append(_label(label, x(point.ms), y(point.score), point.entry, taken, (left, right, top, bottom)))
    return canvas(width, bottom + 44, *drawn)


def _axes(x: Scale, y: Scale, measure: str, left: float, right: float, top: float, bottom: float) -> Markup:
    parts = [line(left, y(tick), right, y(tick), "grid") for tick in y.ticks()]
    parts += [text(left - 8, y(tick) + 4, f"{tick:g}", "tick", "end") for tick in y.ticks()]
    for tick in x.ticks(6 if right < NARROW else 9):
        parts += [line(x(tick), bottom, x(tick), bottom + 4, "axis")]
        parts += [text(x(tick), bottom + 18, f"{tick:g}", "tick", "middle")]
    parts += [line(left, bottom, right, bottom, "axis")]
    parts += [text(left - 30, top - 12, f"↑ {measure}", "title")]
    parts += [text(right, bottom + 37, "← latency, 90th percentile, ms", "title", "end")]
    return Markup("").join(parts)


def _legend(devices: Sequence[str], titles: dict[str, str], narrow: bool, left: float) -> Markup:
    parts, columns = [], 1 if narrow else 3
    for index, device in enumerate(devices):
        x, y = left + 60 + (index % columns) * 290, 14 + 20 * (index // columns)
        parts += [SHAPES[index % len(SHAPES)](x, y - 4, 5.5, "key"), text(x + 12, y, titles.get(device, device), "label")]
    return Markup("").join(parts)


def _limit_label(x: float, y: float, words_: str, right: float) -> Markup:
    fits = x + 6 + text_width(words_, 11) < right
    return text(x + 6 if fits else x - 6, y, words_, "limit-label", "start" if fits else "end")


def _steps(best: Sequence[Point], x: Scale, y: Scale, right: float) -> Markup:
    path = f"M{x(best[0].ms):.1f},{y(best[0].score):.1f}"
    for point in best[1:]:
        path += f"H{x(point.ms):.1f}V{y(point.score):.1f}"
    return tag("path", d=f"{path}H{right:.1f}", class_="pareto")


def _marker(point: Point, x: Scale, y: Scale, device: int) -> Markup:
    entry, latency = point.entry, point.entry.latency
    kind = words.css_class(entry)
    px, py = x(point.ms), y(point.score)
    parts = []
    if None not in point.ends:
        parts.append(line(px, y(point.ends[0] or 0), px, y(point.ends[1] or 0), f"spread {kind}"))
    if latency:
        parts.append(line(x(latency.p50), py, x(latency.p99), py, f"whisker {kind}"))
    parts.append(SHAPES[device % len(SHAPES)](px, py, SIZE, f"dot {kind}"))
    parts.append(tag("title", f"{_name(entry)} on {entry.device}: {words.ms(point.ms)} ms, {point.score:.1f}"))
    return tag("g", *parts)


def _label(
    words_: str,
    x: float,
    y: float,
    entry: Entry,
    taken: list[tuple[float, float, float, float]],
    room: tuple[float, float, float, float],
) -> Markup:
    """At the first of the places around the point that is free; one far from it gets a line to it."""
    width, left, right, top, bottom = text_width(words_, 12.5), *room
    for dx, dy, anchor in PLACES:
        start = x + dx - {"start": 0, "middle": width / 2, "end": width}[anchor]
        box = (start, y + dy - 11, start + width, y + dy + 3)
        inside = left <= box[0] and box[2] <= right and top <= box[1] and box[3] <= bottom
        if inside and not any(_overlap(box, other) for other in taken):
            break
    taken.append(box)
    name = text(x + dx, y + dy, words_, f"name {words.css_class(entry)}", anchor)
    near = abs(dy) < FAR
    return name if near else line(x, y + (SIZE if dy > 0 else -SIZE), x, y + dy + (-11 if dy > 0 else 4), "leader") + name


def _overlap(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _circle(x: float, y: float, size: float, kind: str) -> Markup:
    return tag("circle", cx=x, cy=y, r=size, class_=kind)


def _polygon(corners: Sequence[tuple[float, float]]) -> Callable[[float, float, float, str], Markup]:
    def draw(x: float, y: float, size: float, kind: str) -> Markup:
        return tag("polygon", points=" ".join(f"{x + size * a:.1f},{y + size * b:.1f}" for a, b in corners), class_=kind)

    return draw


# one for each device
SHAPES: tuple[Callable[[float, float, float, str], Markup], ...] = (
    _circle,
    _polygon([(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)]),
    _polygon([(0, -1.25), (1.25, 0), (0, 1.25), (-1.25, 0)]),
    _polygon([(0, -1.2), (1.15, 0.9), (-1.15, 0.9)]),
    _polygon([(0, 1.2), (1.15, -0.9), (-1.15, -0.9)]),
)
