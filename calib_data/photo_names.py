"""Names of files as another machine wrote them, and the files of a folder that they lead to."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from os.path import exists, isfile
from pathlib import Path
from unicodedata import normalize
from urllib.parse import unquote

from pose.errors import InputError
from pose.streams import printable


def name_parts(name: str) -> list[str]:
    """The folders and the name of a path of any system, from the last `..` on, without a drive."""
    parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".")]
    after = max((place + 1 for place, part in enumerate(parts) if part == ".." or part.endswith(":")), default=0)
    return parts[after:]


def composed(name: str) -> str:
    """The name with é as one character."""
    return normalize("NFC", name)


def _folded(name: str) -> str:
    return normalize("NFC", normalize("NFC", name).casefold())


# What a copy to another system changes: macOS writes é as two characters, Windows takes 1.JPG and 1.jpg for one name.
_FORMS: tuple[Callable[[str], str], ...] = (composed, _folded)


_MOST_PARTS = 32  # of a name that are looked for: each end of it is tried


class Names:
    """Finds the files of a folder by names of another machine. The lists of files that this takes are made once.

    Files name photos as the annotator's machine had them (`C:\\\\photos\\\\1.jpg`, `../images/1.jpg`), or as the URL that an
    annotation tool showed them under. Whatever the name is, the file lies in the folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lists: dict[tuple[Path, Callable[[str], str]], dict[str, list[str]]] = {}

    def find(self, name: str, *, least: int = 1, folders: bool = False) -> Path | None:
        """The file under the longest end of the name that is one; None where there is none.

        The name is tried as it stands, then as a URL; each end of it as it is, then in other forms of its letters (é in one
        or two characters, upper and lower case).

        Args:
            least: parts of an end, of a name that has so many.
            folders: find a folder, too.

        Raises:
            InputError: only other forms of an end are there, and several of them.
        """
        is_there = exists if folders else isfile  # which, unlike Path's, take a name that is too long for a missing one
        for parts in readings(name):
            for start in range(max(1, len(parts) - least + 1)):
                if is_there(path := self._folder.joinpath(*parts[start:])):
                    return path
                for form in _FORMS:
                    paths = [path for path in self._alike(parts[start:], form) if is_there(path)]
                    if len(paths) > 1:
                        raise InputError(
                            f"{path} is missing, and both {paths[0]} and {paths[1]} may be meant; correct the name, or "
                            "rename one of them"
                        )
                    if paths:
                        return paths[0]
        return None

    def _alike(self, parts: Sequence[str], form: Callable[[str], str]) -> list[Path]:
        """The paths in the folder whose parts have the same form."""
        paths = [self._folder]
        for part in parts:
            paths = [path / name for path in paths for name in self._names(path, form).get(form(part), ())]
        return paths

    def _names(self, folder: Path, form: Callable[[str], str]) -> dict[str, list[str]]:
        """The names in a folder by their form; none of what is no folder or cannot be listed."""
        if (folder, form) not in self._lists:
            names = defaultdict(list)
            try:
                for name in sorted(path.name for path in folder.iterdir()):
                    names[form(name)].append(name)
            except OSError:
                names.clear()
            self._lists[folder, form] = names
        return self._lists[folder, form]


def readings(name: str) -> Iterator[list[str]]:
    """The parts of a name as it stands, then as a URL: decoded, and without its query, which of Label Studio is the name.

    `name_parts` comes after the decoding: what was written as `%2e%2e%2f` leads out of the folder no more than `../` does.
    """
    address, _, query = name.partition("?")
    is_local = address.endswith("/local-files/") and query.startswith("d=")  # /data/local-files/?d=photos/1.jpg
    texts = [query.removeprefix("d=")] if is_local else [name, address]
    variants = [variant for text in texts for variant in (text, unquote(text))]
    for text in dict.fromkeys(variants):
        if printable(text) == text:  # decoding may have made control characters, which must not get into messages
            yield name_parts(text)[-_MOST_PARTS:]
