"""Code blocks of the documentation, which tests run."""

from __future__ import annotations

import re
from pathlib import Path

DOCS = Path(__file__).parent.parent / "docs"


def code_blocks(name: str, language: str) -> list[str]:
    """The fenced blocks of that language in a file of docs/."""
    text = (DOCS / name).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
