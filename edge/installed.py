"""What of the project's own requirements is installed, and in which version."""

from __future__ import annotations

import re
import sys
import tomllib
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

PROJECT = "distilpose-edge"
_TOOLS = ("dev", "all")  # extras for developers, and of other extras


@dataclass(frozen=True)
class Package:
    """A requirement and what there is: `version` is "" if it is not installed."""

    name: str
    wanted: str
    version: str

    @property
    def fits(self) -> bool:
        """Whether it is installed, in a version that is wanted."""
        return bool(self.version) and fits(self.version, self.wanted)


def extras() -> dict[str, list[Package]]:
    """The packages of each extra that a user may want, on this kind of system; `base` is what every command needs."""
    project = _project()
    groups = {"base": project["dependencies"], **project["optional-dependencies"]}
    return {name: [_package(line) for line in lines if _here(line)] for name, lines in groups.items() if name not in _TOOLS}


def python() -> str:
    """The versions of Python that are tested."""
    return _project()["requires-python"]


def fits(version: str, wanted: str) -> bool:
    """Whether a version satisfies clauses such as `>=1.2,<2` or `==1.31.*`: what our requirements use of PEP 440."""
    return all(_satisfies(version, clause.strip()) for clause in wanted.split(",") if clause.strip())


def _satisfies(version: str, clause: str) -> bool:
    sign, number = re.fullmatch(r"(==|>=|<=|<|>)\s*(.+)", clause).groups()  # type: ignore[union-attr]
    if number.endswith(".*"):
        wanted = _release(number[:-2])
        return _release(version, len(wanted))[: len(wanted)] == wanted
    length = max(len(_release(version)), len(_release(number)))
    ours, theirs = _release(version, length), _release(number, length)
    return {"==": ours == theirs, ">=": ours >= theirs, "<": ours < theirs, "<=": ours <= theirs, ">": ours > theirs}[sign]


def _release(version: str, length: int = 0) -> tuple[int, ...]:
    """The numbers before a pre-release's or a local version's, `length` of them at least."""
    found = re.match(r"\d+(\.\d+)*", version)
    numbers = tuple(map(int, found[0].split("."))) if found else ()
    return numbers + (0,) * (length - len(numbers))


def _package(line: str) -> Package:
    name, wanted = re.fullmatch(r"([\w.-]+)(?:\[[^]]*\])?\s*([^;]*)", line.partition(";")[0].strip()).groups()  # type: ignore[union-attr]
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        version = ""
    return Package(name, wanted.strip(), version)


def _here(line: str) -> bool:
    system = re.search(r"sys_platform\s*==\s*['\"](\w+)['\"]", line)
    return system is None or system[1] == sys.platform


def _project() -> dict[str, Any]:
    """The table `project` of pyproject.toml: the file's in a clone, elsewhere what pip kept of it."""
    file = Path(__file__).parents[1] / "pyproject.toml"
    project = tomllib.loads(file.read_text(encoding="utf-8"))["project"] if file.is_file() else _kept()
    groups = project["optional-dependencies"]
    own = re.compile(rf"{PROJECT}\[([\w,]+)\]")
    for name, lines in groups.items():
        groups[name] = [each for line in lines for each in _named(own.match(line), groups, line)]
    return project


def _named(own: re.Match[str] | None, groups: dict[str, list[str]], line: str) -> list[str]:
    """The lines of the extras that a line of our own extras names, else the line itself."""
    return [each for extra in own[1].split(",") for each in groups[extra]] if own else [line]


def _kept() -> dict[str, Any]:
    groups: dict[str, list[str]] = {}
    base: list[str] = []
    for line in metadata.requires(PROJECT) or []:
        extra = re.search(r"extra\s*==\s*['\"](\w+)['\"]", line)
        (groups.setdefault(extra[1], []) if extra else base).append(line)
    wanted = metadata.metadata(PROJECT)["Requires-Python"] or ""
    return {"dependencies": base, "optional-dependencies": groups, "requires-python": wanted}
