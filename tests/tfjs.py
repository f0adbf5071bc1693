"""A TensorFlow.js graph model -> ONNX: of the operators that a detector of the npm package human-models needs."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

_PLAIN = {"Add": "Add", "AddV2": "Add", "Mul": "Mul", "Sub": "Sub", "Relu": "Relu", "Sigmoid": "Sigmoid",
          "Identity": "Identity", "FloorDiv": "Div", "FloorMod": "Mod", "Equal": "Equal"}  # fmt: skip
_TYPES = {1: TensorProto.FLOAT, 3: TensorProto.INT32, 9: TensorProto.INT64, 10: TensorProto.BOOL}
_DTYPES = {"DT_FLOAT": 1, "DT_INT32": 3, "DT_INT64": 9, "DT_BOOL": 10}


def to_onnx(model: Path, output: str, shape: tuple[int, ...]) -> onnx.ModelProto:
    """The model with its input `images` float32 [1, H, W, 3] and one output of that name and shape.

    Args:
        model: the json; its weights lie beside it.
    """
    return _Converter(model).convert(output, shape)


class _Converter:
    def __init__(self, model: Path) -> None:
        held = json.loads(model.read_text())
        self._nodes = held["modelTopology"]["node"]
        self._constants = _weights(model.parent, held["weightsManifest"])
        self._made: list[onnx.NodeProto] = []
        self._extra: dict[str, np.ndarray] = {}

    def convert(self, output: str, shape: tuple[int, ...]) -> onnx.ModelProto:
        for node in self._nodes:
            if node["op"] not in ("Const", "Placeholder"):
                self._node(node)
        (source,) = (node for node in self._nodes if node["op"] == "Placeholder")
        sides = [int(one["size"]) for one in source["attr"]["shape"]["shape"]["dim"]]
        graph = helper.make_graph(
            self._made,
            "converted",
            [helper.make_tensor_value_info(source["name"], TensorProto.FLOAT, sides)],
            [helper.make_tensor_value_info(output, TensorProto.FLOAT, shape)],
            [numpy_helper.from_array(value, name) for name, value in {**self._constants, **self._extra}.items()],
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)

    def _add(self, kind: str, inputs: list[str], outputs: list[str] | str, **attributes: Any) -> str:
        names = [outputs] if isinstance(outputs, str) else outputs
        self._made.append(helper.make_node(kind, inputs, names, **attributes))
        return names[0]

    def _constant(self, value: Any) -> str:
        name = f"constant_{len(self._extra)}"
        self._extra[name] = np.asarray(value)
        return name

    def _node(self, node: dict[str, Any]) -> None:
        kind, name, attributes = node["op"], node["name"], node.get("attr", {})
        inputs = [one.removesuffix(":0") for one in node["input"] if not one.startswith("^")]
        if kind in _PLAIN:
            self._add(_PLAIN[kind], inputs, name)
        elif kind == "Relu6":
            self._add("Clip", [inputs[0], self._constant(np.float32(0)), self._constant(np.float32(6))], name)
        elif "onv2" in kind.lower() or kind == "MaxPool":
            self._spatial(kind, name, inputs, attributes)
        elif kind == "ResizeBilinear":
            self._resize(name, inputs, attributes)
        elif kind == "Mean":
            axes = self._constant(self._constants[inputs[1]].astype(np.int64).reshape(-1))
            self._add("ReduceMean", [inputs[0], axes], name, keepdims=int(attributes["keep_dims"]["b"]))
        elif kind == "ConcatV2":
            self._add("Concat", inputs[:-1], name, axis=int(self._constants[inputs[-1]]))
        elif kind == "Reshape":
            self._add("Reshape", [inputs[0], self._constant(self._constants[inputs[1]].astype(np.int64))], name)
        elif kind == "ExpandDims":
            axes = self._constant(self._constants[inputs[1]].astype(np.int64).reshape(-1))
            self._add("Unsqueeze", [inputs[0], axes], name)
        elif kind == "Cast":
            self._add("Cast", inputs, name, to=_TYPES[_DTYPES[attributes["DstT"]["type"]]])
        elif kind == "StridedSlice":
            self._slice(name, inputs, attributes)
        elif kind == "TopKV2":
            count = self._constant(self._constants[inputs[1]].astype(np.int64).reshape(1))
            self._add("TopK", [inputs[0], count], [name, f"{name}_indices"])
            self._add("Cast", [f"{name}_indices"], f"{name}:1", to=TensorProto.INT32)
        elif kind == "GatherV2":
            self._add("Gather", inputs[:2], name, axis=int(self._constants[inputs[2]]))
        else:
            raise NotImplementedError(kind)

    def _spatial(self, kind: str, name: str, inputs: list[str], attributes: dict[str, Any]) -> None:
        same = base64.b64decode(attributes["padding"]["s"]) == b"SAME"
        common = {"strides": _middle(attributes["strides"]), "auto_pad": "SAME_UPPER" if same else "VALID"}
        if kind == "MaxPool":
            shape = _middle(attributes["ksize"])
            self._nchw(name, inputs[0], lambda x, y: self._add("MaxPool", [x], y, kernel_shape=shape, **common))
            return
        weights = self._constants[inputs[1]]  # [h, w, in, out]; of a depthwise one [h, w, in, 1]
        group = weights.shape[2] if "epthwise" in kind else 1
        kernel = self._constant(weights.transpose(2, 3, 0, 1) if group > 1 else weights.transpose(3, 2, 0, 1))
        fused = [base64.b64decode(one).decode() for one in attributes.get("fused_ops", {}).get("list", {}).get("s", [])]
        last = f"{name}_linear" if fused[1:] else name
        bias = inputs[2:3] if fused[:1] == ["BiasAdd"] else []
        self._nchw(last, inputs[0], lambda x, y: self._add("Conv", [x, kernel, *bias], y, group=group, **common))
        if fused[1:]:
            self._node({"op": fused[1], "name": name, "input": [last]})

    def _resize(self, name: str, inputs: list[str], attributes: dict[str, Any]) -> None:
        sizes = np.array([1, 0, *self._constants[inputs[1]]])
        mode = "half_pixel" if attributes["half_pixel_centers"]["b"] else "asymmetric"

        def make(x: str, y: str) -> str:
            names = [x, "", "", self._sizes(x, sizes)]
            return self._add("Resize", names, y, mode="linear", coordinate_transformation_mode=mode)

        self._nchw(name, inputs[0], make)

    def _nchw(self, name: str, source: str, make: Any) -> None:
        channels_first = self._add("Transpose", [source], f"{name}_in", perm=[0, 3, 1, 2])
        self._add("Transpose", [make(channels_first, f"{name}_out")], name, perm=[0, 2, 3, 1])

    def _sizes(self, tensor: str, sizes: np.ndarray) -> str:
        """`sizes` with the tensor's own number of channels."""
        channels = self._add("Shape", [tensor], f"{tensor}_channels", start=1, end=2)
        parts = [self._constant(sizes[:1].astype(np.int64)), channels, self._constant(sizes[2:].astype(np.int64))]
        return self._add("Concat", parts, f"{tensor}_sizes", axis=0)

    def _slice(self, name: str, inputs: list[str], attributes: dict[str, Any]) -> None:
        begin, end, step = (self._constants[one].astype(np.int64) for one in inputs[1:4])
        masks = {key: int(attributes[f"{key}_mask"]["i"]) for key in ("begin", "end", "shrink_axis")}
        axes = np.arange(len(begin))
        begin = np.where([masks["begin"] >> axis & 1 for axis in axes], 0, begin)
        end = np.where([masks["end"] >> axis & 1 for axis in axes], np.iinfo(np.int64).max, end)
        dropped = [axis for axis in axes if masks["shrink_axis"] >> axis & 1]
        sliced = f"{name}_kept" if dropped else name
        self._add("Slice", [inputs[0], *map(self._constant, (begin, end, axes, step))], sliced)
        if dropped:
            self._add("Squeeze", [sliced, self._constant(np.array(dropped, np.int64))], name)


def _middle(attribute: dict[str, Any]) -> list[int]:
    """Height and width of an attribute that is for N, H, W and C."""
    return [int(one) for one in attribute["list"]["i"][1:3]]


def _weights(folder: Path, manifest: list[dict[str, Any]]) -> dict[str, np.ndarray]:
    arrays = {}
    for group in manifest:
        content, place = b"".join((folder / path).read_bytes() for path in group["paths"]), 0
        for entry in group["weights"]:
            stored = np.dtype(entry.get("quantization", {}).get("dtype", entry["dtype"]))
            count = int(np.prod(entry["shape"]))
            values = np.frombuffer(content, stored, count, place).reshape(entry["shape"])
            arrays[entry["name"]] = values.astype(entry["dtype"])
            place += count * stored.itemsize
    return arrays
