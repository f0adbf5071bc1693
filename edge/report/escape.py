"""Names from files and devices in the formats of a report, where each format would take some of them for its own syntax."""

from __future__ import annotations

import html
import re
import shlex
from collections.abc import Iterable, Sequence

from pose.streams import printable

_FORMULA = "=+-@\uff1d\uff0b\uff0d\uff20"  # the last four are their full-width forms, which some spreadsheets take as well
_COMMANDS = re.compile(r"(edge|distill|quantize)\.\w+")


def markdown(text: str) -> str:
    """Text for a line or a table's cell of Markdown: it makes no markup, no HTML, no further cell and no further line."""
    line = html.escape(printable(text), quote=False)
    line = re.sub(r"([\\`*\[\]|~]|(?<!\w)_|_(?!\w))", r"\\\1", line)
    return re.sub(r"^(\s*(?:\d+(?=[.)](?:\s|$))|(?=[#>+=-])))", r"\1\\", line)


def lines_as_shown(text: str) -> str:
    """A whole page with all that is obeyed and not shown, but its line ends, as escapes: a change of direction in a name
    would turn the figures that follow it."""
    return "\n".join(map(printable, text.split("\n")))


def fenced(lines: Sequence[str]) -> str:
    """Lines in a fence of Markdown that none of them ends."""
    text = lines_as_shown("\n".join(lines))
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{fence}sh\n{text}\n{fence}"


def spreadsheet(text: str) -> str:
    """Text for a cell of a CSV file that no spreadsheet evaluates: what begins as a formula gets an apostrophe before it."""
    shown = printable(text)
    return f"'{shown}" if shown.lstrip()[:1] in tuple(_FORMULA) else shown


def own_commands(commands: Iterable[str | None]) -> list[str]:
    """The command lines of ours among those that files name, each once, quoted anew: a shell runs nothing else in them."""
    kept: dict[str, None] = {}
    for command in commands:
        try:
            words = shlex.split(command or "")
        except ValueError:  # a quote that is never closed
            continue
        if words[:2] == ["python", "-m"] and len(words) > 2 and _COMMANDS.fullmatch(words[2]):
            kept[shlex.join(words)] = None
    return list(kept)
