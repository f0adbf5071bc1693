"""Which tensors of a training checkpoint are the network's: under which entry, behind which prefix, and what is left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from torch import Tensor

from pose.errors import InputError
from pose.models.checkpoint_archive import StoredTensor

# Entries that hold weights, the first of these that is there: plain, then averages of them, which training keeps beside.
ENTRIES = (
    "state_dict", "model", "model_state_dict", "model_state", "module", "network", "net", "weights", "params",
    "ema", "model_ema", "ema_model", "ema_state_dict", "state_dict_ema", "params_ema", "best_state_dict",
)  # fmt: skip
_COMPILED = "_orig_mod."  # torch.compile puts it before the names of what it compiled
_DEEPEST = 6  # entries within entries
_LONGEST = 3  # segments of a prefix
_AVERAGES = ("ema", "average", "shadow")
_COUNTS = ("total_ops", "total_params")  # of thop, which counts operations
_NAMED = 3  # entries of each kind that a message names

Value = TypeVar("Value")


def inner_mapping(checkpoint: Any, source: str) -> tuple[Mapping[Any, Any], list[str]]:
    """The innermost mapping of weights, and the names of the entries beside it that were left out.

    Where no entry has a usual name, it is the only one that is a mapping of tensors.

    Raises:
        InputError: there is none, or without a usual name there are several.
    """
    left_out: list[str] = []
    outer: list[Any] = []
    for _ in range(_DEEPEST):
        entries = checkpoint if isinstance(checkpoint, Mapping) else {}
        entry = next((name for name in ENTRIES if isinstance(entries.get(name), Mapping) and entries[name]), None)
        entry = entry or _only_state_dict(entries, source)
        if entry is None:
            break
        outer.append(checkpoint)
        if any(checkpoint[entry] is one for one in outer):
            raise InputError(f"{source} holds no state dict: its entry '{entry}' contains itself; save `model.state_dict()`")
        left_out += [str(name) for name in checkpoint if name != entry]
        checkpoint = checkpoint[entry]
    if not isinstance(checkpoint, Mapping) or not checkpoint:
        raise InputError(f"{source} holds no state dict; save `model.state_dict()`")
    return checkpoint, left_out


def _only_state_dict(entries: Mapping[Any, Any], source: str) -> str | None:
    """The entry that alone is a mapping of tensors; None where there is none, or tensors lie beside it."""
    if any(isinstance(value, Tensor | StoredTensor) for value in entries.values()):
        return None
    names = [
        name
        for name, value in entries.items()
        if isinstance(name, str) and isinstance(value, Mapping) and value
        if all(isinstance(part, Tensor | StoredTensor) for part in value.values())
    ]
    if len(names) > 1:
        raise InputError(
            f"{source} holds {len(names)} mappings of tensors ({listed(names)}); save the state dict of the one you mean"
        )
    return names[0] if names else None


def without_leftovers(state: Mapping[str, Value]) -> tuple[dict[str, Value], list[str]]:
    """The state dict without wrappers and without what tools leave beside the weights, and what was left out.

    That is thop's counts of operations, and a second copy of weights under the names that mmcv's EMAHook gives it
    (`ema_backbone_conv1_weight`) where the weight itself is there.
    """
    kept = {key: value for key, value in state.items() if key.rpartition(".")[2] not in _COUNTS}
    left_out = ["counts of operations (total_ops, total_params)"] if len(kept) < len(state) else []
    plain = without_wrappers(kept)
    copies = {"ema_" + key.replace(".", "_") for key in plain} & plain.keys()
    if copies:
        left_out.append(f"{len(copies)} tensors named ema_... beside the weights themselves")
    return {key: value for key, value in plain.items() if key not in copies}, left_out


def without_wrappers(state: Mapping[str, Value]) -> dict[str, Value]:
    """The state dict without the prefixes that torch.compile and data parallel training put before every name."""
    names = {key.replace(_COMPILED, ""): value for key, value in state.items()}
    while names and all(key.startswith("module.") for key in names):
        names = {key.removeprefix("module."): value for key, value in names.items()}
    return names


def without_preprocessing(state: Mapping[str, Value]) -> dict[str, Value]:
    """The state dict without the mean and the standard deviation of images that mmpose 1.x keeps beside the network."""
    return {key: value for key, value in state.items() if not key.startswith("data_preprocessor.")}


def under_prefix(
    state: Mapping[str, Value], matches: Callable[[Mapping[str, Value]], int], count: int, source: str
) -> tuple[dict[str, Value], list[str]]:
    """The part of a state dict that is this network's, without its prefix (`model.`, `student.net.`), and the other names.

    Args:
        matches: the number of the network's tensors that such a part holds; the network has `count` of them.

    Raises:
        InputError: the state dict holds the network several times.
    """
    if matches(state) == count:
        return dict(state), []
    segments = [key.split(".") for key in state]
    sizes = Counter(".".join(parts[:depth]) + "." for parts in segments for depth in range(1, min(len(parts), _LONGEST + 1)))
    prefixes = [prefix for prefix, size in sizes.items() if 2 * size > count]  # large networks have thousands of prefixes
    counts = {prefix: matches(_part(state, prefix)) for prefix in sorted(prefixes, key=lambda one: (one.count("."), one))}
    most = max(counts.values(), default=0)
    if 2 * most <= count or most <= matches(state):  # it is another network, or one without a prefix
        return dict(state), []
    best = [prefix for prefix, matched in counts.items() if matched == most]
    plain = [prefix for prefix in best if not any(word in prefix.lower() for word in _AVERAGES)]
    if len(best) > 1 and len(plain) != 1:
        raise InputError(
            f"{source} holds this network {len(best)} times ({listed(best)}); save the state dict of the one that you mean"
        )
    chosen = plain[0] if len(best) > 1 else best[0]
    return _part(state, chosen), [key for key in state if not key.startswith(chosen)]


def _part(state: Mapping[str, Value], prefix: str) -> dict[str, Value]:
    return {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}


def listed(names: list[str]) -> str:
    """The first few names, and how many there are beyond them."""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
