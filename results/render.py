"""`python -m edge.results`: the README's tables, made of the files in `results/`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from pose import cli
from pose.errors import GateError, InputError

MARKS = {name: (f"<!-- {name}:begin -->", f"<!-- {name}:end -->") for name in ("results", "targets")}
PRECISIONS = ("fp32", "int8")
STUDENTS = (
    "| student, data | people | | AP | PCK@0.2 | px from fp32: median, p99 | px from fake-quant | ms: p50 | MB |",
    "| --- | ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
)
TARGETS = (
    "| student, program | target | AP, PCK: fp32 | fake-quant | lowered | px from fake-quant: median, p99 | px from fp32 "
    "| float twin from torch, p99 px | MB |",
    "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
)


def tables(folder: Path) -> dict[str, str]:
    """Markdown of what `folder/table.yaml` names, by region of the README; nothing if there is no such file.

    It holds a list. A student is `name` and `int8`: for each way that it was made int8 (PTQ, QAT) the file `check` that
    `edge.check` wrote and, if there is, `bench`, of `edge.bench`. It may have `targets`: for each program the file that
    `edge.check` wrote of one target or all. A teacher is `name` and `teacher` (what `edge.teacher` wrote).

    Raises:
        InputError: a file is missing, or is not what the command writes.
    """
    import yaml

    index = folder / "table.yaml"
    if not index.exists():
        return dict.fromkeys(MARKS, "")
    try:
        entries = yaml.safe_load(index.read_text(encoding="utf-8"))
        students = [line for entry in entries for line in _students(folder, entry)]
        targets = [line for entry in entries for line in _targets(folder, entry)]
    except OSError as error:
        raise InputError(f"cannot read {index}: {error.strerror}") from error
    except (yaml.YAMLError, IndexError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{index} or a file that it names is not as it must be ({' '.join(str(error).split())})") from error
    return {"results": "\n".join([*STUDENTS, *students]), "targets": "\n".join([*TARGETS, *targets])}


def _students(folder: Path, entry: dict[str, Any]) -> Iterator[str]:
    from pose.files import read_json

    if "teacher" in entry:
        scored = read_json(folder / entry["teacher"])
        yield f"| {entry['name']} | {scored['persons']} | fp32 | {scored['ap']:.1f} | {scored['pck']:.1f} | | | | |"
        return
    for place, (kind, made) in enumerate(entry["int8"].items()):
        check = read_json(folder / made["check"])
        bench = read_json(folder / made["bench"])["devices"][0] if "bench" in made else {}
        speed = {precision: bench[precision]["latency_ms"]["p50"] for precision in PRECISIONS if bench}
        if not place:
            yield _line("fp32", check["fp32"], speed.get("fp32"), check["float_twin"]["bytes"], entry["name"])
        yield _line(f"{kind}: fake-quant", check["fake_quant"])
        yield _line(f"{kind}: {check['target']}", check["lowered"], speed.get("int8"), check["bytes"])


def _line(title: str, scored: dict[str, Any], speed: float | None = None, size: int | None = None, name: str = "") -> str:
    """A row: one column of an `edge.check` result, milliseconds and bytes where they were measured; a name is fp32's."""
    apart = ["", ""] if name else [_pair(scored.get(px), 2, "median", "p99") for px in ("keypoint_px", "fake_quant_px")]
    score = ["" if scored[figure] is None else f"{scored[figure]:.1f}" for figure in ("ap", "pck")]
    first = [name, str(scored["persons"]) if name else ""]
    last = ["" if speed is None else f"{speed:.1f}", "" if size is None else f"{size / 1e6:.1f}"]
    return f"| {' | '.join([*first, title, *score, *apart, *last])} |"


def _targets(folder: Path, entry: dict[str, Any]) -> Iterator[str]:
    from pose.files import read_json

    for place, (program, file) in enumerate(entry.get("targets", {}).items()):
        checks = read_json(folder / file)
        for position, (kind, check) in enumerate(checks.get("targets", {"": checks}).items()):
            twin, lowered, rounded = check["float_twin"], check["lowered"], check["precision"] == "int8"
            row = [
                ", ".join([entry["name"]] * (place == position == 0) + [program] * (position == 0)),
                kind or check["target"],
                *(_pair(check[column], 1, "ap", "pck") if show else "" for column, show in
                  (("fp32", not position), ("fake_quant", not position and rounded), ("lowered", True))),
                _pair(lowered["fake_quant_px"], 2, "median", "p99") if rounded else "",
                _pair(lowered["keypoint_px"], 2, "median", "p99"),
                f"{twin['torch_px']['p99']:.4f}",
                f"{check['bytes'] / 1e6:.2f} ({check['bytes'] / twin['bytes']:.1%})",
            ]  # fmt: skip
            yield f"| {' | '.join(row)} |"


def _pair(figures: dict[str, Any] | None, digits: int, *names: str) -> str:
    known = [] if figures is None else [figures[name] for name in names]
    return ", ".join("n/a" if figure is None else f"{figure:.{digits}f}" for figure in known)


def with_tables(readme: str, made: dict[str, str]) -> str:
    """The README with its marked regions holding the tables.

    Raises:
        InputError: a region's marks are not there.
    """
    for name, rows in made.items():
        begin, end = MARKS[name]
        before, opened, rest = readme.partition(begin)
        _, closed, after = rest.partition(end)
        if not opened or not closed:
            raise InputError(f"the README has no region between {begin} and {end}")
        readme = "\n".join([before + begin, *([rows] if rows else []), end + after])
    return readme


def main(
    results: Annotated[Path, typer.Option(metavar="FOLDER", help="Where table.yaml and what it names are.")] = Path(
        "results"
    ),
    readme: Annotated[Path, typer.Option(metavar="FILE", help="Holds the marked regions.")] = Path("README.md"),
    check: Annotated[bool, typer.Option("--check", help="Write nothing; exit with 1 if a table is not up to date.")] = False,
) -> None:
    """Write the tables of measured results into the README."""
    from pose.files import write_text

    try:
        now = readme.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot read {readme}: {error.strerror}") from error
    wanted = with_tables(now, tables(results))
    if check and now != wanted:
        raise GateError(f"the tables in {readme} are not what {results} holds; run python -m edge.results")
    if not check:
        write_text(readme, wanted)


if __name__ == "__main__":
    cli.run(main, "edge.results", "python -m edge.results --check")
