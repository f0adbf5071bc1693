from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import yaml
from foreign_network import H, W, description, write_model

from pose import files, foreign
from pose.errors import BackendError, InputError
from pose.foreign import load_teacher
from pose.skeleton import AIC_14, LSP_14


def teacher(folder: Path, held: Any, **model: Any) -> foreign.HeatmapTeacher:
    if not (folder / "net.onnx").exists():
        write_model(folder / "net.onnx", **model)
    (folder / "mine.yaml").write_text(yaml.safe_dump(held))
    return load_teacher(folder / "mine.yaml")


def crops(n: int = 3) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, H, W, 3), np.uint8)


@pytest.mark.parametrize("batch", [1, 2, 4, "n"])  # of three crops
@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
@pytest.mark.parametrize("colour", ["RGB", "BGR"])
def test_heatmaps_are_in_the_skeletons_order(tmp_path: Path, batch: int | str, layout: str, colour: str) -> None:
    pixels = {"input__layout": layout, "input__colour": colour, "input__mean": [10, 20, 30], "input__std": [2, 4, 8]}
    mine = teacher(tmp_path, description(**pixels), batch=batch, layout=layout)
    images = crops()
    plane = {"RGB": (images[..., 0] - 10.0) / 2, "BGR": (images[..., 2] - 30.0) / 8}[colour]
    gains = 15 - np.arange(14)  # joint k is channel 14 - k
    expected = plane[:, None, ::4, ::4] / 20000 * gains[:, None, None]
    assert np.allclose(mine.heatmaps(images), expected)
    assert (mine.crop.width, mine.crop.height, mine.crop.padding) == (W, H, 1.25)


@pytest.mark.parametrize("dtype", ["FLOAT16", "DOUBLE"])
def test_a_float_input_of_another_width_takes_the_same_numbers(dtype: str, tmp_path: Path) -> None:
    images = crops()
    expected = teacher(tmp_path, description()).heatmaps(images)
    held, kinds = onnx.load(tmp_path / "net.onnx"), onnx.TensorProto
    held.graph.input[0].type.tensor_type.elem_type = getattr(kinds, dtype)
    held.graph.input[0].name = "narrow"
    held.graph.node.insert(0, onnx.helper.make_node("Cast", ["narrow"], ["image"], to=kinds.FLOAT))
    onnx.save(held, tmp_path / "net.onnx")
    assert np.array_equal(teacher(tmp_path, description()).heatmaps(images), expected)  # whole pixels fit into float16


def test_decoding_follows_the_yaml(tmp_path: Path) -> None:
    mine = teacher(tmp_path, description())
    images = np.zeros((1, H, W, 3), np.uint8)
    images[0, 20, 8] = 100  # heatmap row 5, column 2
    coords, scores = mine.predict(images)
    assert np.allclose(coords, [2.25 / 8, 5.25 / 12])
    assert np.allclose(scores, (15 - np.arange(14)) / 200)
    again = mine.decode(mine.heatmaps(images))
    assert np.array_equal(coords, again[0])
    assert np.array_equal(scores, again[1])


def test_a_grid_of_corners_places_the_first_and_the_last_cell_on_the_crops_edge_pixels(tmp_path: Path) -> None:
    """8 x 12 cells over 32 x 48 pixels: (32 - 1) / (8 - 1) and (48 - 1) / (12 - 1) pixels apart."""
    mine = teacher(tmp_path, description(heatmaps__grid="corners", heatmaps__offset=0.0))
    for column, row in ((0, 0), (2, 5), (7, 11)):
        image = np.zeros((1, H, W, 3), np.uint8)
        image[0, 4 * row, 4 * column] = 100
        coords, _ = mine.predict(image)
        assert np.allclose(coords * [W, H], [column * 31 / 7, row * 47 / 11], atol=1e-4)


def test_own_keypoints(tmp_path: Path) -> None:
    mine = teacher(tmp_path, description(keypoints={"output": "points", "order": "yxs"}))
    coords, scores = mine.predict(crops(2))
    channel = 14 - np.arange(14) + 1
    assert np.allclose(coords, np.stack([channel / 50, channel / 100], -1))
    assert np.allclose(scores, channel / 20)


WRONG = {
    "no such heatmap output": (description(heatmaps__output="heat"), r"no output 'heat'; its outputs are: maps, points"),
    "no such keypoint output": (description(keypoints={"output": "kp"}), r"no output 'kp'; its outputs are: maps, points"),
    "size": (description(input__width=64), r"takes float32\[1, 48, 32, 3\], its YAML says float32\[1, 48, 64, 3\]"),
    "layout": (description(input__layout="NCHW"), r"its YAML says float32\[1, 3, 48, 32\]"),
    "dtype": (description(input__dtype="uint8"), r"its YAML says uint8"),
    "corners with an offset": (description(heatmaps__grid="corners"), r"heatmaps: .*offset is of a grid of cells"),
    "one scale too few": (description(heatmaps__scale=[1.0] * 14), r"scale has 14 numbers for 15 channels"),
    "zero point of a float output": (description(heatmaps__zero_point=128), r"'maps' is read as float32; leave zero_point"),
    "activation": (description(heatmaps__activation="softmax"), r"heatmaps.activation: Input should be 'none' or 'sigmoid'"),
    "channel count": (
        description(heatmaps__joints=list(LSP_14.joints)),
        r"'maps' is \[1, 12, 8, 15\], not NHWC with 14 channels",
    ),
    "heatmap layout": (description(heatmaps__layout="NCHW"), r"not NCHW with 15 channels"),
    "keypoints that are heatmaps": (description(keypoints={"output": "maps"}), r"not 15 triples"),
    "heatmaps that are keypoints": (description(heatmaps__output="points"), r"'points' is \[1, 1, 15, 3\], not NHWC"),
    "joint twice": (description(heatmaps__joints=["neck", *LSP_14.joints]), r"once; look at neck"),
    "joint missing": (description(heatmaps__joints=[None, *LSP_14.joints[1:]]), r"look at right_ankle"),
    "skeleton": (description(skeleton="ape"), r"skeleton 'ape' is not known"),
    "unknown field": (description(input__with=3), r"input.with: Extra inputs"),
    "std": (description(input__std=[1, 0, 1]), r"must be above 0"),
    "numbers of pixels in 0..1": (
        description(input__mean=[0.485, 0.456, 0.406], input__std=[0.229, 0.224, 0.225]),
        r"mean and std look like those of pixels in 0\.\.1, and pixels are 0\.\.255: multiply both by 255",
    ),
    "nan": (description(input__mean=[1, float("nan"), 1]), r"input.mean.1: Input should be a finite number"),
    "even blur": (description(decode__blur=4), r"must be odd"),
    "a published method on cells with an offset": (
        description(decode={"method": "hrnet"}, heatmaps__offset=0.5),
        r"hrnet decodes a grid of its own, .* a grid of cells with an offset of 0\.5",
    ),
    "a published method on corners": (
        description(decode={"method": "mmpose_dark"}, heatmaps__grid="corners", heatmaps__offset=0),
        r"mmpose_dark decodes a grid of its own, .* a grid of corners; correct `grid` and",
    ),
    "a published method with a blur": (
        description(decode={"method": "mmpose_udp", "blur": 5, "window": 3}, heatmaps__offset=0),
        r"mmpose_udp has a blur of its own, as published; leave out blur and window",
    ),
    "method": (description(decode__method="guess"), r"decode.method: Input should be 'argmax'"),
    "input": (description(input__width=100_000), r"input.width: Input should be less than or equal to 4096"),
    "no file": ({"skeleton": "lsp14"}, r"file: Field required"),
    "a list": ([1, 2], r"valid dictionary"),
    "missing model": (description(file="none.onnx"), r"no model file .*none.onnx; give its path"),
    "pickle": (description(file="net.pt"), r"neither .onnx nor .tflite"),
}


@pytest.mark.parametrize(("held", "message"), WRONG.values(), ids=WRONG)
def test_wrong_yaml(tmp_path: Path, held: Any, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        teacher(tmp_path, held)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("method", "grid"), [("hrnet", "cells"), ("mmpose_udp", "cells"), ("mmpose_udp", "corners")])
def test_published_methods_on_their_own_grid(method: str, grid: str, tmp_path: Path) -> None:
    held = description(decode={"method": method}, heatmaps__offset=0, heatmaps__grid=grid)
    assert np.isfinite(teacher(tmp_path, held).predict(crops(1))[0]).all()


def test_a_published_method_that_nothing_is_decoded_by(tmp_path: Path) -> None:
    """The network's own keypoints are taken; blur and window are what they are without being said."""
    own = {"output": "points", "order": "xys"}
    held = description(decode={"method": "hrnet", "blur": 0, "window": 7}, heatmaps__offset=0.5, keypoints=own)
    assert np.isfinite(teacher(tmp_path, held).predict(crops(1))[0]).all()


def test_yaml_that_is_none(tmp_path: Path) -> None:
    for text in ("a: [", "\t", "!!python/object/apply:os.system [true]", "a: 'x"):
        (tmp_path / "mine.yaml").write_text(text)
        with pytest.raises(InputError) as caught:
            load_teacher(tmp_path / "mine.yaml")
        assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="cannot read"):
        load_teacher(tmp_path / "none.yaml")


@pytest.mark.parametrize("share", [0, 0.01, 0.5, 0.98])
@pytest.mark.parametrize("suffix", [".onnx", ".tflite"])
def test_truncated_model(tmp_path: Path, share: float, suffix: str) -> None:
    if suffix == ".tflite":
        pytest.importorskip("ai_edge_litert", reason="TFLite teachers need ai-edge-litert")
    write_model(tmp_path / "whole.onnx")
    data = (tmp_path / "whole.onnx").read_bytes()
    (tmp_path / f"net{suffix}").write_bytes(data[: int(len(data) * share)])
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(description(file=f"net{suffix}")))
    with pytest.raises(InputError, match=r"truncated|whole") as caught:
        load_teacher(tmp_path / "mine.yaml")
    assert "\n" not in str(caught.value)


def test_model_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(description()))
    (tmp_path / "models").mkdir()
    write_model(tmp_path / "models" / "net.onnx")
    assert load_teacher(tmp_path / "mine.yaml", folder=tmp_path / "models").path == tmp_path / "models" / "net.onnx"
    assert load_teacher(tmp_path / "mine.yaml", file=tmp_path / "models" / "net.onnx").name == "mine"
    monkeypatch.setenv("POSE_DATA", str(tmp_path))
    with pytest.raises(InputError, match=r"no model file .*movenet-thunder.onnx"):
        load_teacher("movenet_thunder")
    with pytest.raises(InputError, match="choose one of cpm_mv2, hourglass_mv2, movenet_lightning, "):
        load_teacher("tokenpose")


def test_a_teacher_of_joints_of_its_own(tmp_path: Path) -> None:
    """The skeleton is a YAML beside the teacher's."""
    (tmp_path / "three.yaml").write_text("joints: [a, b, c]\n")
    held = description(skeleton="three.yaml", heatmaps__joints=["c", None, "a", "b", *[None] * 11])
    mine = teacher(tmp_path, held)
    assert (mine.skeleton.name, mine.skeleton.joints) == ("three", ("a", "b", "c"))
    images = crops(2)
    gains = np.array([3, 4, 1])
    assert np.allclose(mine.heatmaps(images), images[:, None, ::4, ::4, 0] / 20000 * gains[:, None, None])
    (tmp_path / "three.yaml").write_text("joints: [a, b, d]\n")
    with pytest.raises(InputError, match=r"mine.yaml: heatmaps.joints must hold each joint of three once; look at c, d"):
        teacher(tmp_path, held)
    (tmp_path / "three.yaml").write_text("joint: [a, b, d]\n")
    with pytest.raises(InputError, match=r"mine.yaml: .*three.yaml: joints: Field required"):
        teacher(tmp_path, held)


def test_packaged_files_are_valid() -> None:
    assert foreign.packaged() == [
        "cpm_mv2",
        "hourglass_mv2",
        "movenet_lightning",
        "movenet_lightning_int8",
        "movenet_thunder",
        "movenet_thunder_int8",
    ]
    for name in foreign.packaged():
        files.read_yaml(foreign.PACKAGED / f"{name}.yaml", foreign.TeacherFile)
    assert files.read_yaml(foreign.PACKAGED / "cpm_mv2.yaml", foreign.TeacherFile).skeleton == AIC_14.name


def test_crops_of_another_kind_are_refused(tmp_path: Path) -> None:
    mine = teacher(tmp_path, description())
    with pytest.raises(ValueError, match="uint8"):
        mine.heatmaps(crops().astype(np.float32))
    with pytest.raises(ValueError, match="48, 32"):
        mine.heatmaps(crops().transpose(0, 2, 1, 3))


def cut_by_the_picture(path: Path, output: str) -> None:
    """Let an output of a network have more of its second axis, the brighter the first pixel is."""
    model = onnx.load(path)
    model.graph.node[0].input[0] = "image"
    for node in model.graph.node:
        node.output[:] = ["whole" if name == output else name for name in node.output]
    values = {"pixel": [0, 0, 0, 0], "nothing": [0], "second": [1], "least": [3], "all": [1]}
    for name, value in values.items():
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.array(value, np.int64), name))
    make = onnx.helper.make_node
    model.graph.node.extend([
        make("GatherND", ["image", "pixel"], ["brightness"]),
        make("Cast", ["brightness"], ["number"], to=onnx.TensorProto.INT64),
        make("Reshape", ["number", "all"], ["one"]),
        make("Add", ["one", "least"], ["count"]),
        make("Slice", ["whole", "nothing", "count", "second"], [output]),
    ])  # fmt: skip
    onnx.save(model, path)


def test_outputs_whose_size_depends_on_the_picture(tmp_path: Path) -> None:
    write_model(tmp_path / "net.onnx")
    cut_by_the_picture(tmp_path / "net.onnx", "maps")
    mine = teacher(tmp_path, description())
    bright = np.full((1, H, W, 3), 2, np.uint8)
    with pytest.raises(BackendError, match=r"'maps' is \[1, 5, 8, 15\], and \[1, 3, 8, 15\] for one black crop"):
        mine.observe(bright)
    with pytest.raises(BackendError, match="a teacher's outputs have one size"):
        mine.read(mine.call(mine.prepare(bright)))


def test_keypoints_without_an_axis_of_the_crops(tmp_path: Path) -> None:
    write_model(tmp_path / "net.onnx")
    model = onnx.load(tmp_path / "net.onnx")
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array([15, 3], np.int64), "flat"))
    model.graph.node[-1].CopyFrom(onnx.helper.make_node("Reshape", ["points_value", "flat"], ["points"]))
    onnx.save(model, tmp_path / "net.onnx")
    with pytest.raises(InputError, match=r"'points' is \[15, 3\], and its first axis has to be the crops"):
        teacher(tmp_path, description(keypoints={"output": "points", "order": "xys"}))
