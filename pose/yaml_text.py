"""YAML of others: plain values only, and no more of them than a person would write."""

from __future__ import annotations

from typing import Any

import yaml

MOST_VALUES = 50_000  # with every alias written out, as `yaml.safe_dump` of a validated copy does


class _Loader(yaml.SafeLoader):
    """Counts the values while they are read: PyYAML needs about 0.1 ms for one."""

    values = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        self.values += 1
        if self.values > MOST_VALUES:
            raise yaml.YAMLError(f"it holds more than {MOST_VALUES} values")
        return super().compose_node(parent, index)


def parse(text: str) -> Any:
    """The value of a YAML document: mappings, lists and scalars.

    Raises:
        ValueError: it is not YAML, nested too deeply, or has tags, aliases of itself or more than `MOST_VALUES` values.
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
        raise ValueError(str(error)) from error


def _written_out(node: yaml.Node, counts: dict[int, int]) -> int:
    """Number of values of a node with its aliases written out; `counts` holds those of the nodes seen before."""
    if id(node) not in counts:
        counts[id(node)] = 0
        parts = node.value if isinstance(node, yaml.CollectionNode) else []
        children = [child for part in parts for child in (part if isinstance(part, tuple) else (part,))]
        counts[id(node)] = 1 + sum(_written_out(child, counts) for child in children)
    elif counts[id(node)] == 0:
        raise yaml.YAMLError("it contains itself")
    return counts[id(node)]
