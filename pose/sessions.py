"""ONNX and TFLite files of foreign networks, with one interface."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from pose.errors import BackendError, InputError, one_line


class Session(Protocol):
    """An opened network with one input.

    Attributes:
        input_shape: of the file; None for an axis of any length.
        input_dtype: of the array that `run` takes.
        outputs: names.
    """

    input_shape: tuple[int | None, ...]
    input_dtype: np.dtype
    outputs: tuple[str, ...]

    def run(self, batch: np.ndarray, names: list[str]) -> list[np.ndarray]:
        """The named outputs for one input array."""
        ...


def open_session(path: Path, threads: int = 1) -> Session:
    """Open a `.onnx` or `.tflite` file.

    Raises:
        InputError: no such file, another kind of file, or it cannot be read as a network with one input.
        BackendError: the runtime is not installed.
    """
    path = Path(path)
    kinds: dict[str, type[_Onnx] | type[_TFLite]] = {".onnx": _Onnx, ".tflite": _TFLite}
    if path.suffix not in kinds:
        raise InputError(f"{path} is neither .onnx nor .tflite; a foreign network is one of these")
    if not path.is_file():
        raise InputError(f"no model file {path}; give its path with --teacher-file, or set POSE_DATA to the data folder")
    try:
        return kinds[path.suffix](path, threads)
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
    raise BackendError(f"{modules[0].partition('.')[0]} is not installed; pip install distilpose-edge")


class _Onnx:
    _DTYPES = {"tensor(float)": "float32", "tensor(int32)": "int32", "tensor(uint8)": "uint8"}  # noqa: RUF012

    def __init__(self, path: Path, threads: int) -> None:
        ort = _import("onnxruntime")
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 4  # errors are raised as exceptions, too
        self._session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        inputs = self._session.get_inputs()
        if len(inputs) != 1 or inputs[0].type not in self._DTYPES:
            types = ", ".join(f"{i.name}: {i.type}" for i in inputs)
            raise InputError(f"{path} takes ({types}); a foreign network has one input of float32, int32 or uint8")
        self._input = inputs[0].name
        self.input_shape: tuple[int | None, ...] = tuple(side if isinstance(side, int) else None for side in inputs[0].shape)
        self.input_dtype = np.dtype(self._DTYPES[inputs[0].type])
        self.outputs = tuple(output.name for output in self._session.get_outputs())

    def run(self, batch: np.ndarray, names: list[str]) -> list[np.ndarray]:
        return self._session.run(names, {self._input: batch})


class _TFLite:
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
        self._outputs = {detail["name"]: detail["index"] for detail in self._interpreter.get_output_details()}
        self.outputs = tuple(self._outputs)

    def run(self, batch: np.ndarray, names: list[str]) -> list[np.ndarray]:
        self._interpreter.set_tensor(self._input, batch)
        self._interpreter.invoke()
        return [self._interpreter.get_tensor(self._outputs[name]) for name in names]
