"""Golden vectors for the tests of the Android app on the JVM: cases, and the answers of this package's own code."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from calib_data.synthetic import SyntheticPeople
from edge.predict.one_euro import OneEuro
from edge.predict.tracking import Tracking, overlap
from pose import crop
from pose.crop import CropSpec
from pose.poses import Poses
from pose.skeleton import Skeleton

CROPS, FRAMES, SEQUENCES, WALKS = 60, 24, 6, 8  # cases that are drawn
PERSON = 10  # of the drawn people
JOINTS = np.array([(0.5, 0.1, 0.9), (0.2, 0.4, 0.7), (0.8, 0.4, 0.8), (0.3, 0.95, 0.02), (0.7, 0.9, 0.5)])  # x, y, score
SKELETON = Skeleton("five", ("head", "left_hand", "right_hand", "left_foot", "right_foot"))


def text(array: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()


def write_all(folder: Path, seed: int = 0) -> None:
    """Write every file of cases."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    for name, cases in {
        "crops": [crop_case(rng) for _ in range(CROPS)],
        "frames": [frame_case(rng) for _ in range(FRAMES)],
        "smoothing": [smoothing_case(rng) for _ in range(SEQUENCES)],
        "tracking": [tracking_case(rng) for _ in range(WALKS)],
        "person": [person_case()],
        "camera": [person_case(rotation, gap=16, step=step) for rotation, step in {0: 1, 90: 2, 270: 2}.items()],
    }.items():
        (folder / f"{name}.json").write_text(json.dumps(cases))


def crop_case(rng: np.random.Generator) -> dict[str, Any]:
    """A picture and a box -> the crop, the tensor and where coordinates lie in the picture."""
    width, height = (int(side) for side in rng.integers(20, 160, 2))
    image = rng.integers(0, 256, (height, width, 3), np.uint8)
    if rng.random() < 0.5:
        image = cv2.GaussianBlur(image, (0, 0), 2)
    spec = CropSpec(
        width=int(rng.integers(4, 60)),
        height=int(rng.integers(4, 60)),
        mean=tuple(rng.uniform(0, 255, 3).tolist()),
        std=tuple(rng.uniform(20, 120, 3).tolist()),
        padding=float(rng.uniform(1, 1.5)),
        colour="BGR" if rng.random() < 0.5 else "RGB",
    )
    box = np.concatenate([rng.uniform(-30, 100, 2), rng.uniform(3, 200, 2)])
    matrix = crop.affine(box, spec)
    pixels, coords = crop.warp(image, matrix, spec), rng.uniform(-0.2, 1.2, (5, 2)).astype(np.float32)
    layout, dtype = str(rng.choice(["NCHW", "NHWC"])), str(rng.choice(["float32", "uint8"]))
    is_bytes, blue_first = dtype == "uint8", spec.colour == "BGR"
    planes = pixels.transpose(2, 0, 1)[:: -1 if blue_first else 1] if is_bytes else crop.normalise(pixels, spec)
    return {
        "width": width,
        "height": height,
        "image": text(image),
        "box": box.tolist(),
        "padding": spec.padding,
        "input": {
            "shape": [1, 3, spec.height, spec.width],
            "layout": layout,
            "dtype": dtype,
            "colour": spec.colour,
            "mean": spec.mean,
            "std": spec.std,
        },
        "crop": text(pixels),
        "tensor": text(planes if layout == "NCHW" else planes.transpose(1, 2, 0)),
        "coords": coords.ravel().tolist(),
        "points": crop.to_image(coords.astype(np.float64), matrix, spec).ravel().tolist(),
    }


def frame_case(rng: np.random.Generator) -> dict[str, Any]:
    """A camera's frame in YUV_420_888, with gaps in its rows -> the upright picture."""
    width, height = (int(side) for side in rng.integers(3, 40, 2))
    rotation, step, gap = int(rng.choice([0, 90, 180, 270])), int(rng.choice([1, 2])), int(rng.integers(0, 9))
    half = ((height + 1) // 2, (width + 1) // 2)
    y, u, v = (rng.integers(0, 256, shape, np.uint8) for shape in ((height, width), half, half))
    return {
        **frame(y, u, v, gap, step),
        "rotation": rotation,
        "picture": text(np.rot90(to_rgb(y, u, v), -rotation // 90)),
    }


def frame(y: np.ndarray, u: np.ndarray, v: np.ndarray, gap: int = 0, step: int = 1) -> dict[str, Any]:
    """The planes as a camera delivers them: `gap` bytes after each row, `step` bytes from one chroma value to the next."""
    height, width = y.shape

    def plane(values: np.ndarray, step: int) -> tuple[str, int]:
        rows = np.full((len(values), values.shape[1] * step + gap), 77, np.uint8)
        rows[:, : values.shape[1] * step : step] = values
        end = (len(rows) - 1) * rows.shape[1] + (values.shape[1] - 1) * step + 1  # a real plane ends with its last value
        return text(rows.ravel()[:end]), rows.shape[1]

    (luma, luma_row), (blue, chroma_row), (red, _) = plane(y, 1), plane(u, step), plane(v, step)
    sizes = {"width": width, "height": height, "yRow": luma_row, "uvRow": chroma_row, "uvPixel": step}
    return {**sizes, "y": luma, "u": blue, "v": red}


def to_rgb(y: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """BT.601 in full range (JFIF 1.02, page 3), each chroma value for 2 x 2 pixels."""
    height, width = y.shape
    blue, red = (np.kron(plane.astype(float) - 128, np.ones((2, 2)))[:height, :width] for plane in (u, v))
    luma = y.astype(float)
    planes = [luma + 1.402 * red, luma - 0.344136 * blue - 0.714136 * red, luma + 1.772 * blue]
    return np.clip(np.floor(np.stack(planes, -1) + 0.5), 0, 255).astype(np.uint8)


def to_yuv(image: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The inverse of `to_rgb`, for an image with even sides."""
    r, g, b = (image[..., channel].astype(float) for channel in range(3))
    luma = 0.299 * r + 0.587 * g + 0.114 * b
    blue, red = 128 + 0.564334 * (b - luma), 128 + 0.713267 * (r - luma)
    halves = [plane.reshape(len(plane) // 2, 2, -1, 2).mean((1, 3)) for plane in (blue, red)]
    y, u, v = (np.clip(np.rint(plane), 0, 255).astype(np.uint8) for plane in (luma, *halves))
    return y, u, v


def smoothing_case(rng: np.random.Generator) -> dict[str, Any]:
    """Keypoints from frame to frame -> filtered ones."""
    fps, sizes = float(rng.uniform(5, 60)), rng.uniform(50, 300, 12)
    points = np.cumsum(rng.normal(0, 5, (12, 4, 2)), 0) + 100
    smooth = OneEuro(fps)
    filtered = [smooth(one, float(size)) for one, size in zip(points, sizes, strict=True)]
    flat = {"points": points, "filtered": np.stack(filtered)}
    return {"fps": fps, "sizes": sizes.tolist(), **{name: value.reshape(12, -1).tolist() for name, value in flat.items()}}


class DrawnEstimator:
    """Answers for a person who stands in `person`: the better the box fits, the surer and the nearer. Java has the same."""

    skeleton = SKELETON

    def __init__(self) -> None:
        self.person: np.ndarray | None = None

    def __call__(self, image: np.ndarray, boxes: Any = None) -> Poses:
        boxes = np.atleast_2d(np.asarray(boxes, np.float64))
        points, scores = zip(*(self._one(box) for box in boxes), strict=True)
        return Poses(SKELETON, np.stack(points), np.stack(scores), boxes)

    def _one(self, box: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if self.person is None:
            return box[:2] + JOINTS[:, :2] * box[2:], (0.02 * JOINTS[:, 2]).astype(np.float32)
        fit = overlap(box, self.person)
        off = (box[:2] + box[2:] / 2 - self.person[:2] - self.person[2:] / 2) * 0.1 * (1 - fit)
        return self.person[:2] + JOINTS[:, :2] * self.person[2:] + off, (JOINTS[:, 2] * (0.1 + fit)).astype(np.float32)


def tracking_case(rng: np.random.Generator) -> dict[str, Any]:
    """Where a person stands in each frame -> the keypoints that the tracker reports, null for nobody."""
    width, height, fps, smooth = int(rng.integers(100, 400)), int(rng.integers(100, 400)), 25.0, bool(rng.random() < 0.5)
    estimator = DrawnEstimator()
    tracking = Tracking(estimator, fps, smooth=smooth)
    image = np.zeros((height, width, 3), np.uint8)
    side = rng.uniform(0.2, 0.9, 2) * (width, height)
    place = rng.uniform(0, 1, 2) * ((width, height) - side)
    people: list[list[float] | None] = []
    answers: list[list[float] | None] = []
    for number in range(30):
        place = place + rng.normal(0, 3, 2)
        is_there = not 12 <= number < 15
        estimator.person = np.concatenate([place, side]) if is_there else None
        poses = tracking.find(image)
        people.append(estimator.person.tolist() if estimator.person is not None else None)
        answers.append(poses.keypoints[0].ravel().tolist() if len(poses) else None)
    return {"width": width, "height": height, "fps": fps, "smooth": smooth, "people": people, "answers": answers}


def person_case(rotation: int = 90, gap: int = 0, step: int = 1) -> dict[str, Any]:
    """A drawn person as a frame of a camera that is built in sideways: turned by `rotation` degrees to stand upright."""
    image = SyntheticPeople(PERSON + 1, seed=1).image(PERSON)
    upright = cv2.resize(image, (480, 640), interpolation=cv2.INTER_LINEAR)
    return {**frame(*to_yuv(np.rot90(upright, rotation // 90)), gap, step), "rotation": rotation}
