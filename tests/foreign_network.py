"""A heatmap network of somebody else's, as small as can be: its heatmaps are its picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pose.skeleton import LSP_14

onnx = pytest.importorskip("onnx", reason="foreign teachers need the extra 'train'")
pytest.importorskip("onnxruntime", reason="foreign teachers need the extra 'train'")

W, H = 32, 48


def write_model(
    path: Path, *, channels: int = 15, batch: int | str = 1, layout: str = "NHWC", strength: float = 1.0
) -> None:
    """A network whose heatmaps are the first colour's plane at stride 4, times channel + 1 and `strength`.

    Its input is the pixels, or what the YAML makes of them. Its `points` are fixed, with scores in 0..1.
    """
    helper, kinds = onnx.helper, onnx.TensorProto
    shape = [batch, H, W, 3] if layout == "NHWC" else [batch, 3, H, W]
    numbers = (np.arange(channels) + 1).astype(np.float32)
    points = np.stack([numbers / 100, numbers / 50, numbers / 20], -1)[None, None]
    starts, ends, axes, steps = ([0, 0, 0], [H, W, 1], [1, 2, 3], [4, 4, 1])
    values = {"gains": numbers * np.float32(strength), "points_value": points}
    values |= {k: np.array(v, np.int64) for k, v in (("starts", starts), ("ends", ends), ("axes", axes), ("steps", steps))}
    nodes = [helper.make_node("Transpose", ["image"], ["nhwc"], perm=[0, 2, 3, 1] if layout == "NCHW" else [0, 1, 2, 3]),
             helper.make_node("Slice", ["nhwc", "starts", "ends", "axes", "steps"], ["plane"]),
             helper.make_node("Mul", ["plane", "gains"], ["maps"]),
             helper.make_node("Identity", ["points_value"], ["points"])]  # fmt: skip
    outputs = [helper.make_tensor_value_info(name, kinds.FLOAT, None) for name in ("maps", "points")]
    inputs = [helper.make_tensor_value_info("image", kinds.FLOAT, shape)]
    constants = [onnx.numpy_helper.from_array(value, name) for name, value in values.items()]
    graph = helper.make_graph(nodes, "teacher", inputs, outputs, constants)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)


def description(**changes: Any) -> dict[str, Any]:
    """The YAML of that network: channel 0 is a background, then LSP's joints in reverse."""
    held: dict[str, Any] = {
        "skeleton": "lsp14",
        "file": "net.onnx",
        "input": {"width": W, "height": H},
        "heatmaps": {"output": "maps", "joints": [None, *reversed(LSP_14.joints)], "offset": 0.25, "scale": 1 / 20000},
        "decode": {"method": "argmax"},
    }
    for dotted, value in changes.items():
        *path, last = dotted.split("__")
        inner = held
        for step in path:
            inner = inner[step]
        inner[last] = value
    return held
