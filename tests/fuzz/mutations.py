"""Values and bytes that a file may hold instead of its own, for hypothesis."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

NUMBERS = st.one_of(
    st.integers(-3, 300),
    st.sampled_from([2**31, 2**63, -(2**63), 10**400, math.nan, math.inf, -math.inf, 1e308, 5e-324, -0.0]),
    st.floats(),
)
TEXTS = st.one_of(
    st.text(max_size=12),
    st.sampled_from(["../../payload", "/etc/passwd", "a/b", "..", "", " ", "[/b]", "\x1b[2J", "a\nb", "x" * 5_000, "1:1:1"]),
)
LEAVES = st.one_of(NUMBERS, TEXTS, st.none(), st.booleans(), st.binary(max_size=8))
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(TEXTS, inner, max_size=4)),
    max_leaves=8,
)


def places(value: Any, seen: set[int] | None = None) -> Iterator[tuple[Any, Any]]:
    """(container, key) of everything inside a nested value, which may contain itself."""
    seen = set() if seen is None else seen
    if id(value) in seen:
        return
    seen.add(id(value))
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in list(items):
        yield value, key
        yield from places(item, seen)


@st.composite
def changed_bytes(draw: st.DrawFn, content: bytes) -> bytes:
    """The content with a few bytes replaced, removed, repeated or inserted, or cut off."""
    result = bytearray(content)
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, max(0, len(result) - 1)))
        end = min(len(result), start + draw(st.sampled_from([0, 1, 1, 1, 2, 8, 100])))
        kind = draw(st.sampled_from(["replace", "replace", "repeat", "cut"]))
        if kind == "replace":
            result[start:end] = draw(st.binary(max_size=8))
        elif kind == "repeat":
            result[start:end] = bytes(result[start:end]) * draw(st.sampled_from([2, 50, 1_000]))
        else:
            del result[start:]
    return bytes(result)
