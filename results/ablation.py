"""Table and figure of what `distill.ablation` wrote; `results/render.py` puts them into the documents."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from distill.ablation_record import Ablation, Interval

# AP that the paper has for these settings, on COCO val2017: distilpose_s with its large teacher, DeepPose
PAPER = {
    "none": 56.0, "L_cs": 56.4, "L_sim": 63.2, "L_sim + L_cs": 64.1,
    "L_kt": 67.1, "L_vt": 61.7, "L_kt + L_vt": 67.5, "all": 71.6,
}  # fmt: skip
_PAPER = {"distilpose_s": PAPER, "deeppose_r50_half": {"none": 52.6, "L_sim": 59.6}}
_COLUMNS = (
    "losses beside L_reg | AP, 95 % interval | over none | runs | the paper's AP |",
    "--- | ---: | ---: | ---: | ---: |",
)
_HEAD = tuple(f"| {line}" for line in _COLUMNS)
_HEAD_MORE = tuple(f"| {names} | {line}" for names, line in zip(("student | teacher", "--- | ---"), _COLUMNS, strict=True))
_WIDTH, _ROW, _LEFT, _RIGHT, _TOP = 640, 28, 130, 24, 34  # pixels
_STYLE = (
    "text{font:13px sans-serif;fill:#57606a}line,circle{stroke:#0969da;stroke-width:2}circle{fill:#0969da}"
    ".axis{stroke:#d0d7de}"
)


def table(ablation: Ablation) -> str:
    """Markdown: a row for each setting."""
    return "\n".join([*_HEAD, *_rows(ablation)])


def more(ablations: Iterable[Ablation]) -> str:
    """Markdown: a row for each setting of several ablations, of which each has another student or teacher; empty of none."""
    rows = [f"| {each.student} | {each.teacher} {row}" for each in ablations for row in _rows(each)]
    return "\n".join([*_HEAD_MORE, *rows]) if rows else ""


def _rows(ablation: Ablation) -> Iterator[str]:
    published = _PAPER.get(ablation.student, {})
    for name, setting in ablation.settings.items():
        gain = "" if name == "none" else _cell(setting.gain, "+.1f")
        paper = f"{published[name]:.1f}" if name in published else ""
        yield f"| {name} | {_cell(setting.ap, '.1f')} | {gain} | {len(setting.runs)} | {paper} |"


def _cell(interval: Interval | None, form: str) -> str:
    if interval is None:
        return "n/a"
    if interval.low is None or interval.high is None:
        return format(interval.mean, form)
    return f"{interval.mean:{form}} ({interval.low:{form}} to {interval.high:{form}})"


def figure(ablation: Ablation) -> str:
    """SVG: what each setting gains over `none`: the mean as a point, its interval as a line, each seed as a small point.

    Runs of one seed are compared, as the table's column is: seeds may differ by more than settings.
    """
    shown = {name: (setting.gain, _gains(ablation, name)) for name, setting in ablation.settings.items() if name != "none"}
    values = [0.0, *(value for _, gains in shown.values() for value in gains)]
    values += [end for gain, _ in shown.values() if gain for end in (gain.low, gain.high) if end is not None]
    low, high = min(values), max(values)
    scale = (_WIDTH - _LEFT - _RIGHT) / max(high - low, 1e-9)

    def x(value: float) -> str:
        return f"{_LEFT + (value - low) * scale:.1f}"

    height = _TOP + len(shown) * _ROW
    parts = [f'<text x="{x(end)}" y="16" text-anchor="middle">{end:+.1f}</text>' for end in (low, high) if end]
    parts.append(f'<text x="{x(0)}" y="16" text-anchor="middle">none</text>')
    parts.append(f'<line class="axis" x1="{x(0)}" x2="{x(0)}" y1="24" y2="{height}"/>')
    for number, (name, (gain, gains)) in enumerate(shown.items()):
        y = _TOP + number * _ROW + 8
        parts.append(f'<line class="axis" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y}" y2="{y}"/>')
        parts.append(f'<text x="{_LEFT - 10}" y="{y + 4}" text-anchor="end">{escape(name)}</text>')
        if gain and gain.low is not None and gain.high is not None:
            parts.append(f'<line x1="{x(gain.low)}" x2="{x(gain.high)}" y1="{y}" y2="{y}"/>')
        parts += [f'<circle cx="{x(value)}" cy="{y}" r="2"/>' for value in gains]
        if gain:
            parts.append(f'<circle cx="{x(gain.mean)}" cy="{y}" r="5"/>')
    title = (
        f"<title>Points of AP of {escape(ablation.student)} from {escape(ablation.teacher)} over the regression loss alone, "
        "by the losses of its training</title>"
    )
    view = f'viewBox="0 0 {_WIDTH} {height}" role="img"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {view}>{title}<style>{_STYLE}</style>{"".join(parts)}</svg>\n'


def _gains(ablation: Ablation, name: str) -> list[float]:
    """AP of each run over that of `none` with the same seed."""
    plain = {run.seed: run.ap for run in ablation.settings["none"].runs} if "none" in ablation.settings else {}
    pairs = [(run.ap, plain.get(run.seed)) for run in ablation.settings[name].runs]
    return [ap - base for ap, base in pairs if ap is not None and base is not None]


def read(folder: Path) -> Ablation | None:
    """What `folder/ablation.json` holds, the losses of distilpose_s; None where it is not."""
    from distill.ablation_record import read as read_record

    path = folder / "ablation.json"
    return read_record(path) if path.exists() else None


def read_more(folder: Path) -> list[Ablation]:
    """What the files `folder/ablation-*.json` hold, in the order of their names: other students and teachers."""
    from distill.ablation_record import read as read_record

    return [read_record(path) for path in sorted(folder.glob("ablation-*.json"))]
