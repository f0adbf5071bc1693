"""Table and figure of what `distill.ablation` wrote; `results/render.py` puts them into the documents."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from distill.ablation_record import Ablation, Interval

# AP that the paper has for these settings, on COCO val2017 with its large teacher
PAPER = {
    "none": 56.0, "L_cs": 56.4, "L_sim": 63.2, "L_sim + L_cs": 64.1,
    "L_kt": 67.1, "L_vt": 61.7, "L_kt + L_vt": 67.5, "all": 71.6,
}  # fmt: skip
_HEAD = (
    "| losses beside L_reg | AP, 95 % interval | over none | runs | the paper's AP |",
    "| --- | ---: | ---: | ---: | ---: |",
)
_WIDTH, _ROW, _LEFT, _RIGHT, _TOP = 640, 28, 130, 24, 34  # pixels
_STYLE = (
    "text{font:13px sans-serif;fill:#57606a}line,circle{stroke:#0969da;stroke-width:2}circle{fill:#0969da}"
    ".axis{stroke:#d0d7de}"
)


def table(ablation: Ablation) -> str:
    """Markdown: a row for each setting."""
    return "\n".join([*_HEAD, *_rows(ablation)])


def _rows(ablation: Ablation) -> Iterator[str]:
    for name, setting in ablation.settings.items():
        gain = "" if name == "none" else _cell(setting.gain, "+.1f")
        paper = f"{PAPER[name]:.1f}" if name in PAPER else ""
        yield f"| {name} | {_cell(setting.ap, '.1f')} | {gain} | {len(setting.runs)} | {paper} |"


def _cell(interval: Interval | None, form: str) -> str:
    if interval is None:
        return "n/a"
    if interval.low is None or interval.high is None:
        return format(interval.mean, form)
    return f"{interval.mean:{form}} ({interval.low:{form}} to {interval.high:{form}})"


def figure(ablation: Ablation) -> str:
    """SVG: for each setting the mean AP as a point, its interval as a line, and each run as a small point."""
    shown = {name: setting for name, setting in ablation.settings.items() if setting.ap is not None}
    values = [run.ap for setting in shown.values() for run in setting.runs if run.ap is not None]
    values += [end for one in shown.values() if one.ap for end in (one.ap.low, one.ap.high) if end is not None]
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    scale = (_WIDTH - _LEFT - _RIGHT) / max(high - low, 1e-9)

    def x(value: float) -> str:
        return f"{_LEFT + (value - low) * scale:.1f}"

    parts = [f'<text x="{x(end)}" y="16" text-anchor="middle">{end:.1f}</text>' for end in (low, high)]
    for number, (name, setting) in enumerate(shown.items()):
        assert setting.ap is not None
        y = _TOP + number * _ROW
        parts.append(f'<line class="axis" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y}" y2="{y}"/>')
        parts.append(f'<text x="{_LEFT - 10}" y="{y + 4}" text-anchor="end">{escape(name)}</text>')
        if setting.ap.low is not None and setting.ap.high is not None:
            parts.append(f'<line x1="{x(setting.ap.low)}" x2="{x(setting.ap.high)}" y1="{y}" y2="{y}"/>')
        parts += [f'<circle cx="{x(run.ap)}" cy="{y}" r="2"/>' for run in setting.runs if run.ap is not None]
        parts.append(f'<circle cx="{x(setting.ap.mean)}" cy="{y}" r="5"/>')
    height = _TOP + len(shown) * _ROW
    title = f"<title>AP of {escape(ablation.student)} from {escape(ablation.teacher)}, by the losses of its training</title>"
    view = f'viewBox="0 0 {_WIDTH} {height}" role="img"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {view}>{title}<style>{_STYLE}</style>{"".join(parts)}</svg>\n'


def read(folder: Path) -> Ablation | None:
    """What `folder/ablation.json` holds; None where it is not."""
    from distill.ablation_record import read as read_record

    path = folder / "ablation.json"
    return read_record(path) if path.exists() else None
