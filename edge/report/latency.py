"""Where the time goes: distribution of the latencies, their course over the run, and the stages."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from edge.evaluate.timings import Shape
from edge.report import words
from edge.report.model import Entry
from edge.report.svg import HALF, NARROW, Figure, Scale, canvas, figure, line, tag, text, text_width

STAGES = ("preprocess", "model", "decode")
ROW, PLOT = 92, 58  # pixels of a histogram with its heading, and of the histogram


def distribution(pair: Sequence[Entry], title: str) -> Figure | None:
    """Histograms of one artefact and its float twin on one device, on one axis; None without times of a real device."""
    shown = [entry for entry in pair if entry.latency and entry.timing and entry.timing.shape]
    if not shown:
        return None
    descriptions = [
        f"{words.precision(entry)}: median {words.ms(entry.latency.p50)}, 90th percentile {words.ms(entry.latency.p90)}, "
        f"99th {words.ms(entry.latency.p99)} ms"
        for entry in shown
        if entry.latency
    ]
    runs = " and ".join(str(entry.latency.runs) for entry in shown if entry.latency)
    caption = f"{runs} inferences in turns, {shown[0].threads} thread{'s' if shown[0].threads > 1 else ''}, {shown[0].mode}."
    over_time = shown[0].mode != "quick"
    return figure(
        title, caption, f"Latency on {title}. {'; '.join(descriptions)}", lambda w: _spread(w, shown, over_time), HALF
    )


def _spread(width: int, shown: Sequence[Entry], over_time: bool) -> Markup:
    shapes = [entry.timing.shape for entry in shown if entry.timing and entry.timing.shape]
    ends = [shape.start + shape.width * len(shape.counts) for shape in shapes]
    x = Scale(min(0.9 * min(shape.start for shape in shapes), 0.5 * max(ends)), max(ends) * 1.02, 6, width - 6)
    drawn = []
    for row, (entry, shape) in enumerate(zip(shown, shapes, strict=True)):
        drawn.append(_histogram(entry, shape, x, row * ROW, width))
    base = len(shown) * ROW
    for tick in x.ticks(5 if width <= NARROW else 7):
        drawn.append(text(x(tick), base + 12, f"{tick:g}", "tick", "middle"))
    drawn.append(text(width - 6, base + 28, "ms an inference", "title", "end"))
    height = base + 34
    if over_time:
        drawn.append(_over_time(shown, shapes, height + 16, width))
        height += 100
    return canvas(width, height, *drawn)


def _histogram(entry: Entry, shape: Shape, x: Scale, top: float, width: int) -> Markup:
    latency, base, kind = entry.latency, top + ROW - 8, words.css_class(entry)
    assert latency is not None
    tallest = max(shape.counts) or 1
    path = f"M{x(shape.start):.1f},{base:.1f}"
    for index, count in enumerate(shape.counts):
        path += f"V{base - PLOT * count / tallest:.1f}H{x(shape.start + (index + 1) * shape.width):.1f}"
    figures = "  ".join(f"p{k} {words.ms(getattr(latency, f'p{k}'))}" for k in (50, 90, 99))
    parts = [text(6, top + 13, words.precision(entry), f"name {kind}"), text(width - 6, top + 13, figures, "value", "end")]
    parts += [tag("path", d=f"{path}V{base:.1f}Z", class_=f"area {kind}"), line(6, base, width - 6, base, "axis")]
    for percent in (50, 90, 99):
        value = getattr(latency, f"p{percent}")
        high = base - PLOT - 4 if percent == 90 else base - 7
        if value <= x.high:
            parts.append(line(x(value), high, x(value), base + 4, f"mark p{percent} {kind}"))
    if latency.p99 > x.high:
        parts.append(text(width - 6, base - 6, f"{shape.beyond} later →", "tick", "end"))
    return tag("g", *parts)


def _over_time(shown: Sequence[Entry], shapes: Sequence[Shape], top: float, width: int) -> Markup:
    highest = max(value for shape in shapes for value in shape.over_time)
    y = Scale(0, highest * 1.1, top + 62, top)
    parts = [text(6, top - 2, "median over the run", "title"), line(6, y(0), width - 6, y(0), "axis")]
    for entry, shape in zip(shown, shapes, strict=True):
        x = Scale(0, max(len(shape.over_time) - 1, 1), 6, width - 6)
        points = " ".join(f"{x(i):.1f},{y(value):.1f}" for i, value in enumerate(shape.over_time))
        parts.append(tag("polyline", points=points, class_=f"trace {words.css_class(entry)}"))
    parts += [text(6, y(0) + 14, "start", "tick"), text(width - 6, y(0) + 14, "end", "tick", "end")]
    return Markup("").join(parts)


def stages(entries: Sequence[Entry], titles: dict[str, str]) -> Figure | None:
    """Bars of pre-processing, model and decoding; None if no real device has them."""
    shown = [
        (entry, entry.timing.stages_ms) for entry in entries if entry.latency and entry.timing and entry.timing.stages_ms
    ]
    if not shown:
        return None
    descriptions = [
        f"{_where(entry, titles)} {words.precision(entry)}: " + ", ".join(f"{k} {words.ms(v)}" for k, v in parts.items())
        for entry, parts in shown
    ]
    caption = (
        "Medians of each stage timed apart: the crop out of the picture, the network, and keypoints back into the picture."
    )
    return figure(
        "Stages",
        caption,
        f"Milliseconds by stage. {'; '.join(descriptions)}",
        lambda width: _bars(width, shown, titles),
        HALF,
    )


def _where(entry: Entry, titles: dict[str, str]) -> str:
    return f"{titles.get(entry.device or '', entry.device or '')}, {entry.label}"


def _bars(width: int, shown: Sequence[tuple[Entry, dict[str, float]]], titles: dict[str, str]) -> Markup:
    x = Scale(0, max(sum(parts.values()) for _, parts in shown) * 1.02, 52, width - 54)
    drawn, y, group = [_stage_key()], 34.0, ""
    for entry, parts in shown:
        where, kind = _where(entry, titles), words.css_class(entry)
        if where != group:
            y += 10 if group else 0
            drawn.append(text(0, y + 8, where, "label"))
            y, group = y + 18, where
        drawn.append(text(46, y + 14, words.precision(entry), f"name {kind}", "end"))
        start = 0.0
        for stage in (name for name in STAGES if name in parts):
            left, right = x(start), x(start + parts[stage])
            bar = tag("rect", x=left, y=y, width=max(right - left, 0.5), height=20.0, class_=f"bar {stage} {kind}")
            drawn.append(tag("g", bar, tag("title", f"{stage} {words.ms(parts[stage])} ms")))
            inside = words.ms(parts[stage])
            if right - left > text_width(inside) + 8:
                drawn.append(text((left + right) / 2, y + 14, inside, f"in {stage} {kind}", "middle"))
            start += parts[stage]
        drawn.append(text(x(start) + 6, y + 14, f"{words.ms(start)} ms", "value"))
        y += 26
    return canvas(width, y + 4, *drawn)


def _stage_key() -> Markup:
    parts, x = [], 0.0
    for stage, words_ in zip(STAGES, ("pre-processing", "model", "decoding"), strict=True):
        parts += [
            tag("rect", x=x, y=4.0, width=12.0, height=12.0, class_=f"bar {stage} int8"),
            text(x + 18, 14, words_, "label"),
        ]
        x += 30 + text_width(words_, 12.5)
    return Markup("").join(parts)
