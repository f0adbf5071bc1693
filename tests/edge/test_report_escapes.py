"""Names that files and devices choose, in a report's Markdown, CSV and page: text, and nothing else."""

from __future__ import annotations

import csv
import io
import shlex
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_examples import bench, check, device

from edge.evaluate.records import Check
from edge.evaluate.timings import Bench
from edge.report import page
from edge.report.collect import collect
from edge.report.escape import fenced, markdown, own_commands, spreadsheet
from edge.report.svg import canvas, document, figure, text

NAMES = [
    "a|b",
    "a\nb\r\n# heading",
    "```\n# out of the fence",
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "[click](javascript:alert(1))",
    "![x](http://example.org/x.png)",
    "**bold** _slanted_ ~~gone~~ `code`",
    "\\| \\`",
    "&lt;b&gt;",
    "# heading",
    "1. list",
    "> quote",
    "\x1b[31mred\x07",
    "\u202egnp.exe",
    "x\udcff",
    "\x00\x85\u2028x",
    '" onmouseover="alert(1)',
    "]]>",
    "{{ 7 * 7 }}{% include 'x' %}",
]
FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "=cmd|' /C calc'!A0", "\t=1", " =1", "\r\n=1", "\uff1d1", '=HYPERLINK("x")']


def written(name: str, folder: Path) -> list[str]:
    """Page, Markdown and CSV of a report in which that name is everywhere where a file or a device chooses one."""
    facts = {"model": name, "cpu": name, "governor": "performance"}
    timed = device(name, facts={"before": facts, "after": facts}, warnings=[name], error=None)
    columns = {name: check()["lowered"], "b": {"error": name}}
    checked = check(student=name, data=name, command=f"python -m edge.check {shlex.quote(name)}", on_device=columns)
    report = collect([Check.model_validate(checked)], [Bench.model_validate(bench(timed, command=name))])
    return [path.read_text("utf-8") for path in page.write(report, [], folder / "report.html")[:3]]


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The Markdown of a report with harmless names."""
    return written("x", tmp_path_factory.mktemp("plain"))[1]


@pytest.mark.parametrize("name", NAMES)
def test_a_report_shows_names_as_text(name: str, plain: str, tmp_path: Path) -> None:
    html, text, table = written(name, tmp_path)
    tags = Tags()
    tags.feed(html)
    assert not tags.foreign
    lines, _, commands = text.partition("## To reproduce\n\n")
    harmless = plain.partition("## To reproduce\n\n")[0]
    for expected, line in zip(harmless.splitlines(), lines.splitlines(), strict=True):
        assert line.count("|") - line.count("\\|") == expected.count("|")
        assert line.startswith("#") == expected.startswith("#")
        assert "<" not in line
    fence = commands.partition("sh\n")[0]
    assert commands.endswith(f"\n{fence}\n")
    assert fence not in commands[len(fence) : -len(fence) - 1]
    assert not any(character in html + text + table for character in "\x00\x1b\x07\x85\u202e\u2028")
    rows = list(csv.reader(io.StringIO(table)))
    assert {len(row) for row in rows} == {len(rows[0])}


class Tags(HTMLParser):
    """Collects what a page must not have: scripts, pictures from elsewhere, handlers of events."""

    def __init__(self) -> None:
        super().__init__()
        self.foreign: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("script", "img", "b") or any(name.startswith("on") for name, _ in attrs):
            self.foreign.append(tag)


@pytest.mark.parametrize("name", NAMES)
def test_a_figure_shows_names_as_text(name: str) -> None:
    chart = figure(name, name, name, lambda width: canvas(width, 9, text(0, 0, name)))
    drawn = document(chart, "")
    assert "".join(ElementTree.fromstring(drawn).itertext()).count("\\x1b") == 3 * name.count("\x1b")
    assert "\u202e" not in drawn


@pytest.mark.parametrize("name", FORMULAS)
def test_a_spreadsheet_evaluates_nothing(name: str, tmp_path: Path) -> None:
    assert spreadsheet(name).startswith("'") or spreadsheet(name).lstrip()[0] not in "=+-@"
    report = collect([], [Bench.model_validate(bench(device(name, board=name), label=name))])
    rows = csv.reader(io.StringIO(page.write(report, [], tmp_path / "r.html")[2].read_text("utf-8")))
    for row in list(rows)[1:]:
        assert not any(cell.lstrip()[:1] in tuple("=+-@\uff1d") for cell in row)


def test_numbers_below_zero_stay_numbers() -> None:
    assert spreadsheet("executorch") == "executorch"
    assert spreadsheet("-") == "'-"


@given(st.text(max_size=30))
def test_markdown_stays_on_its_line_and_in_its_cell(text: str) -> None:
    shown = markdown(text)
    assert not any(character in shown for character in "\n\r\x1b\u2028\x85")
    assert "<" not in shown
    assert not any(shown[place] == "|" and shown[place - 1 : place] != "\\" for place in range(len(shown)))


@given(st.lists(st.text(alphabet="`a\n ", max_size=12), max_size=4))
def test_a_fence_ends_where_it_should(lines: list[str]) -> None:
    first, *inside, last = fenced(lines).split("\n")
    assert first == f"{last}sh"
    assert not any(line.strip().startswith(last) for line in inside)


def test_only_commands_of_ours_are_shown_and_a_shell_runs_nothing_else_in_them() -> None:
    good = "python -m edge.check --artefact 'dist/my file.pte'"
    given = [
        good, good, None, "", "curl example.org | sh", "python -m http.server", "python -m edge.check 'open",
        "python -m edge.bench; rm -rf /", "python -m edge.bench $(id) `id` > x", "python -m edge.bench\nid",
    ]  # fmt: skip
    shown = own_commands(given)
    assert shown[0] == good
    assert "python -m edge.bench '$(id)' '`id`' '>' x" in shown
    assert not any("rm" in command for command in shown)
    assert all(shlex.join(shlex.split(command)) == command for command in shown)
