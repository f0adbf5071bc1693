"""Which of the project's own requirements are installed, and in which version."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TypedDict

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

PROJECT = "distilpose-edge"
# distributions of modules that have another name, or come with another one
_DISTRIBUTIONS = {"cv2": "opencv-python-headless", "yaml": "pyyaml", "PIL": "pillow", "markupsafe": "jinja2"}
_TOOLS = ("dev", "all")  # extras for developers, and of other extras

_Project = TypedDict(
    "_Project", {"dependencies": list[str], "optional-dependencies": dict[str, list[str]], "requires-python": str}
)


@dataclass(frozen=True)
class Package:
    """A requirement, and the version that is installed: "" if none is."""

    name: str
    wanted: str
    version: str

    @property
    def fits(self) -> bool:
        """Whether it is installed, in a version that is wanted."""
        return bool(self.version) and fits(self.version, self.wanted)


def extras() -> dict[str, list[Package]]:
    """The packages of each extra that a user may want, on this system; `base` is what every command needs."""
    project = _project()
    groups = {"base": project["dependencies"], **project["optional-dependencies"]}
    return {
        name: [_package(requirement) for requirement in map(Requirement, lines) if _is_for_this_system(requirement)]
        for name, lines in groups.items()
        if name not in _TOOLS
    }


def install_command(module: str) -> str | None:
    """The command that installs a module that one of our extras brings, the first that does; None if none brings it."""
    name = _DISTRIBUTIONS.get(module, module.replace("_", "-"))
    try:
        bringing = (extra for extra, packages in extras().items() if name in (package.name for package in packages))
        extra = next(bringing, None)
    except metadata.PackageNotFoundError:  # a copy of the code that is neither a clone nor installed
        extra = None
    return None if extra is None else f"pip install {PROJECT}" if extra == "base" else f"pip install '{PROJECT}[{extra}]'"


def python() -> str:
    """The versions of Python that are tested."""
    return _project()["requires-python"]


def fits(version: str, wanted: str) -> bool:
    """Whether a version satisfies clauses such as `>=1.2,<2` or `==1.31.*`."""
    return SpecifierSet(wanted).contains(version, prereleases=True)


def _package(requirement: Requirement) -> Package:
    try:
        version = metadata.version(requirement.name)
    except metadata.PackageNotFoundError:
        version = ""
    return Package(requirement.name, str(requirement.specifier), version)


def _is_for_this_system(requirement: Requirement) -> bool:
    """Whether its marker is true on this system; `_of_metadata` has removed the marker of the extra."""
    return requirement.marker is None or requirement.marker.evaluate({"extra": ""})


def _project() -> _Project:
    """The table `project` of pyproject.toml: from the file in a clone, else from the metadata of the installed package."""
    file = Path(__file__).parents[1] / "pyproject.toml"
    project = _of_clone(file) if file.is_file() else _of_metadata()
    groups = project["optional-dependencies"]
    for name, lines in groups.items():
        groups[name] = [expanded for line in lines for expanded in _expanded(line, groups)]
    return project


def _expanded(line: str, groups: dict[str, list[str]]) -> list[str]:
    """The requirements of the extras that a requirement of our own package names, else the line itself."""
    requirement = Requirement(line)
    if requirement.name != PROJECT:
        return [line]
    return [other for extra in sorted(requirement.extras) for other in groups[extra]]


def _of_clone(file: Path) -> _Project:
    table: _Project = tomllib.loads(file.read_text(encoding="utf-8"))["project"]
    return table


def _of_metadata() -> _Project:
    groups: dict[str, list[str]] = {}
    base: list[str] = []
    for line in metadata.requires(PROJECT) or []:
        extra = re.search(r"(?:\s+and\s+)?extra\s*==\s*['\"]([\w-]+)['\"]", line)
        plain = (line[: extra.start()] + line[extra.end() :]).rstrip(" ;()") if extra else line
        (groups.setdefault(extra[1], []) if extra else base).append(plain)
    wanted = metadata.metadata(PROJECT)["Requires-Python"] or ""
    return {"dependencies": base, "optional-dependencies": groups, "requires-python": wanted}
