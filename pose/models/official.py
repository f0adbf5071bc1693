"""Public layouts of checkpoints: what a parameter of ours is called in them, and which crops their networks were trained on.

A network declares its layouts as the attribute `layouts`; which one a state dict has, its keys show. Those of the token
networks are here, the others beside their networks.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from torch import nn

from pose.crop import CropSpec

Rename = Callable[[str], str]  # our parameter name -> the layout's


def _unchanged(ours: str) -> str:
    return ours


@dataclass(frozen=True)
class Layout:
    """A layout of checkpoints of one family of networks.

    Attributes:
        mark: a prefix that names in this layout have and names in no other.
        name: see `Rename`.
        crop: what networks in this layout take, where that is not the crop that the network is registered with.
    """

    mark: str = ""
    name: Rename = _unchanged
    crop: CropSpec | None = None


_OURS = Layout()


def layout_of(model: nn.Module, keys: Iterable[str]) -> Layout:
    """The public layout of the model's that a state dict's keys show; ours, where they show none."""
    keys = list(keys)
    layouts: Iterable[Layout] = getattr(model, "layouts", ())
    return next((layout for layout in layouts if any(key.startswith(layout.mark) for key in keys)), _OURS)


def by_prefix(prefixes: Mapping[str, str]) -> Rename:
    """Names that differ in their first part only: our prefix -> the layout's."""

    def name(ours: str) -> str:
        prefix = next((prefix for prefix in prefixes if ours.startswith(prefix)), "")
        return prefixes.get(prefix, "") + ours.removeprefix(prefix)

    return name


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


def _token_layout(mark: str, backbone: str, tokens: str) -> Layout:
    def name(ours: str) -> str:
        inside = ours.removeprefix("backbone.")
        return backbone + inside if inside != ours else tokens + _token_name(ours)

    return Layout(mark, name)


# The DistilPose repository; the TokenPose repository, with stemnet and the others.
TOKEN_LAYOUTS = (
    _token_layout("keypoint_head.", "backbone.", "keypoint_head.tokenhead."),
    _token_layout("features.", "features.", "features."),
    _token_layout("transformer.", "pre_feature.", "transformer."),
)
