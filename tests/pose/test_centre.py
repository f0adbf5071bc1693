"""MoveNet's decoding outside of its file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import yaml
from foreign_network import H, W, description

from calib_data.coco import open_data
from pose import centre
from pose.crop import affine, warp
from pose.errors import InputError
from pose.foreign import load_teacher
from pose.skeleton import LSP_14

MAPS = (  # of the graphs that are published: heatmaps, centres, displacements, offsets
    "Sigmoid_391",
    "Sigmoid_392",
    "Transpose_382",
    "Transpose_390",
)


def test_the_person_in_the_middle_is_chosen_and_not_the_strongest_joint() -> None:
    heatmaps, centres = np.zeros((1, 12, 16, 1), np.float32), np.zeros((1, 12, 16), np.float32)
    displacements, offsets = (np.zeros((1, 12, 16, 1, 2), np.float32) for _ in range(2))
    centres[0, 6, 7], centres[0, 6, 1] = 0.6, 0.9  # ours, and a neighbour
    displacements[0, 6, 7, 0], displacements[0, 6, 1, 0] = (2, -3), (1, 1)
    heatmaps[0, 4, 9, 0], heatmaps[0, 7, 2, 0] = 0.5, 0.99  # a cell below the coarse keypoint, and the neighbour's joint
    offsets[0, 4, 9, 0] = 0.25, 0.75
    coords, scores = centre.keypoints(heatmaps, centres, displacements, offsets)
    assert np.allclose(coords, [[[9.25 / 16, 4.75 / 12]]])
    assert scores.tolist() == [[0.5]]


def test_it_finds_the_keypoints_that_the_published_graph_finds(pose_data: Path) -> None:
    network = onnx.load(pose_data / "movenet" / "movenet-lightning.onnx")
    network.graph.output.extend(onnx.ValueInfoProto(name=output) for output in MAPS)
    session = onnxruntime.InferenceSession(network.SerializeToString())
    people = open_data(
        pose_data / "coco17" / "annotations" / "person_keypoints_dev.json", images=pose_data / "coco17" / "images"
    )
    spec = load_teacher("movenet_lightning", folder=pose_data).crop
    for index in range(0, 40, 8):
        crop = warp(people.image(index), affine(people.labels(index).box, spec), spec)
        own, heatmaps, centres, *pairs = session.run(["Identity", *MAPS], {"input": crop[None].astype(np.int32)})
        cells = 48
        displacements, offsets = (pair.reshape(1, cells, cells, 17, 2)[..., ::-1] for pair in pairs)
        coords, scores = centre.keypoints(heatmaps, centres.reshape(1, cells, cells), displacements, offsets)
        assert np.abs(coords - own[0, ..., 1::-1]).max() < 1e-3  # the graph multiplies by a rounded 1 / 48
        assert np.allclose(scores, own[0, ..., 2])


def test_the_int8_file_finds_about_what_the_float_network_finds(pose_data: Path) -> None:
    people = open_data(pose_data / "lspet" / "val" / "person_keypoints_val.json", boxes="keypoints")
    networks = [load_teacher(name, folder=pose_data) for name in ("movenet_lightning", "movenet_lightning_int8")]
    spec = networks[1].crop
    crops = np.stack([warp(people.image(i), affine(people.labels(i).box, spec), spec) for i in range(6)])
    (coords, _), (int8_coords, int8_scores) = (network.predict(crops) for network in networks)
    assert np.median(np.abs(coords - int8_coords)) * spec.width < 1.5
    outputs = [networks[1].call(networks[1].prepare(crop[None])) for crop in crops]
    assert {output.dtype.name for output in outputs[0]} == {"int8"}
    read = [networks[1].read(output) for output in outputs]
    assert np.array_equal(np.concatenate([coords for coords, _ in read]), int8_coords)
    assert np.array_equal(np.concatenate([scores for _, scores in read]), int8_scores)


def write_heads(path: Path) -> None:
    """A network whose heatmaps are its picture's first colour at stride 4, and whose other maps are constants of 15 joints.

    A person's centre is in the middle; every joint is 2 cells to the right of it and 1 above, half a cell lower.
    """
    helper, kinds = onnx.helper, onnx.TensorProto
    h, w = H // 4, W // 4
    centres = np.zeros((1, h, w, 1), np.float32)
    centres[0, h // 2, w // 2] = 1
    maps = {
        "gains": np.full(15, 1 / 255, np.float32),
        "centres_value": centres,
        "displacements_value": np.tile(np.array([-1, 2], np.float32), (1, h, w, 15)),
        "offsets_value": np.tile(np.array([0.5, 0], np.float32), (1, h, w, 15)),
    }
    maps |= {
        name: np.array(value, np.int64)
        for name, value in {"starts": [0, 0, 0], "ends": [H, W, 1], "axes": [1, 2, 3], "steps": [4, 4, 1]}.items()
    }
    nodes = [
        helper.make_node("Slice", ["image", "starts", "ends", "axes", "steps"], ["plane"]),
        helper.make_node("Mul", ["plane", "gains"], ["maps"]),
        *(helper.make_node("Identity", [f"{name}_value"], [name]) for name in ("centres", "displacements", "offsets")),
    ]
    outputs = [
        helper.make_tensor_value_info(name, kinds.FLOAT, None) for name in ("maps", *(n.output[0] for n in nodes[2:]))
    ]
    inputs = [helper.make_tensor_value_info("image", kinds.FLOAT, [1, H, W, 3])]
    constants = [onnx.numpy_helper.from_array(value, name) for name, value in maps.items()]
    graph = helper.make_graph(nodes, "heads", inputs, outputs, constants)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)


CENTRE = {"output": "centres", "displacements": "displacements", "offsets": "offsets", "order": "yx"}


def test_a_yaml_names_the_maps(tmp_path: Path) -> None:
    write_heads(tmp_path / "net.onnx")
    held = description(heatmaps__scale=1.0, centre=CENTRE)
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(held))
    mine = load_teacher(tmp_path / "mine.yaml")
    crops = np.zeros((1, H, W, 3), np.uint8)
    crops[0, 20, 24] = 200  # cell (6, 5), where the coarse keypoint is
    crops[0, 40, 4] = 255  # somebody else
    heatmaps, coords, scores = mine.observe(crops)
    assert np.allclose(coords, [6 / 8, 5.5 / 12])
    assert np.allclose(scores, 200 / 255)
    assert coords.shape == (1, len(LSP_14), 2)
    assert heatmaps[0, :, 10, 1].max() == 0  # the other one's heat is removed


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"centre": CENTRE | {"output": "offsets"}}, r"output 'offsets' is \[1, 12, 8, 30\], not \[1, 12, 8, 1\]"),
        ({"centre": CENTRE | {"offsets": "nothing"}}, r"has no output 'nothing'"),
        ({"centre": CENTRE, "keypoints": {"output": "maps"}}, r"keypoints and centre are two ways"),
    ],
)
def test_maps_that_do_not_fit_are_refused(tmp_path: Path, changes: dict, message: str) -> None:
    write_heads(tmp_path / "net.onnx")
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(description(heatmaps__scale=1.0) | changes))
    with pytest.raises(InputError, match=message):
        load_teacher(tmp_path / "mine.yaml")
