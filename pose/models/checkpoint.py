"""Weights from files and state dicts, in our layout and public ones, into a model; nothing in a file is executed."""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from pose import cli
from pose.archives import is_safetensors, refuse_other_kinds, require_checkpoint
from pose.crop import CropSpec
from pose.errors import InputError, one_line
from pose.files import atomic_file, open_regular, require_regular
from pose.models import checkpoint_layouts
from pose.models.checkpoint_archive import read_archive
from pose.models.checkpoint_layouts import listed
from pose.models.official import layout_of

_CROP = "crop"  # in the metadata of our files
_COUNTER = "num_batches_tracked"  # of batch norm


def read(path: Path) -> dict[str, Tensor]:
    """The state dict in a `.safetensors` file, or in a foreign `.pth`, `.pt`, `.ckpt` or `.bin`, unwrapped; see `unwrap`.

    A file of safetensors is recognised under any name. Of a training checkpoint only the tensors are read: objects of its
    framework are left out, and nothing in it is executed.

    Raises:
        InputError: the file is missing, truncated, of another kind (ONNX, a web page, ...), or holds no state dict.
    """
    path = Path(path)
    try:
        refuse_other_kinds(path)
        if is_safetensors(path):
            require_regular(path)
            return unwrap(safetensors.torch.load_file(path), str(path))
        return unwrap(load_pickled(path), str(path))
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    except SafetensorError as error:
        raise InputError(f"{path} is not a whole safetensors file ({error}); copy or download it again") from error
    except pickle.UnpicklingError:  # objects of classes that torch does not allow, or a damaged file
        return _tensors_only(path)
    except Exception as error:  # for a damaged file torch raises RuntimeError, EOFError, KeyError, ...
        raise InputError(f"{path} is not a whole checkpoint ({type(error).__name__}); copy or download it again") from error


def _tensors_only(path: Path) -> dict[str, Tensor]:
    """The state dict in a file that holds objects beside it."""
    left_out: list[str] = []

    def state_dict(checkpoint: Any) -> Mapping[Any, Any]:
        state, beside = checkpoint_layouts.inner_mapping(checkpoint, str(path))
        left_out.extend(beside)
        return state

    try:
        state, objects = read_archive(path, state_dict)
    except ValueError as error:
        raise InputError(
            f"{path} is not loaded ({one_line(error, 100)}): it is damaged, or holds more than tensors and objects; copy it "
            "again, or save its state dict alone"
        ) from error
    if objects:
        left_out.append(f"objects of {listed(objects)}")
    return _checked(state, left_out, str(path))


def load_pickled(path: Path) -> Any:
    """What `torch.save` wrote: tensors in lists and dictionaries, on the CPU.

    Raises:
        InputError: the file cannot be read, or would become far larger than it is.
        Exception: whatever torch raises for a damaged file, or one with other objects.
    """
    with open_regular(path) as file:
        require_checkpoint(file, path.stat().st_size, path)
    return torch.load(path, map_location="cpu", weights_only=True)


def unwrap(checkpoint: Any, source: str = "the state dict") -> dict[str, Tensor]:
    """The state dict inside a training checkpoint, without the prefixes of wrappers; what is left out is said.

    It is looked for under the usual entries (`state_dict`, `model`, ...); `module.` (data parallel) and `_orig_mod.`
    (torch.compile) are taken off. An entry of another name is taken where it alone holds tensors.

    Raises:
        InputError: there is none, or several; or one of its values is not a tensor, or not one of plain numbers.
    """
    return _checked(*checkpoint_layouts.inner_mapping(checkpoint, source), source)


def _checked(state: Mapping[Any, Any], left_out: list[str], source: str) -> dict[str, Tensor]:
    strangers = [
        key if isinstance(key, str) else type(key).__name__
        for key, value in state.items()
        if not (isinstance(key, str) and isinstance(value, Tensor))
    ]
    if strangers:
        raise InputError(f"{source} is not a state dict: {listed(strangers)} not tensors; save `model.state_dict()`")
    for key, value in state.items():
        if kind := _special_kind(value):
            raise InputError(
                f"{source}: {key} is {kind}; save plain tensors, as `model.state_dict()` of a float model has them"
            )
    plain, beside = checkpoint_layouts.without_leftovers(state)
    if left_out or beside:
        cli.note(f"{source}: the weights are read; left out: {listed([*beside, *left_out])}")
    return {key: _counter(value) if key.endswith(_COUNTER) else value for key, value in plain.items()}


def _counter(value: Tensor) -> Tensor:
    """A counter of batches as batch norm has it, int64 []: it is no weight, and some store it as other numbers or as [1]."""
    return value.reshape(()).double().nan_to_num(0.0, 0.0, 0.0).to(torch.int64) if value.numel() == 1 else value


def read_for(model: nn.Module, weights: Path | str | Mapping[str, Any]) -> dict[str, Tensor]:
    """The part of a file or a state dict that is this model's, without the prefix that it has there; see `read`.

    A module that held the model in training (of Lightning, for instance) puts a prefix before its names, and has tensors of
    its own, such as those of a loss: these are left out, and named.

    Raises:
        InputError: see `read`; or the model is in there several times.
    """
    if isinstance(weights, Mapping):
        source, state = "the state dict", unwrap(weights)
    else:
        source, state = str(weights), read(Path(weights))
    names = list(model.state_dict())

    published = getattr(model, "published", dict)

    def matches(part: Mapping[str, Tensor]) -> int:
        part = published(part)
        layout = layout_of(model, part)
        return sum(layout.name(name) in part for name in names)

    part, others = checkpoint_layouts.under_prefix(state, matches, len(names), source)
    if others:
        cli.note(f"{source}: tensors that are not the model's are left out: {listed(others)}")
    return published(checkpoint_layouts.without_preprocessing(part))


def load(model: nn.Module, weights: Path | str | Mapping[str, Any], name: str) -> None:
    """Copy weights in our layout or a public one into `model`; every key has to fit.

    Counters of batch norm may be missing, as in old files, or of any type. The model's `crop` becomes what networks in that
    layout take.

    Args:
        weights: a file or a state dict, of any floating-point precision.
        name: what errors call the model.

    Raises:
        InputError: the file is unreadable, or a key is missing, unexpected or of another shape; the first few are named, as
            the checkpoint's own layout has them. Or a tensor has integers for real numbers, or NaN or infinity.
    """
    source = "the state dict" if isinstance(weights, Mapping) else str(weights)
    state = read_for(model, weights)
    layout = layout_of(model, state)
    parameters = model.state_dict()
    targets = {layout.name(ours): ours for ours in parameters}
    shapes = {theirs: parameters[ours].shape for theirs, ours in targets.items()}
    optional = _optional(model, {targets[key] for key in state if key in targets})
    problems = {
        "missing": [key for key, ours in targets.items() if key not in state and ours not in optional],
        "unexpected": [key for key in state if key not in targets],
        "of another shape": [
            f"{key} {list(state[key].shape)} for {list(shape)}"
            for key, shape in shapes.items()
            if key in state and state[key].shape != shape
        ],
    }
    misfits = [f"{len(keys)} {kind} ({listed(keys)})" for kind, keys in problems.items() if keys]
    if misfits:
        raise InputError(f"{source} does not fit {name}: keys {', '.join(misfits)}; give a checkpoint of this model")
    present = {theirs: ours for theirs, ours in targets.items() if theirs in state}
    cast = {ours: _cast(state[theirs], parameters[ours].dtype, f"{source}: {theirs}") for theirs, ours in present.items()}
    model.load_state_dict({**parameters, **cast})
    crop = layout.crop or stored_crop(weights)
    if crop is not None:
        model.crop = crop  # type: ignore[assignment]


def stored_crop(weights: Path | str | Mapping[str, Any]) -> CropSpec | None:
    """The crop that `save` wrote into a file, if it did.

    Raises:
        InputError: it is no crop.
    """
    if isinstance(weights, Mapping) or not is_safetensors(Path(weights)):
        return None
    with safe_open(weights, "pt") as file:
        text = (file.metadata() or {}).get(_CROP)
    try:
        return None if text is None else TypeAdapter(CropSpec).validate_json(text)
    except ValidationError as error:
        raise InputError(f"{weights}: its crop is none ({one_line(error, 100)}); copy or download it again") from error


def _optional(model: nn.Module, present: set[str]) -> set[str]:
    """The model's tensors that a checkpoint may lack: counters of batches, and parts for training alone, as a whole."""
    parts = [f"{part}." for part in getattr(model, "auxiliary", ())]
    absent = tuple(part for part in parts if not any(name.startswith(part) for name in present))
    return {name for name in model.state_dict() if name.startswith(absent) or name.endswith(_COUNTER)}


def load_matching(model: nn.Module, state: Mapping[str, Tensor], *, head: bool = False) -> list[str]:
    """Copy into `model` every tensor that another network has under the same name and with the same shape.

    Args:
        head: the head's tensors, too.

    Returns:
        Names of those of the model's tensors that the other network lacks.
    """
    own = {key: value for key, value in model.state_dict().items() if head or not key.startswith("head.")}
    common = {key: state[key] for key, value in own.items() if key in state and state[key].shape == value.shape}
    cast = {key: _cast(value, own[key].dtype, f"the other network's {key}") for key, value in common.items()}
    model.load_state_dict(cast, strict=False)
    return [key for key in own if key not in common]


def save(model: nn.Module, path: Path, dtype: torch.dtype | None = None) -> None:
    """Write the weights in our layout, atomically; beside them the model's crop, where it is not that of its kind.

    Args:
        dtype: of the floating-point tensors; as they are when None.
    """
    state = {
        key: value.to(dtype) if dtype and value.is_floating_point() else value for key, value in model.state_dict().items()
    }
    crop: CropSpec | None = getattr(model, "crop", None)
    metadata = {_CROP: json.dumps(asdict(crop))} if crop is not None and crop.colour != "RGB" else None
    with atomic_file(path) as temporary:
        try:
            safetensors.torch.save_file({key: value.contiguous() for key, value in state.items()}, temporary, metadata)
        except SafetensorError as error:  # raised by its writer when the disk is full
            raise InputError(f"cannot write {path} ({error}); choose another folder or free some space") from error


def _special_kind(value: Tensor) -> str | None:
    """What a tensor is other than numbers in memory, one beside the other."""
    if value.layout != torch.strided:
        return f"sparse ({str(value.layout).removeprefix('torch.')})"
    if value.is_quantized:
        return f"quantized ({str(value.dtype).removeprefix('torch.')})"
    if value.is_complex():
        return "complex"
    return "on the device meta, without values" if value.is_meta else None


def _cast(value: Tensor, dtype: torch.dtype, name: str) -> Tensor:
    """A checkpoint's tensor in the type of the model's; only as many elements are read as the model has.

    Raises:
        InputError: it is of integers where the model has real numbers or the other way round, or a value is not finite.
    """
    if value.is_floating_point() != dtype.is_floating_point:
        actual, expected = (str(one).removeprefix("torch.") for one in (value.dtype, dtype))
        raise InputError(f"{name} is {actual}, the model has {expected}; give the checkpoint of the float model")
    cast = value.to(dtype)
    if dtype.is_floating_point and (wrong := int((~torch.isfinite(cast)).sum())):
        raise InputError(f"{name} has {wrong} of {cast.numel()} values that are NaN or infinite; train the model again")
    return cast
