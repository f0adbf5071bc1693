"""ONNX and TFLite files of foreign networks, with one interface; outputs that a TFLite file quantizes are dequantized."""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from pose.errors import BackendError, InputError, one_line
from pose.files import require_regular
from pose.installed import install_command
from pose.onnx_graph import require_plain
from pose.trial import require_harmless


@dataclass(frozen=True)
class Steps:
    """Quantization of a tensor: value = (integer - zero_point) * scale, each float64 [1] or one for each index of `axis`."""

    scale: np.ndarray
    zero_point: np.ndarray
    axis: int

    def values(self, integers: np.ndarray) -> np.ndarray:
        """The numbers float32 that integers of any type stand for."""
        exact = np.dtype(np.float32 if integers.itemsize < 4 else np.float64)  # holds such integers without rounding
        scale, zero_point = (self._along(part, integers.ndim).astype(exact) for part in (self.scale, self.zero_point))
        numbers: np.ndarray = (integers.astype(exact) - zero_point) * scale
        return numbers.astype(np.float32, copy=False)

    def integers(self, values: np.ndarray, dtype: np.dtype) -> np.ndarray:
        """The nearest integers of that type; values beyond its range become its ends."""
        scale, zero_point = (self._along(part, values.ndim) for part in (self.scale, self.zero_point))
        ends = np.iinfo(dtype)
        return np.clip(np.round(values / scale + zero_point), ends.min, ends.max).astype(dtype)

    def _along(self, part: np.ndarray, dimensions: int) -> np.ndarray:
        shape = [1] * dimensions
        shape[self.axis] = part.size
        return part.reshape(shape)


class Session(Protocol):
    """An opened network with one input.

    Attributes:
        input_shape: of the file; None for an axis of any length.
        input_dtype: of the array that `run` takes.
        input_steps: how the file quantizes its input; None where it does not say.
        outputs: name -> type of the array that `run` gives: of a quantized output whose file says how, float32.
    """

    input_shape: tuple[int | None, ...]
    input_dtype: np.dtype
    input_steps: Steps | None
    outputs: dict[str, np.dtype]

    def call(self, batch: np.ndarray, names: Sequence[str]) -> list[np.ndarray]:
        """The named outputs for one input array, of the types that the file has: what a runtime is timed with."""
        ...

    def values(self, name: str, output: np.ndarray) -> np.ndarray:
        """The numbers that `call` gave for a named output, dequantized where the file says how."""
        ...

    def run(self, batch: np.ndarray, names: Sequence[str]) -> list[np.ndarray]:
        """The numbers of the named outputs for one input array."""
        ...


class MissingModelError(InputError):
    """There is no model file at `path`."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"no model file {path}; give its path with --teacher-file, or set POSE_DATA to the data folder")
        self.path = path


def open_session(path: Path, threads: int = 1) -> Session:
    """Open a `.onnx` or `.tflite` file, which was run once in a process of its own before (`pose.trial`).

    Raises:
        InputError: no such file, another kind of file, or it cannot be read as a network with one input.
        BackendError: the runtime is not installed, or crashes on the file.
    """
    path = Path(path)
    if path.suffix not in _KINDS:
        raise InputError(f"{path} is neither .onnx nor .tflite; a foreign network is one of these")
    if not path.is_file():
        raise MissingModelError(path)
    require_regular(path)
    require_harmless(path)
    return open_untried(path, threads)


def open_untried(path: Path, threads: int = 1) -> Session:
    """See `open_session`; a file that crashes its runtime ends this process."""
    try:
        return _KINDS[path.suffix](path, threads)
    except (InputError, BackendError):
        raise
    except Exception as error:  # the runtimes raise exceptions of their own for a file that they cannot read
        raise InputError(f"cannot open {path} as a model ({one_line(error, 200)}); is it truncated?") from error


def _import(*modules: str) -> Any:
    for module in modules:
        try:
            return importlib.import_module(module)
        except ImportError:
            continue
    name = modules[0].partition(".")[0]
    raise BackendError(f"{name} is not installed; {install_command(name)}")


class _Session(ABC):
    """What both runtimes share."""

    @abstractmethod
    def call(self, batch: np.ndarray, names: Sequence[str]) -> list[np.ndarray]:
        """See `Session.call`."""

    def values(self, name: str, output: np.ndarray) -> np.ndarray:
        """See `Session.values`."""
        return output

    def run(self, batch: np.ndarray, names: Sequence[str]) -> list[np.ndarray]:
        """See `Session.run`."""
        return [self.values(name, output) for name, output in zip(names, self.call(batch, names), strict=True)]


class _Onnx(_Session):
    _INPUTS = ("float32", "int32", "uint8", "int8")
    _CAST = ("float16", "float64")  # are given float32 numbers, in their own type
    input_steps: Steps | None = None  # an ONNX file holds its quantization as operators

    def __init__(self, path: Path, threads: int) -> None:
        ort = _import("onnxruntime")
        require_plain(_import("onnx").load(path, load_external_data=False), path)
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 4  # errors are raised as exceptions, too
        self._session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        inputs = self._session.get_inputs()
        if len(inputs) != 1 or _onnx_dtype(inputs[0].type) not in (*self._INPUTS, *self._CAST):
            types = ", ".join(f"{i.name}: {i.type}" for i in inputs)
            raise InputError(f"{path} takes ({types}); a foreign network has one input of {', '.join(self._INPUTS)}")
        self._input = inputs[0].name
        self.input_shape: tuple[int | None, ...] = tuple(side if isinstance(side, int) else None for side in inputs[0].shape)
        self._taken = _onnx_dtype(inputs[0].type)
        self.input_dtype = np.dtype(np.float32) if self._taken in self._CAST else self._taken
        self.outputs = {output.name: _onnx_dtype(output.type) for output in self._session.get_outputs()}

    def call(self, batch: np.ndarray, names: Sequence[str]) -> list[np.ndarray]:
        outputs: list[np.ndarray] = self._session.run(names, {self._input: batch.astype(self._taken, copy=False)})
        return outputs


class _TFLite(_Session):
    def __init__(self, path: Path, threads: int) -> None:
        runtime = _import("ai_edge_litert.interpreter", "tflite_runtime.interpreter")
        self._interpreter = runtime.Interpreter(model_content=path.read_bytes(), num_threads=threads)
        self._interpreter.allocate_tensors()
        inputs = self._interpreter.get_input_details()
        if len(inputs) != 1:
            raise InputError(f"{path} has {len(inputs)} inputs; a foreign network has one")
        self._input = inputs[0]["index"]
        self.input_shape: tuple[int | None, ...] = tuple(int(side) for side in inputs[0]["shape"])
        self.input_dtype = np.dtype(inputs[0]["dtype"])
        self.input_steps = _tflite_steps(inputs[0])
        details = self._interpreter.get_output_details()
        self._outputs = {detail["name"]: (detail["index"], _tflite_steps(detail)) for detail in details}
        self.outputs = {
            detail["name"]: np.dtype(np.float32 if _tflite_steps(detail) else detail["dtype"]) for detail in details
        }

    def call(self, batch: np.ndarray, names: Sequence[str]) -> list[np.ndarray]:
        self._interpreter.set_tensor(self._input, batch)
        self._interpreter.invoke()
        return [self._interpreter.get_tensor(self._outputs[name][0]) for name in names]

    def values(self, name: str, output: np.ndarray) -> np.ndarray:
        steps = self._outputs[name][1]
        return steps.values(output) if steps else output


_KINDS: dict[str, type[_Onnx] | type[_TFLite]] = {".onnx": _Onnx, ".tflite": _TFLite}


def _tflite_steps(detail: dict[str, Any]) -> Steps | None:
    """The quantization of a tensor by its details; None of a float one, and of integers that the file does not explain."""
    parameters = detail["quantization_parameters"]
    scales = np.asarray(parameters["scales"], np.float64)
    if not np.issubdtype(detail["dtype"], np.integer) or scales.size == 0:
        return None
    return Steps(scales, np.asarray(parameters["zero_points"], np.float64), int(parameters["quantized_dimension"]))


def _onnx_dtype(name: str) -> np.dtype:
    """Of `tensor(float)`, ...; `object` of what is no array of numbers."""
    names = {"float": "float32", "double": "float64"}
    inside = name.removeprefix("tensor(").removesuffix(")")
    try:
        return np.dtype(names.get(inside, inside))
    except TypeError:
        return np.dtype(object)
