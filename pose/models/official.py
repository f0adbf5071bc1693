"""The two public layouts of checkpoints: what a parameter of ours is called in them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

# (of our names, of both public layouts), inside the token part
_TOKEN_PARTS = (("position", "pos_embedding"), ("patch.linear", "patch_to_embedding"), ("head", "mlp_head"))
_BLOCK_PARTS = {
    "norm1": "0.fn.norm",
    "attention.qkv": "0.fn.fn.to_qkv",
    "attention.out": "0.fn.fn.to_out.0",
    "norm2": "1.fn.norm",
    "mlp.up": "1.fn.fn.net.0",
    "mlp.down": "1.fn.fn.net.3",
}
_BLOCK = re.compile(r"encoder\.(?:(?P<stage>\d+)\.)?blocks\.(?P<block>\d+)\.(?P<part>.+)\.(?P<leaf>\w+)")


def _token_name(name: str) -> str:
    """The public name of a parameter outside the backbone, without the layout's prefix."""
    if match := _BLOCK.fullmatch(name):
        stage = "" if match["stage"] is None else str(int(match["stage"]) + 1)
        part = _BLOCK_PARTS.get(match["part"], match["part"])
        return f"transformer{stage}.layers.{match['block']}.{part}.{match['leaf']}"
    for ours, theirs in _TOKEN_PARTS:
        if name == ours or name.startswith(f"{ours}."):
            return theirs + name.removeprefix(ours)
    return name


def _layout(backbone: str, tokens: str) -> Callable[[str], str]:
    def name(ours: str) -> str:
        inside = ours.removeprefix("backbone.")
        return backbone + inside if inside != ours else tokens + _token_name(ours)

    return name


# By a prefix that only this layout has: the DistilPose repository; the TokenPose repository, with stemnet and the others.
_LAYOUTS = {
    "keypoint_head.": _layout("backbone.", "keypoint_head.tokenhead."),
    "features.": _layout("features.", "features."),
    "transformer.": _layout("pre_feature.", "transformer."),
}


def layout_of(keys: Iterable[str]) -> Callable[[str], str]:
    """From our parameter names to those of the layout that a state dict's keys show; the identity if it is ours."""
    keys = list(keys)
    for prefix, name in _LAYOUTS.items():
        if any(key.startswith(prefix) for key in keys):
            return name
    return lambda ours: ours
