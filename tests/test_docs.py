"""Markdown pages: links resolve, files that they name exist, references to the paper are numbered in the method."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from pose import console

ROOT = Path(__file__).parent.parent
TRACKED = subprocess.run(
    ["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
).stdout.split()
PAGES = sorted(name for name in TRACKED if name.endswith(".md") and (ROOT / name).is_file())
SOURCES = sorted(
    name for name in TRACKED if name.endswith((".py", ".yaml")) and not name.startswith("tests/") and (ROOT / name).is_file()
)
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
FOLDERS = sorted({name.partition("/")[0] for name in TRACKED if "/" in name})
# folder/file.suffix in backticks, in a folder that is tracked; `*` is any part of a name
NAMED = re.compile(rf"`((?:{'|'.join(map(re.escape, FOLDERS))})/[\w*./-]*)`")
METHOD = "docs/method.md"


def prose(page: str) -> str:
    """The text of a page without its blocks of code."""
    return FENCE.sub("", (ROOT / page).read_text())


def anchors(page: Path) -> set[str]:
    """The names that headings of a page have in links."""
    titles = re.findall(r"^#+ +(.+)$", FENCE.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES)
def test_links_resolve(page: str) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (ROOT / page).parent / name if name else ROOT / page
        assert target.exists(), f"{page}: {link}"
        assert not anchor or anchor in anchors(target), f"{page}: {link}"


@pytest.mark.parametrize("page", [page for page in PAGES if page != "CHANGELOG.md"])  # which names what is gone
def test_files_that_a_page_names_exist(page: str) -> None:
    missing = [name for name in NAMED.findall(prose(page)) if not any(ROOT.glob(name.rstrip("/")))]
    assert not missing


def test_pages_that_sources_name_exist() -> None:
    named = {name: re.findall(r"\bdocs/[\w-]+\.md\b", (ROOT / name).read_text()) for name in SOURCES}
    missing = {name: page for name, pages in named.items() for page in pages if not (ROOT / page).is_file()}
    assert not missing


def test_commands_that_are_named_exist() -> None:
    named = {
        (name, module)
        for name in {*SOURCES, *PAGES} - {"CHANGELOG.md"}
        for module in re.findall(r"python -m ((?:edge|distill|quantize|pose|calib_data)\.\w+)", (ROOT / name).read_text())
    }
    assert not {(name, module) for name, module in named if module not in {*console.COMMANDS, "pose.console"}}


def test_references_to_the_paper_are_numbered_in_the_method() -> None:
    method = (ROOT / METHOD).read_text()
    equations = {int(number) for number in re.findall(r"\\tag\{(\d+)\}", method)}
    sections = set(re.findall(r"^#+ .*\(section ([\d.]+)\)$", method, re.MULTILINE))
    assert equations == set(range(1, len(equations) + 1))
    references = 0
    for name in SOURCES:
        for reference in re.findall(r"PAPER: ([^)\n]*)", (ROOT / name).read_text()):
            references += 1
            for number in re.findall(r"section ([\d.]+\d)", reference):
                assert number in sections, f"{name}: section {number}"
            for first, last in re.findall(r"equations? (\d+)(?: to (\d+))?", reference):
                assert {*range(int(first), int(last or first) + 1)} <= equations, f"{name}: {reference}"
            assert re.search(r"section|equation", reference), f"{name}: PAPER: {reference}"
    assert references
