"""How far each joint moved on the way from the float program to the device."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from edge.evaluate.records import Check
from edge.report import words
from edge.report.svg import HALF, NARROW, Figure, Scale, canvas, figure, line, tag, text

ROW = 21


def per_joint(checks: Sequence[Check]) -> Figure | None:
    """A row for each joint: fake-quant hollow, every lowered artefact and device a dot; None without figures by joint."""
    rows: dict[str, list[tuple[str, str, float]]] = {}
    for check in checks:
        for name, column in check.columns().items():
            for joint, px in column.per_joint_px.items():
                if px or name != "float":
                    rows.setdefault(joint, []).append((f"{check.label} {name}", words.column_class(name), px))
    if not rows:
        return None
    worst = max(rows, key=lambda joint: max(px for _, _, px in rows[joint]))
    lowered = {joint: max((px for _, kind, px in row if kind != "fake"), default=0.0) for joint, row in rows.items()}
    figures = ", ".join(f"{_words(joint)} {px:.2f}" for joint, px in lowered.items())
    return figure(
        "Per joint",
        f"Median pixels of the crop between the float program's keypoint and the int8 one's; {_words(worst)} moves most.",
        f"Median pixels from the float program by joint, lowered: {figures}",
        lambda width: _draw(width, rows),
        HALF,
    )


def _words(joint: str) -> str:
    return joint.replace("_", " ")


def _draw(width: int, rows: dict[str, list[tuple[str, str, float]]]) -> Markup:
    x = Scale(0, max(px for row in rows.values() for _, _, px in row) * 1.06 or 1, 112, width - 10)
    top, base = 30.0, 30.0 + ROW * len(rows)
    drawn = [line(x(tick), top - 4, x(tick), base, "grid") for tick in x.ticks(5)]
    key, place = {"fake": "fake-quant", "int8": "lowered", "device": "on device"}, 0.0 if width <= NARROW else 112.0
    kinds = {kind for row in rows.values() for _, kind, _ in row}
    for kind, name in key.items():
        if kind in kinds:
            drawn += [tag("circle", cx=place + 5, cy=10, r=4.5, class_=f"dot {kind}"), text(place + 15, 14, name, "label")]
            place += 30 + 7 * len(name)
    for index, (joint, row) in enumerate(rows.items()):
        y = top + ROW * (index + 0.5)
        values = [px for _, _, px in row]
        drawn += [text(104, y + 4, _words(joint), "label", "end"), line(x(min(values)), y, x(max(values)), y, "range")]
        for name, kind, px in sorted(row, key=lambda dot: dot[1] != "fake"):
            dot = tag("circle", cx=x(px), cy=y, r=4.5, class_=f"dot {kind}")
            drawn.append(tag("g", dot, tag("title", f"{_words(joint)}, {name}: {px:.2f} px")))
    for tick in x.ticks(5):
        drawn.append(text(x(tick), base + 14, f"{tick:g}", "tick", "middle"))
    drawn.append(text(width - 10, base + 30, "px from float, median", "title", "end"))
    return canvas(width, base + 36, *drawn)
