"""Teachers whose outputs are two distributions a joint become heatmaps, through their YAML alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from pose.errors import InputError
from pose.foreign import load_teacher
from pose.simcc import SimCCTeacher, profile
from pose.skeleton import LSP_14

onnx = pytest.importorskip("onnx", reason="foreign teachers need the extra 'train'")

W, H, SPLIT = 32, 48, 2


def write_model(path: Path, split: float = SPLIT, logits: bool = False) -> None:
    """A network whose distributions are the brightest row and column of its red plane, each pixel twice, for all joints."""
    helper, kinds = onnx.helper, onnx.TensorProto
    nodes = [helper.make_node("Slice", ["image", "zero", "one", "axis"], ["red"])]
    for name, axis in (("simcc_x", 2), ("simcc_y", 3)):
        nodes += [
            helper.make_node("ReduceMax", ["red"], [f"{name}_line"], axes=[axis], keepdims=0),
            helper.make_node("Unsqueeze", [f"{name}_line", "last"], [f"{name}_bins"]),
            helper.make_node("Expand", [f"{name}_bins", "twice"], [f"{name}_twice"]),
            helper.make_node("Reshape", [f"{name}_twice", "flat"], [f"{name}_flat"]),
            helper.make_node("Mul", [f"{name}_flat", "gains"], [name]),
        ]
    gains = np.full((1, 15, 1), 20.0 if logits else 1.0, np.float32)
    values = {"zero": [0], "one": [1], "axis": [1], "last": [-1], "twice": [1, 1, 1, int(split)], "flat": [0, 0, -1]}
    constants = [onnx.numpy_helper.from_array(np.array(value, np.int64), name) for name, value in values.items()]
    constants.append(onnx.numpy_helper.from_array(gains, "gains"))
    inputs = [helper.make_tensor_value_info("image", kinds.FLOAT, ["n", 3, H, W])]
    outputs = [helper.make_tensor_value_info(name, kinds.FLOAT, None) for name in ("simcc_x", "simcc_y")]
    graph = helper.make_graph(nodes, "simcc", inputs, outputs, constants)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=9), path)


def teacher(folder: Path, logits: bool = False, **changes: Any) -> SimCCTeacher:
    write_model(folder / "net.onnx", logits=logits)
    held: dict[str, Any] = {
        "skeleton": "lsp14",
        "file": "net.onnx",
        "input": {"width": W, "height": H, "layout": "NCHW", "std": [255.0, 255.0, 255.0]},
        "simcc": {"x": "simcc_x", "y": "simcc_y", "joints": [*LSP_14.joints, None]} | changes,
    }
    (folder / "mine.yaml").write_text(yaml.safe_dump(held))
    opened = load_teacher(folder / "mine.yaml")
    assert isinstance(opened, SimCCTeacher)
    return opened


def picture(*points: tuple[int, int, int]) -> np.ndarray:
    """One crop with pixels (x, y) of a red value."""
    crops = np.zeros((1, H, W, 3), np.uint8)
    for x, y, red in points:
        crops[0, y, x, 0] = red
    return crops


def test_the_heatmap_has_its_peak_at_the_highest_bins(tmp_path: Path) -> None:
    heatmaps, coords, scores = teacher(tmp_path).observe(picture((12, 20, 204)))
    assert heatmaps.shape == (1, 14, 12, 8)
    assert np.allclose(coords, [12 / W, 20 / H])
    assert np.allclose(scores, 0.8)
    rows, columns = np.mgrid[:12, :8]
    # two bins of each pixel are half a pixel apart: on either side of the joint, the nearer one counts
    distance = [np.minimum(abs(grid - at / 4), abs(grid - (at + 0.5) / 4)) for grid, at in ((columns, 12), (rows, 20))]
    expected = 0.8**2 * np.exp(-(distance[0] ** 2 + distance[1] ** 2) / (2 * 2.0**2))
    assert np.abs(heatmaps[0, 3] - expected).max() < 0.01


def test_of_several_peaks_each_is_kept() -> None:
    values = np.zeros((1, 1, 128), np.float32)
    values[..., 16], values[..., 96] = 0.9, 0.4
    cells = profile(values, split=2.0, cells=16)
    assert cells[0, 0, 2] == pytest.approx(0.9)
    assert cells[0, 0, 12] == pytest.approx(0.4)
    assert cells[0, 0, 7] < 0.05


def test_logits_need_a_softmax(tmp_path: Path) -> None:
    crops = picture((12, 20, 255))
    with pytest.raises(InputError, match=r"'mine' .*: its heatmaps reach from 0.\d+ to 400, .* `activation` or `scale`"):
        teacher(tmp_path, logits=True).observe(crops)
    heatmaps, coords, scores = teacher(tmp_path, logits=True, activation="softmax", scale=2.0).observe(crops)
    assert np.allclose(coords, [12 / W, 20 / H])
    assert np.allclose(scores, 1.0, atol=1e-3)  # two bins have the same probability
    assert heatmaps.max() == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"split": 3.0}, r"output 'simcc_x' is \[1, 15, 64\], not \[1, 15, 96\]: joints, and width \* split bins"),
        ({"y": "other"}, r"has no output 'other'; its outputs are: simcc_x, simcc_y"),
        ({"joints": [None, *LSP_14.joints[1:], None]}, r"simcc.joints must hold each joint of lsp14 once; look at"),
        ({"activation": "sigmoid"}, r"simcc.activation"),
    ],
)
def test_a_wrong_description_is_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        teacher(tmp_path, **changes)


def test_outputs_are_described_once(tmp_path: Path) -> None:
    teacher(tmp_path)
    held = yaml.safe_load((tmp_path / "mine.yaml").read_text())
    both = held | {"heatmaps": {"output": "maps", "joints": list(LSP_14.joints)}}
    for wrong, message in (
        (both, "as heatmaps or as simcc, one of the two"),
        ({key: value for key, value in held.items() if key != "simcc"}, "as heatmaps or as simcc, one of the two"),
        (held | {"decode": {"method": "dark"}}, "decode and keypoints are for heatmaps"),
    ):
        (tmp_path / "mine.yaml").write_text(yaml.safe_dump(wrong))
        with pytest.raises(InputError, match=message):
            load_teacher(tmp_path / "mine.yaml")
