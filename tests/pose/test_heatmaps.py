"""Outputs of foreign networks that are no heatmaps yet: logits, integers, joints of everybody in the crop."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import quantized_network as quantized
import yaml
from foreign_network import H, W, description, write_model
from quantized_network import SIDE

from pose.errors import InputError
from pose.foreign import HeatmapTeacher, load_teacher
from pose.heatmaps import HeatmapGrid, activate, gate, require_heatmaps, require_keypoints

JOINTS = ("a", "b", "c")


def teacher(folder: Path, held: dict[str, Any]) -> HeatmapTeacher:
    (folder / "three.yaml").write_text("joints: [a, b, c]\n")
    (folder / "mine.yaml").write_text(yaml.safe_dump(held))
    return load_teacher(folder / "mine.yaml")


def pictures(background: int = 10) -> np.ndarray:
    """One crop with a bright pixel in each colour."""
    image = np.full((1, SIDE, SIDE, 3), background, np.uint8)
    for colour in range(3):
        image[0, 2 + colour, 5 + 2 * colour, colour] = 250
    return image


@pytest.mark.parametrize(
    ("dtype", "scales", "zero_points"),
    [
        ("uint8", [1 / 256], [0]),
        ("int8", [1 / 256], [-128]),
        ("uint8", [1 / 256, 1 / 512, 1 / 300], [0, 10, 5]),
        ("int8", [1 / 256, 1 / 512, 1 / 300], [-128, -120, -100]),
    ],
)
def test_a_quantized_output_is_dequantized(tmp_path: Path, dtype: str, scales: list[float], zero_points: list[int]) -> None:
    quantized.write_tflite(tmp_path / "net.tflite", dtype, scales, zero_points)
    mine = teacher(tmp_path, quantized.description(dtype=dtype))
    stored = pictures().astype(np.float64) - (128 if dtype == "int8" else 0)
    expected = (stored - zero_points) * scales
    assert np.allclose(mine.heatmaps(pictures()), expected.transpose(0, 3, 1, 2), atol=1e-6)


def test_logits_in_integers_need_the_activation(tmp_path: Path) -> None:
    """As PoseNet's: integer 0 is a logit of -9, and 255 one of 3."""
    quantized.write_tflite(tmp_path / "net.tflite", "uint8", [12 / 255], [191])
    with pytest.raises(
        InputError, match=r"reach from -8.52 to 2.78, not from 0 to about 1; correct `activation` \(logits need"
    ):
        teacher(tmp_path, quantized.description()).heatmaps(pictures())
    maps = teacher(tmp_path, quantized.description(activation="sigmoid")).heatmaps(pictures())
    assert maps.max() == pytest.approx(1 / (1 + np.exp(-(250 - 191) * 12 / 255)), abs=1e-5)
    assert 0 <= maps.min() < 1e-3


def test_a_quantized_input_takes_what_its_file_gives_the_numbers(tmp_path: Path) -> None:
    quantized.write_tflite(tmp_path / "net.tflite", "int8", [1 / 256], [-128], input_step=(2 / 255, 0))
    held = quantized.description(dtype="int8")
    held["input"] |= {"mean": [127.5] * 3, "std": [127.5] * 3}
    same = np.abs(teacher(tmp_path, held).heatmaps(pictures()) - pictures().transpose(0, 3, 1, 2) / 256)
    assert same.max() <= 1.01 / 256  # one step
    held["input"]["std"] = [1.0] * 3
    with pytest.raises(InputError, match=r"takes -1 to 0.996, and mean and std of its YAML make -128 to 128 of the pixels"):
        teacher(tmp_path, held)


@pytest.mark.parametrize("dtype", ["uint8", "int8"])
def test_integers_of_onnx_are_refused_unless_described(tmp_path: Path, dtype: str) -> None:
    quantized.write_onnx(tmp_path / "net.onnx", dtype)
    held = quantized.description(dtype=dtype) | {"file": "net.onnx"}
    with pytest.raises(
        InputError, match=rf"'maps' is {dtype}, and the file does not say .*; describe them by heatmaps.zero"
    ):
        teacher(tmp_path, held)
    zero_points = [0, 3, 7] if dtype == "uint8" else [-128, -125, -121]
    held["heatmaps"] |= {"zero_point": zero_points, "scale": [1 / 256, 1 / 300, 1 / 400]}
    expected = (pictures() - np.array([0.0, 3, 7])) / [256, 300, 400]
    assert np.allclose(teacher(tmp_path, held).heatmaps(pictures()), expected.transpose(0, 3, 1, 2), atol=1e-6)
    held["input"] |= {"mean": [1, 1, 1]}
    with pytest.raises(InputError, match="does not say what its integers mean; leave mean and std out"):
        teacher(tmp_path, held)


def test_integers_that_a_tflite_file_does_not_explain_are_refused(tmp_path: Path) -> None:
    quantized.write_tflite(tmp_path / "net.tflite", "uint8")
    with pytest.raises(InputError, match="'maps' is uint8, and the file does not say"):
        teacher(tmp_path, quantized.description())


def test_a_published_int8_network(pose_data: Path, tmp_path: Path) -> None:
    path = pose_data / "movenet" / "movenet-lightning-int8.tflite"
    if not path.is_file():
        pytest.skip("$POSE_DATA holds no movenet-lightning-int8.tflite")
    lightning = load_teacher("movenet_lightning", folder=pose_data)
    held = {
        "skeleton": "coco17",
        "file": str(path),
        "input": {"width": 192, "height": 192, "dtype": "int8", "mean": [127.5] * 3, "std": [127.5] * 3},
        "heatmaps": {
            "output": "serving_default_kpt_heatmap_output",
            "offset": 0.5,
            "joints": list(lightning.skeleton.joints),
        },
    }
    (tmp_path / "int8.yaml").write_text(yaml.safe_dump(held))
    crop = np.random.default_rng(0).integers(0, 256, (1, 192, 192, 3), np.uint8)
    maps = load_teacher(tmp_path / "int8.yaml").heatmaps(crop)
    assert maps.shape == (1, 17, 48, 48)
    assert 0 <= maps.min() <= maps.max() <= 1


@pytest.mark.parametrize(
    ("low", "high", "message"),
    [
        (-12, 2, "reach from -12 to 2"),
        (-68, 3, "reach from -68 to 3"),
        (0, 255, "reach from 0 to 255"),
        (-3, 1, "reach from -3 to 1"),
        (0.5, 0.73, "3 of 3 joints are sure .* 'a' first"),  # a sigmoid of what was in 0..1 already
        (0.9, 1, "3 of 3 joints are sure"),
    ],
)
def test_what_is_no_heatmap_is_refused(low: float, high: float, message: str) -> None:
    maps = np.full((1, 3, 12, 12), low, np.float32)
    maps[..., 4, 5] = high
    with pytest.raises(InputError, match=message) as caught:
        require_heatmaps(maps, JOINTS, "teacher 'x'")
    assert "\n" not in str(caught.value)


def test_one_joint_that_is_sure_everywhere_is_named() -> None:
    maps = np.zeros((2, 3, 12, 12), np.float32)
    maps[:, 1] = 0.4
    with pytest.raises(InputError, match=r"1 of 3 joints are sure .* 'b' first"):
        require_heatmaps(maps, JOINTS, "teacher 'x'")


def test_regressed_heatmaps_may_leave_the_range_a_little() -> None:
    maps = np.full((1, 3, 12, 12), -0.04, np.float32)
    maps[..., 3:6, 3:6] = 1.1
    require_heatmaps(maps, JOINTS, "teacher 'x'")


def test_own_keypoints_in_pixels_and_logits_for_scores_are_refused() -> None:
    coords, scores = np.full((1, 3, 2), 0.4), np.full((1, 3), 0.7)
    require_keypoints(coords, scores, "teacher 'x'")
    with pytest.raises(InputError, match=r"keypoints reach to 76.8; they must be in 0..1 of the crop, not pixels"):
        require_keypoints(coords * 192, scores, "teacher 'x'")
    with pytest.raises(InputError, match=r"scores .* reach from 0.7 to 3.2, not from 0 to 1"):
        require_keypoints(coords, np.array([[0.7, 2, 3.2]]), "teacher 'x'")


def test_the_sigmoid() -> None:
    logits = np.array([-200, -2, 0, 3, 200], np.float32)
    assert np.allclose(activate(logits, "sigmoid"), [0, 0.119203, 0.5, 0.952574, 1], atol=1e-6)
    assert activate(logits, "none") is logits


def blob(x: float, y: float, peak: float, size: tuple[int, int], sigma: float = 2) -> np.ndarray:
    columns, rows = np.meshgrid(np.arange(size[0]), np.arange(size[1]))
    return (peak * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * sigma**2))).astype(np.float32)


@pytest.mark.parametrize("grid", [HeatmapGrid(0.5), HeatmapGrid(), HeatmapGrid(corners=(192, 256))])
@pytest.mark.parametrize("neighbour", [(30, 40), (24, 20), (12, 34)])
def test_a_neighbours_stronger_joint_is_not_the_target(grid: HeatmapGrid, neighbour: tuple[int, int]) -> None:
    size, own = (48, 64), np.array([12.0, 20.0])
    maps = np.maximum(blob(*own, 0.4, size), blob(*neighbour, 1.0, size))[None, None]
    coords = ((own + grid.offset) / grid.steps(*size))[None, None]
    gated = gate(maps, coords, grid)
    row, column = divmod(int(gated[0, 0].argmax()), size[0])
    assert (column, row) == tuple(own)
    assert gated[0, 0, int(own[1]), int(own[0])] == pytest.approx(0.4, rel=1e-3)  # its own heat is kept
    assert gated[0, 0, neighbour[1], neighbour[0]] < 0.01
    near = np.abs(gated - maps)[0, 0, 18:23, 10:15]
    assert near.max() < 0.01


def test_a_joint_that_only_the_neighbour_shows_has_no_heat() -> None:
    maps = blob(40, 50, 1.0, (48, 64))[None, None]
    assert gate(maps, np.array([[[0.2, 0.3]]]), HeatmapGrid()).max() < 1e-6


def test_a_teacher_with_keypoints_of_its_own_shows_one_person(tmp_path: Path) -> None:
    """Two bright people: the network's keypoints choose the one on the left, whose light is weaker."""
    write_model(tmp_path / "net.onnx")
    image = np.zeros((1, H, W, 3), np.uint8)
    image[0, 20, 4], image[0, 20, 28] = 100, 255  # columns 1 and 7 of 8, row 5 of 12
    everybody = teacher(tmp_path, description()).heatmaps(image)
    assert everybody.argmax(-1)[0, 0, 5] == 7
    held = description(keypoints={"output": "points", "order": "xys"}, heatmaps__offset=0.0)
    maps, coords, _ = teacher(tmp_path, held).observe(image)
    joint = 0  # its keypoint is at channel 15: (0.15, 0.30), column 1.2 and row 3.6
    assert np.allclose(coords[0, joint], [0.15, 0.30])
    assert np.unravel_index(maps[0, joint].argmax(), maps.shape[2:]) == (5, 1)
    assert maps[0, joint, 5, 7] == 0
