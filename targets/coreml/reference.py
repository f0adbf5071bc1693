"""Core ML without a Mac: a saved `.mlpackage` is read back and its MIL program is evaluated operator by operator in torch.

Each operator is computed in float32, and its result is rounded once to the type that the program declares for it, such as
float16. So the answers are those of the program as it is written. A device may differ in the last bits: Apple documents
neither how its units accumulate nor which operators they fuse.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import coremltools as ct
import numpy as np
import torch
from coremltools.converters.mil.frontend.milproto.load import load
from coremltools.converters.mil.mil import types
from torch import Tensor

from pose.card import Card
from pose.errors import BackendError, InputError, one_line
from pose.files import read_json
from targets.coreml.mil_ops import KERNELS

_DTYPES = {
    types.fp32: torch.float32,
    types.fp16: torch.float16,
    types.int8: torch.int8,
    types.uint8: torch.uint8,
    types.int32: torch.int32,
    types.bool: torch.bool,
}
_Step = tuple[Callable[..., Tensor], Any, dict[str, Any]]  # kernel, the operator, its arguments


def require_inside(package: Path) -> None:
    """Raises InputError where the manifest of a package names a file outside it."""
    manifest = package / "Manifest.json"
    value = read_json(manifest)
    entries = value.get("itemInfoEntries") if isinstance(value, dict) else None
    for entry in entries.values() if isinstance(entries, dict) else [None]:
        path = entry.get("path") if isinstance(entry, dict) else None
        if not isinstance(path, str) or PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
            raise InputError(f"{manifest} names {str(path)[:80]!r}, which is not a file of the package; export it again")


class MilProgram:
    """The program of a package.

    Attributes:
        function: `main`, as coremltools reads it.
    """

    def __init__(self, path: Path) -> None:
        """Read a package and everything in it that is constant.

        Raises:
            BackendError: the package cannot be read, or has an operator that `targets.coreml.mil_ops` lacks.
        """
        try:
            model = ct.models.MLModel(str(path), skip_model_load=True)
            spec = model.get_spec()
            self._image = spec.description.input[0].type.imageType
            self.function = load(spec, spec.specificationVersion, model.weights_dir).functions["main"]
        except Exception as error:  # protobuf, C++ and coremltools raise types of their own
            raise BackendError(f"coremltools cannot read {path}: {one_line(error, 200)}") from error
        self._constants: dict[Any, Any] = {}
        self._steps: list[_Step] = []
        for op in self.function.operations:
            if op.op_type == "const":
                self._constants[op.outputs[0]] = _constant(op.outputs[0].val)
                continue
            if op.op_type not in KERNELS:
                raise BackendError(f"{path} has the operator {op.op_type}, which targets/coreml/mil_ops.py lacks")
            step = KERNELS[op.op_type], op, op.inputs
            if op.op_type.startswith("constexpr_"):
                self._constants[op.outputs[0]] = _run(step, self._constants)
            else:
                self._steps.append(step)

    def require_interface(self, path: Path, card: Card) -> None:
        """Raises InputError unless the program maps the card's image to coords and scores of the card's types."""
        inputs = {name: tuple(value.shape) for name, value in self.function.inputs.items()}
        outputs = {value.name: tuple(value.shape) for value in self.function.outputs}
        says = {card.input.name: card.input.shape}, {output.name: output.shape for output in card.outputs}
        if (inputs, outputs) != says:
            raise InputError(f"{path} maps {inputs} to {outputs}, its card says {says[0]} to {says[1]}; export it again")
        image, answers = self._image, [("float32", output.shape) for output in card.outputs]
        card.require_interface(path, [("uint8", (1, image.height, image.width, 3))], answers)
        if (colour := image.ColorSpace.Name(image.colorSpace)) != card.input.colour:
            raise InputError(f"{path} takes an image in {colour}, its card says {card.input.colour}; export it again")

    @torch.no_grad()
    def __call__(self, **inputs: Tensor) -> dict[str, Tensor]:
        """Inputs by name -> outputs by name.

        Raises:
            BackendError: an operator failed, or has parameters that `targets.coreml.mil_ops` does not support.
        """
        values = {**self._constants, **{self.function.inputs[name]: value for name, value in inputs.items()}}
        for step in self._steps:
            values[step[1].outputs[0]] = _run(step, values)
        return {output.name: values[output] for output in self.function.outputs}


def _run(step: _Step, values: dict[Any, Any]) -> Tensor:
    kernel, op, inputs = step
    output = op.outputs[0]
    try:
        result = kernel(**{name: _value(var, values) for name, var in inputs.items()})
    except (NotImplementedError, TypeError, RuntimeError, ValueError) as error:
        raise BackendError(f"cannot evaluate {op.op_type} {op.name}: {one_line(error, 200)}") from error
    if tuple(result.shape) != tuple(output.shape):
        raise BackendError(f"{op.op_type} {op.name} gave {list(result.shape)}, the program says {list(output.shape)}")
    result = result.to(_DTYPES[output.dtype])
    return result.float() if result.is_floating_point() else result


def _value(var: Any, values: dict[Any, Any]) -> Any:
    return [values[part] for part in var] if isinstance(var, list | tuple) else values[var]


def _constant(value: Any) -> Any:
    """A constant of the program: numbers, strings and lists of integers as Python values, data as tensors."""
    if isinstance(value, np.ndarray) and value.dtype.kind in "fiu" and value.dtype != np.int32 and value.ndim:
        tensor = torch.from_numpy(np.array(value))
        return tensor.float() if tensor.is_floating_point() else tensor
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value
