"""YAML of others: plain values only, no more of them than a person would write, and none that another one hides."""

from __future__ import annotations

import re
from typing import Any

import yaml

MOST_VALUES = 50_000  # with every alias written out, as `yaml.safe_dump` of a validated copy does
_NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
_SURPRISE = re.compile(r"[-+]?0[0-7_]+|.*:.*", re.DOTALL)  # of YAML 1.1: 010 would be 8, and 12:30 would be 750
_MERGE = "tag:yaml.org,2002:merge"


class _Loader(yaml.SafeLoader):
    """Counts the values while they are read: PyYAML needs about 0.1 ms for one.

    Numbers in octal or to the base of 60 stay texts, as `1e-4` does: a field for a number reads 010 as 10 and refuses 12:30.
    """

    values = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        self.values += 1
        if self.values > MOST_VALUES:
            raise yaml.YAMLError(f"it holds more than {MOST_VALUES} values")
        return super().compose_node(parent, index)

    def resolve(self, kind: Any, value: Any, implicit: Any) -> Any:
        tag = super().resolve(kind, value, implicit)
        return self.DEFAULT_SCALAR_TAG if tag in _NUMBERS and _SURPRISE.fullmatch(value) else tag


def parse(text: str) -> Any:
    """The value of a YAML document: mappings, lists and scalars.

    Raises:
        ValueError: it is not YAML, nested too deeply, or has tags, a key twice, aliases of itself or more than `MOST_VALUES`
            values.
    """
    try:
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return None
            if _written_out(node, {}) > MOST_VALUES:
                raise yaml.YAMLError(f"its aliases multiply to more than {MOST_VALUES} values")
            return loader.construct_document(node)
        finally:
            loader.dispose()
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    except Exception as error:  # PyYAML's constructors of tagged values raise any exception
        raise ValueError(_reason(error)) from error


def _reason(error: Exception) -> str:
    """Why PyYAML refuses a text; of a tab it says no more than that it cannot start a token."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark and "'\\t'" in (error.problem or ""):
        return f"line {error.problem_mark.line + 1} has a tab before a value; YAML is indented by blanks: put blanks there"
    return str(error)


def _written_out(node: yaml.Node, counts: dict[int, int]) -> int:
    """Number of values of a node with its aliases written out; `counts` holds those of the nodes seen before."""
    if id(node) not in counts:
        counts[id(node)] = 0
        if isinstance(node, yaml.MappingNode):
            _require_unique(node)
        parts = node.value if isinstance(node, yaml.CollectionNode) else []
        children = [child for part in parts for child in (part if isinstance(part, tuple) else (part,))]
        counts[id(node)] = 1 + sum(_written_out(child, counts) for child in children)
    elif counts[id(node)] == 0:
        raise yaml.YAMLError("it contains itself")
    return counts[id(node)]


def _require_unique(node: yaml.MappingNode) -> None:
    """PyYAML takes the last of two values of a key. What a merge (`<<`) brings in is not there yet, and may be replaced."""
    lines: dict[tuple[str, str], int] = {}
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode) or key.tag == _MERGE:
            continue
        line = key.start_mark.line + 1
        if (key.tag, key.value) in lines:
            first = lines[key.tag, key.value]
            raise yaml.YAMLError(f"line {line}: the key {key.value[:60]!r} is in line {first} already; keep one of them")
        lines[key.tag, key.value] = line
