"""Wrong versions of good JSON: fields with other values, missing, added, and text that is damaged."""

from __future__ import annotations

import copy
import json
from typing import Any

from hypothesis import strategies as st

Path_ = tuple[str | int, ...]

NASTY: list[Any] = [
    None, True, False, 0, -1, 1, 1e-320, 1e-9, 100.0000001, 1e9, 1e300, 10**300, -(10**300), 2**63,
    float("nan"), float("inf"), float("-inf"), "", "0", "12", "NaN", "\0", "\x1b[31m", "\ud800", "x" * 5000, "[/b]",
    "../../x", "|\n#", [], {}, [[]], [None], {"": None}, [1e300, -1e300], {"a": {"a": {}}}, ["x"] * 300,
]  # fmt: skip
BYTES = (b"[" * 3000, b"1" * 5000, b"\xff", b"")
values = st.one_of(
    st.sampled_from(NASTY).map(copy.deepcopy),  # a place in one of them may be changed next
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
        max_leaves=6,
    ),
)


def paths(value: Any, path: Path_ = ()) -> list[Path_]:
    """Every place in a value; of a long list the first two and the last."""
    items: list[tuple[str | int, Any]] = []
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list):
        items = [(place, value[place]) for place in sorted({0, 1, len(value) - 1} & set(range(len(value))))]
    return [path] + [inner for key, item in items for inner in paths(item, (*path, key))]


@st.composite
def mutated(draw: st.DrawFn, good: list[Any]) -> Any:
    """One of the good values with up to three places changed, removed or doubled."""
    value = copy.deepcopy(draw(st.sampled_from(good)))
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(paths(value)))
        if not path:
            value = draw(values)
            continue
        inner = value
        for part in path[:-1]:
            inner = inner[part]
        how = draw(st.sampled_from(("replace", "replace", "replace", "remove", "double", "rename")))
        if how == "remove":
            del inner[path[-1]]
        elif how == "double" and isinstance(inner, list):
            inner.append(copy.deepcopy(inner[path[-1]]))  # type: ignore[index]
        elif how == "rename" and isinstance(inner, dict):
            inner[draw(st.text(max_size=5))] = inner.pop(path[-1])
        else:
            inner[path[-1]] = draw(values)
    return value


@st.composite
def damaged(draw: st.DrawFn, good: list[Any]) -> bytes:
    """The JSON of a good value with some bytes replaced, removed or repeated."""
    data = bytearray(json.dumps(draw(st.sampled_from(good))).encode())
    for _ in range(draw(st.integers(1, 4))):
        place, length = draw(st.integers(0, len(data))), draw(st.integers(0, 20))
        data[place : place + length] = draw(
            st.binary(max_size=20) | st.sampled_from((b"[" * 3000, b"1" * 5000, b"\xff", b""))
        )
    return bytes(data)
