"""`python results/render.py`: the tables of the README and of docs/results.md, from the files in `results/`.

It is run in a clone, from its root, and is no command of the package.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # a script's path begins with its own folder

from pose.errors import GateError, InputError, UserError  # noqa: E402
from results import ablation as ablations  # noqa: E402
from results import zoo  # noqa: E402

if TYPE_CHECKING:
    from edge.evaluate.peers import Network, Peers
    from edge.evaluate.records import Check, Column, Pixels

REGIONS = (
    "results",
    "results-all",
    "targets",
    "peers",
    "peers-all",
    "compare",
    "ablation",
    "ablation-more",
    "zoo",
    "smaller",
)
OPTIONAL = ("ablation", "ablation-more", "zoo", "smaller")  # of which a folder may have no data
MARKS = {name: (f"<!-- {name}:begin -->", f"<!-- {name}:end -->") for name in REGIONS}
PEERS, COMPARE = "peers.json", "compare.json"  # what `edge.peers` and `quantize.compare` wrote
SMALLER = "smaller.json"  # what `edge.peers` wrote of students that are not bundled
PEER_TIMINGS = "peers-timings.json"  # of `edge.peers`, too: the same networks with other weights, on a processor with VNNI
FIGURE = "ablation.svg"  # beside the document that has the region `ablation`
DOCUMENTS = ("README.md", "docs/results.md", "docs/zoo.md")
STUDENTS = (
    "| student, data | people | | AP | PCK@0.2 | px from fp32: median, p99 | px from fake-quant | ms: p50 | MB |",
    "| --- | ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
)
TARGETS = (
    "| student, program | target | AP, PCK: fp32 | fake-quant | lowered | px from fake-quant: median, p99 | px from fp32 "
    "| float twin from torch, p99 px | MB |",
    "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
)


@dataclass(frozen=True)
class Files:
    """What `edge.check` and, if there is one, `edge.bench` wrote of one int8 student."""

    check: Path
    bench: Path | None = None


@dataclass(frozen=True)
class Entry:
    """An entry of `table.yaml`: a student or a teacher.

    Attributes:
        name: in the table.
        int8: how the student was made int8 (PTQ, QAT) -> files.
        targets: program -> the file of `edge.check`, of one target or all.
        teacher: the file of `edge.teacher`; then there is nothing else.
        readme: whether the README has it, too, without its fake-quantized program.
    """

    name: str
    int8: dict[str, Files] = field(default_factory=dict)
    targets: dict[str, Path] = field(default_factory=dict)
    teacher: Path | None = None
    readme: bool = False


def tables(folder: Path) -> dict[str, str]:
    """Region of a document -> Markdown of what `folder/table.yaml` names and the other files hold; empty without.

    Raises:
        InputError: a file is missing, or is not what the command writes.
    """
    from pose.files import read_yaml

    made = dict.fromkeys(MARKS, "") | peers_regions(folder)
    made |= {"compare": compare_region(folder), "zoo": zoo.table(folder), "smaller": smaller_region(folder)}
    if rows := ablations.more(ablations.read_more(folder)):
        made["ablation-more"] = rows
    if ablation := ablations.read(folder):
        made["ablation"] = f"{ablations.table(ablation)}\n\n![AP over the regression loss alone, by losses]({FIGURE})"
    if not (folder / "table.yaml").exists():
        return made
    entries: list[Entry] = read_yaml(folder / "table.yaml", list[Entry])
    rows = [(entry.readme, line) for entry in entries for line in _students(folder, entry)]
    short = [line for readme, line in rows if readme and ": fake-quant |" not in line]
    students = [line for _, line in rows]
    targets = [line for entry in entries for line in _targets(folder, entry)]
    regions = {"results": [*STUDENTS, *short], "results-all": [*STUDENTS, *students], "targets": [*TARGETS, *targets]}
    return made | {name: "\n".join(lines) for name, lines in regions.items()}


def compare_region(folder: Path) -> str:
    """The table of `quantize.compare`; empty without its file."""
    from quantize.comparison import as_markdown, read

    return as_markdown(read(folder / COMPARE)) if (folder / COMPARE).exists() else ""


def smaller_region(folder: Path) -> str:
    """The table of the students that were tried and not bundled; empty without its file."""
    from edge.evaluate.peers import read_peers
    from edge.report.peers import as_markdown

    path = folder / SMALLER
    return as_markdown(peers := read_peers(path), peers.threads) if path.exists() else ""


def peers_regions(folder: Path) -> dict[str, str]:
    """What `edge.peers` measured: the README has its first set of people and number of threads, the other page has all."""
    from edge.report.peers import as_markdown, figures

    if not (folder / PEERS).exists():
        return {}
    peers = _peers(folder)
    images = {
        name: f"![Accuracy against latency, students and networks of others, {name}]({{}}results/{_figure_name(name)})"
        for name in figures(peers)
    }
    short = [image.format("") for image in list(images.values())[:1]]
    every = [image.format("../") for image in images.values()]
    tables = as_markdown(peers, peers.threads[:1]), as_markdown(peers, peers.threads)
    return {
        name: "\n\n".join([*shown, table])
        for name, shown, table in zip(("peers", "peers-all"), (short, every), tables, strict=True)
    }


def _peers(folder: Path) -> Peers:
    """Accuracy of `PEERS`; latency, and the machine, of `PEER_TIMINGS` if there is one: weights do not change latency.

    Raises:
        InputError: the two files have another network under one name.
    """
    from edge.evaluate.peers import read_peers

    peers = read_peers(folder / PEERS)
    if not (folder / PEER_TIMINGS).exists():
        return peers
    timed = read_peers(folder / PEER_TIMINGS)
    known = {network.name: network for network in timed.networks}
    networks = []
    for network in peers.networks:
        other = known.get(network.name)
        if other and not _is_same(network, other):
            raise InputError(f"{folder}: {network.name} of {PEERS} is another network than that of {PEER_TIMINGS}")
        networks.append(network.model_copy(update={"timings": other.timings if other else []}))
    latency = {name: getattr(timed, name) for name in ("facts", "threads", "rounds", "block", "baseline", "peaks")}
    return peers.model_copy(update={**latency, "networks": networks})


def _is_same(one: Network, other: Network) -> bool:
    """Whether two networks are one but for weights and details of the graph: the multiply-adds agree within 1 %."""
    if (one.crop, one.precision) != (other.crop, other.precision):
        return False
    return abs((one.multiply_adds or 0) - (other.multiply_adds or 0)) <= 0.01 * (one.multiply_adds or 0)


def peers_figures(folder: Path) -> dict[Path, str]:
    """File -> SVG, of what `edge.peers` measured: one for each set of people."""
    from edge.report.peers import figures

    if not (folder / PEERS).exists():
        return {}
    return {folder / _figure_name(name): drawn for name, drawn in figures(_peers(folder)).items()}


def _figure_name(people: str) -> str:
    return f"peers-{people}.svg"


def _students(folder: Path, entry: Entry) -> Iterator[str]:
    from edge.evaluate.records import read_check, read_teacher_score
    from edge.evaluate.timings import read_bench

    if entry.teacher:
        score = read_teacher_score(folder / entry.teacher)
        yield f"| {entry.name} | {score.persons} | fp32 | {_figure(score.ap)} | {_figure(score.pck)} | | | | |"
        return
    for place, (kind, files) in enumerate(entry.int8.items()):
        check = read_check(folder / files.check)
        devices = read_bench(folder / files.bench).devices if files.bench else []
        timings = {name: devices[0].timing(name) if devices else None for name in ("fp32", "int8")}
        speed = {name: timing.latency_ms.p50 if timing and timing.latency_ms else None for name, timing in timings.items()}
        if not place:
            twin = check.float_twin.bytes if check.float_twin else None
            yield _line("fp32", check.fp32, speed["fp32"], twin, entry.name)
        yield _line(f"{kind}: fake-quant", check.fake_quant)
        yield _line(f"{kind}: {check.target}", check.lowered, speed["int8"], check.bytes)


def _line(title: str, column: Column, speed: float | None = None, size: int | None = None, name: str = "") -> str:
    """A row: one column of an `edge.check` result, milliseconds and bytes where they were measured; a name is fp32's."""
    apart = ["", ""] if name else [_pixels(column.keypoint_px), _pixels(column.fake_quant_px)]
    score = [_figure(column.ap, ""), _figure(column.pck, "")]
    first = [name, str(column.persons) if name else ""]
    last = ["" if speed is None else f"{speed:.1f}", "" if size is None else f"{size / 1e6:.1f}"]
    return f"| {' | '.join([*first, title, *score, *apart, *last])} |"


def _targets(folder: Path, entry: Entry) -> Iterator[str]:
    from edge.evaluate.records import read_checks

    for place, (program, file) in enumerate(entry.targets.items()):
        for position, (variant, check) in enumerate(read_checks(folder / file).items()):
            names = [entry.name] * (place == position == 0) + [program] * (position == 0)
            yield f"| {' | '.join([', '.join(names), *_target_cells(check, variant, first=not position)])} |"


def _target_cells(check: Check, variant: str, *, first: bool) -> list[str]:
    twin, lowered, int8 = check.float_twin, check.lowered, check.precision == "int8"
    return [
        variant or check.target,
        _scores(check.fp32) if first else "",
        _scores(check.fake_quant) if first and int8 else "",
        _scores(lowered),
        _pixels(lowered.fake_quant_px) if int8 else "",
        _pixels(lowered.keypoint_px),
        f"{twin.torch_px.p99:.4f}" if twin and twin.torch_px else "",
        "" if check.bytes is None else f"{check.bytes / 1e6:.2f}" + (f" ({check.bytes / twin.bytes:.1%})" if twin else ""),
    ]


def _scores(column: Column) -> str:
    return f"{_figure(column.ap)}, {_figure(column.pck)}"


def _figure(value: float | None, missing: str = "n/a") -> str:
    return missing if value is None else f"{value:.1f}"


def _pixels(pixels: Pixels | None) -> str:
    return "" if pixels is None else f"{pixels.median:.2f}, {pixels.p99:.2f}"


def with_tables(document: str, made: dict[str, str]) -> str:
    """The document with the tables in its marked regions.

    Raises:
        InputError: the marks of a region are missing.
    """
    for name, rows in made.items():
        begin, end = MARKS[name]
        before, opened, rest = document.partition(begin)
        _, closed, after = rest.partition(end)
        if not opened or not closed:
            raise InputError(f"the document has no region between {begin} and {end}")
        document = "\n".join([before + begin, *([rows] if rows else []), end + after])
    return document


def render(folder: Path, documents: list[Path], *, check: bool = False) -> None:
    """Write the tables of the measurements in `folder` into the documents, and its figures beside the measurements.

    Args:
        documents: each table goes into the ones that have its marks.
        check: write nothing.

    Raises:
        InputError: a document cannot be read, or no document has the marks of a table.
        GateError: with `check`, a table is not up to date.
    """
    from pose.files import write_text

    try:
        texts = {path: path.read_text(encoding="utf-8") for path in documents}
    except OSError as error:
        raise InputError(f"cannot read {error.filename}: {error.strerror}") from error
    made = tables(folder)
    for begin, end in (marks for name, marks in MARKS.items() if made[name] or name not in OPTIONAL):
        if not any(begin in text for text in texts.values()):
            raise InputError(f"{', '.join(map(str, documents))}: no region between {begin} and {end}")
    for path, drawn in peers_figures(folder).items():
        if check and (not path.exists() or path.read_text(encoding="utf-8") != drawn):
            raise GateError(f"{path} is not what {folder / PEERS} holds; run python results/render.py")
        if not check:
            write_text(path, drawn)
    for path, text in texts.items():
        wanted = with_tables(text, {name: rows for name, rows in made.items() if MARKS[name][0] in text})
        if check and text != wanted:
            raise GateError(f"the tables in {path} are not what {folder} holds; run python results/render.py")
        if not check:
            write_text(path, wanted)
    ablation = ablations.read(folder)
    for path in [path for path, text in texts.items() if ablation and MARKS["ablation"][0] in text and not check]:
        assert ablation is not None
        write_text(path.with_name(FIGURE), ablations.figure(ablation))


def main(arguments: list[str] | None = None) -> None:
    """Parse the command line; exit with 1 if a table is not up to date, with 2 if a file is wrong."""
    parser = argparse.ArgumentParser(prog="python results/render.py", description="Write the tables of measured results.")
    parser.add_argument("--results", type=Path, default=ROOT / "results", help="the folder of table.yaml")
    existing = [ROOT / name for name in DOCUMENTS if (ROOT / name).exists()]
    parser.add_argument("--document", type=Path, action="append", help="a file with marked regions; repeatable")
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if a table is not up to date")
    options = parser.parse_args(arguments)
    try:
        render(options.results, options.document or existing, check=options.check)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
