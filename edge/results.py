"""`python -m edge.results`: the README's table, made of the files in `results/`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from pose import cli
from pose.errors import GateError, InputError

BEGIN, END = "<!-- results:begin -->", "<!-- results:end -->"
HEAD = (
    "| student, data | people | | AP | PCK@0.2 | px from fp32: median, p99 | px from fake-quant | ms: p50 | MB |",
    "| --- | ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
)


def table(folder: Path) -> str:
    """Markdown of the rows that `folder/table.yaml` names; nothing if there is no such file.

    It holds a list: a student is `name` and `int8`, for each way that it was made int8 (PTQ, QAT) the file `check` that
    `edge.check` wrote and, if there are, `bench`, of `edge.bench`, and `targets`, of `edge.check --target all`; a teacher is
    `name` and `teacher` (what `edge.teacher` wrote).

    Raises:
        InputError: a file is missing, or is not what the command writes.
    """
    import yaml

    from pose.files import read_json

    index = folder / "table.yaml"
    if not index.exists():
        return ""
    lines = list(HEAD)
    try:
        for entry in yaml.safe_load(index.read_text(encoding="utf-8")):
            if "teacher" in entry:
                lines.append(_teacher(entry["name"], read_json(folder / entry["teacher"])))
                continue
            for place, (kind, made) in enumerate(entry["int8"].items()):
                check = read_json(folder / made["check"])
                bench = read_json(folder / made["bench"]) if "bench" in made else None
                lines += _lines("" if place else entry["name"], kind, check, bench)
                others = read_json(folder / made["targets"])["targets"] if "targets" in made else {}
                lines += [
                    _line(f"{kind}: {target}", each["lowered"], size=each["bytes"])
                    for target, each in others.items()
                    if target != check["target"]
                ]
    except OSError as error:
        raise InputError(f"cannot read {index}: {error.strerror}") from error
    except (yaml.YAMLError, IndexError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{index} or a file that it names is not as it must be ({' '.join(str(error).split())})") from error
    return "\n".join(lines)


def _teacher(name: str, scored: dict[str, Any]) -> str:
    return f"| {name} | {scored['persons']} | fp32 | {scored['ap']:.1f} | {scored['pck']:.1f} | | | | |"


def _lines(name: str, kind: str, check: dict[str, Any], bench: dict[str, Any] | None) -> list[str]:
    """Rows of one int8 program; with a name, its float twin before them."""

    def speed(precision: str) -> float | None:
        return bench["devices"][0][precision]["latency_ms"]["p50"] if bench else None

    lines = [
        _line(f"{kind}: fake-quant", check["fake_quant"]),
        _line(f"{kind}: {check['target']}", check["lowered"], speed("int8"), check["bytes"]),
    ]
    if name:
        lines.insert(0, _line("fp32", check["fp32"], speed("fp32"), check["float_twin"]["bytes"], name))
    return lines


def _line(title: str, scored: dict[str, Any], speed: float | None = None, size: int | None = None, name: str = "") -> str:
    """A row: one column of an `edge.check` result, milliseconds and bytes where they were measured; a name is fp32's."""
    apart = [
        f"{scored[px]['median']:.2f}, {scored[px]['p99']:.2f}" if scored.get(px) and not name else ""
        for px in ("keypoint_px", "fake_quant_px")
    ]
    score = ["" if scored[figure] is None else f"{scored[figure]:.1f}" for figure in ("ap", "pck")]
    first = [name, str(scored["persons"]) if name else ""]
    last = ["" if speed is None else f"{speed:.1f}", "" if size is None else f"{size / 1e6:.1f}"]
    return f"| {' | '.join([*first, title, *score, *apart, *last])} |"


def with_table(readme: str, rows: str) -> str:
    """The README with its marked region holding the table.

    Raises:
        InputError: the marks are not there.
    """
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise InputError(f"the README has no region between {BEGIN} and {END}")
    return f"{before}{begin}\n{rows}\n{end}{after}" if rows else f"{before}{begin}\n{end}{after}"


def main(
    results: Annotated[Path, typer.Option(metavar="FOLDER", help="Where table.yaml and what it names are.")] = Path(
        "results"
    ),
    readme: Annotated[Path, typer.Option(metavar="FILE", help="Holds the marked region.")] = Path("README.md"),
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit with 1 if the table is not up to date.")
    ] = False,
) -> None:
    """Write the table of measured results into the README."""
    from pose.files import write_text

    try:
        now = readme.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot read {readme}: {error.strerror}") from error
    wanted = with_table(now, table(results))
    if check and now != wanted:
        raise GateError(f"the table in {readme} is not what {results} holds; run python -m edge.results")
    if not check:
        write_text(readme, wanted)


if __name__ == "__main__":
    cli.run(main, "edge.results", "python -m edge.results --check")
