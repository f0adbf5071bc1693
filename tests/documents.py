"""Code blocks and commands of the documentation, which tests run."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
_BLOCK = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def code_blocks(name: str, language: str) -> list[str]:
    """The fenced blocks of that language in a file of docs/."""
    text = (DOCS / name).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def follow(guide: str, folder: Path) -> int:
    """Write the guide's files into a folder and run its code and commands there; the number of those that were run."""
    done = 0
    for language, name, text in _BLOCK.findall((DOCS / guide).read_text()):
        if name:
            (folder / name).write_text(text)
            continue
        commands = [["-c", text]] if language == "python" else [shlex.split(line)[1:] for line in text.splitlines()]
        for command in commands:
            answer = subprocess.run(
                [sys.executable, *command],
                cwd=folder,
                env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
                capture_output=True,
                text=True,
            )
            assert answer.returncode == 0, f"{text}\n{answer.stdout}\n{answer.stderr}"
            done += 1
    return done
