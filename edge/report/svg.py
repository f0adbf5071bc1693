"""Inline SVG by hand: elements, scales, ticks. Colours come by class from the page's style sheet, and follow its theme."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from edge.report.escape import lines_as_shown

WIDE, HALF, NARROW = 1000, 480, 340  # pixels: the whole column, half of it, a phone


@dataclass(frozen=True)
class Figure:
    """One chart, drawn for a wide page and for a narrow one; the style sheet shows the one that fits.

    Attributes:
        alt: text for a reader who does not see it.
    """

    title: str
    caption: str
    alt: str
    wide: Markup
    narrow: Markup


def figure(title: str, caption: str, alt: str, draw: Callable[[int], Markup], wide: int = WIDE) -> Figure:
    """The figure that `draw` draws at a width in pixels."""
    return Figure(title, caption, alt, draw(wide), draw(NARROW))


def tag(name: str, *children: object, **attributes: object) -> Markup:
    """An element; text and attributes are escaped, `class_` and `text_anchor` become `class` and `text-anchor`."""
    pairs = ((key.rstrip("_").replace("_", "-"), value) for key, value in attributes.items() if value is not None)
    written = "".join(f' {key}="{escape(_short(value))}"' for key, value in pairs)
    return Markup(f"<{name}{written}>{''.join(escape(child) for child in children)}</{name}>")  # noqa: S704 - escaped here


def text(x: float, y: float, words: object, kind: str = "", anchor: str = "start") -> Markup:
    """Words at a place; `kind` is a class."""
    return tag("text", words, x=x, y=y, class_=kind or None, text_anchor=None if anchor == "start" else anchor)


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> Markup:
    """A line of a class."""
    return tag("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=kind)


def canvas(width: float, height: float, *children: object) -> Markup:
    """The drawing; a screen reader gets the alt text of its figure instead."""
    return tag("svg", *children, viewBox=f"0 0 {width:g} {height:g}", aria_hidden="true", focusable="false")


def document(chart: Figure, style: str) -> str:
    """The wide drawing as a file of its own, with the text for who does not see it, its style and a ground of its own."""
    box = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', chart.wide)
    assert box is not None
    width, height = box[1], box[2]
    parts = tag("title", chart.title) + tag("desc", chart.alt) + tag("style", Markup(style))  # noqa: S704 - our own file
    ground = tag("rect", width=width, height=height, style="fill: var(--paper)")
    opening = f'<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 {width} {height}" width="{width}">'
    return lines_as_shown(f"{opening}{parts}{ground}{chart.wide}</svg>\n")


@dataclass(frozen=True)
class Scale:
    """From values to pixels."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        low, high, value = (math.log(v) if self.log else v for v in (self.low, self.high, value))
        return self.start + (value - low) / (high - low) * (self.end - self.start)

    def ticks(self, count: int = 5) -> list[float]:
        """Round values inside, about `count` of them."""
        if self.log:
            tens = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            marks = [digit * 10.0**ten for ten in tens for digit in (1, 2, 5)]
        else:
            step = round_step((self.high - self.low) / count)
            first = math.ceil(self.low / step - 1e-9)
            marks = [round((first + i) * step, 10) for i in range(int((self.high - self.low) / step) + 2)]
        return [mark for mark in marks if self.low * (1 - 1e-9) - 1e-9 <= mark <= self.high * (1 + 1e-9)]


def round_step(about: float) -> float:
    """1, 2 or 5 times a power of ten, not below `about`."""
    power = 10.0 ** math.floor(math.log10(about))
    return next(digit * power for digit in (1, 2, 5, 10) if digit * power >= about * (1 - 1e-9))


def span(values: Sequence[float], pad: float = 0.08, least: float = 1.0) -> tuple[float, float]:
    """From below the least to above the greatest value, never narrower than `least`."""
    low, high = min(values), max(values)
    pad = max((high - low) * pad, (least - (high - low)) / 2, 0)
    return low - pad, high + pad


def text_width(words: str, size: float = 12) -> float:
    """About how wide words are in the page's font."""
    return 0.56 * size * len(words)


def _short(value: object) -> object:
    return f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else value
