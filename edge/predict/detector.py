"""Any detector of people that is an ONNX or TFLite file: a YAML says what it takes and what its outputs mean.

    file: yolov8n.onnx                  # from the folder of the YAML
    input: {width: 640, height: 640, layout: NCHW, std: [255, 255, 255]}
    boxes: {output: output0, format: cxcywh, one_a_column: true}
    score: {column: 4}                  # of the person, in the same output
    least: 0.4

docs/detectors.md has more examples.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt

from pose import files
from pose.errors import BackendError, InputError, one_line
from pose.foreign_network import input_batch
from pose.sessions import Session, open_session
from pose.teacher_file import Input

MOST = 100  # people in an image
HIGHEST_SCORE, LARGEST_SHARE = 1.01, 1.01  # 1, with what a quantized output may be off


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Boxes(_Part):
    """The output with four numbers a box.

    Attributes:
        first: column of the first of the four.
        format: their order; c is the centre, xyxy are two corners.
        unit: pixels of the network's input, or shares of it, 0..1.
        one_a_column: the output is [..., columns, boxes] and not [..., boxes, columns].
    """

    output: str
    format: Literal["xyxy", "yxyx", "xywh", "cxcywh"]
    unit: Literal["pixels", "shares"] = "pixels"
    first: NonNegativeInt = 0
    one_a_column: bool = False


class Column(_Part):
    """One number a box: a column of an output, by default of that of the boxes."""

    output: str | None = None
    column: NonNegativeInt = 0


class ClassNumber(Column):
    """The column that says of what class a box is, and the number of people."""

    person: int


class DetectorFile(_Part):
    """The fields of a detector's YAML.

    Attributes:
        file: from the folder of the YAML.
        resize: how an image gets to the network's size: scaled with black beside it, or stretched.
        score: of the person, 0..1. objectness: a second score that it is multiplied by.
        label: where one output holds boxes of all classes.
        least: score from which a box counts.
        overlap: intersection over union from which the surer of two boxes hides the other; 1 where the network does so.
    """

    file: str
    input: Input
    resize: Literal["letterbox", "stretch"] = "letterbox"
    boxes: Boxes
    score: Column
    objectness: Column | None = None
    label: ClassNumber | None = None
    least: float = Field(default=0.4, ge=0, le=1)
    overlap: float = Field(default=0.5, gt=0, le=1)


class Detector:
    """Call it with an image: boxes of people float64 [N, 4], (x, y, width, height) in its pixels, the surest first.

    Raises:
        InputError: the YAML or the file is wrong, or they do not fit each other.
        BackendError: the runtime is not installed, or fails.
    """

    def __init__(self, path: Path, threads: int = 1) -> None:
        self._path = path
        self._described: DetectorFile = files.read_yaml(path, DetectorFile)
        network = path.parent / self._described.file
        if not network.is_file():
            raise InputError(f"{path}: there is no file {network}; correct 'file'")
        self._session: Session = open_session(network, threads)
        parts = [self._described.boxes, self._described.score, self._described.objectness, self._described.label]
        self._names = list(dict.fromkeys(part.output or self._described.boxes.output for part in parts if part is not None))
        self._check()

    def __call__(self, image: np.ndarray) -> np.ndarray:
        try:
            answered, corners, scores, counts = self._read(image)
        except (IndexError, ValueError) as error:  # the shapes of its outputs depend on the picture
            raise BackendError(
                f"the detector {self._path} answered a picture otherwise than its YAML says ({one_line(error, 200)})"
            ) from error
        self._require_sound(answered[counts], scores)
        height, width = image.shape[:2]
        corners = np.clip(corners, 0, [width, height, width, height])
        boxes = np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1)
        counts &= np.isfinite(boxes).all(1) & (boxes[:, 2:] >= 1).all(1)
        boxes, scores = boxes[counts], scores[counts]
        kept = cv2.dnn.NMSBoxes(boxes.tolist(), scores.tolist(), 0.0, self._described.overlap) if len(boxes) else []
        return boxes[np.array(kept, np.int64)[:MOST]]

    def _read(self, image: np.ndarray) -> tuple[np.ndarray, ...]:
        """Of each box: corners in pixels of the network's input and in those of the image, score, and whether it counts."""
        described, size = self._described, self._described.input
        batch, scales, shift = self._prepared(image)
        try:
            answers = dict(zip(self._names, self._session.run(batch, self._names), strict=True))
        except Exception as error:  # the runtimes raise exceptions of their own
            raise BackendError(f"the detector {self._path} failed: {one_line(error, 200)}") from error
        table = self._table(answers, described.boxes.output)
        answered = _corners(table[:, described.boxes.first : described.boxes.first + 4], described.boxes.format)
        if described.boxes.unit == "shares":
            answered = answered * np.array([size.width, size.height] * 2)
        corners = (answered - np.tile(shift, 2)) / np.tile(scales, 2)
        scores = self._column(answers, described.score)
        if described.objectness is not None:
            scores = scores * self._column(answers, described.objectness)
        counts = scores >= described.least
        if described.label is not None:
            counts &= np.rint(self._column(answers, described.label)) == described.label.person
        if len(counts) != len(answered):
            raise ValueError(f"{len(answered)} boxes and {len(counts)} scores")
        return answered, corners, scores, counts

    def _require_sound(self, answered: np.ndarray, scores: np.ndarray) -> None:
        """Raises BackendError for NaN, and InputError for scores and boxes in another unit than the YAML says."""
        if np.isnan(scores).any() or np.isnan(answered).any():
            raise BackendError(f"the detector {self._path} answers NaN; check its file, and 'input' of the YAML")
        if len(scores) and scores.max() > HIGHEST_SCORE:
            raise InputError(f"{self._path}: a score is {scores.max():.4g}, and scores are 0..1; correct 'score'")
        is_share = len(answered) and answered.min() >= 0 and 0 < answered.max() <= LARGEST_SHARE
        if is_share and self._described.boxes.unit == "pixels":
            raise InputError(f"{self._path}: all boxes are within 0..1 pixel; write 'unit: shares' under 'boxes'")

    def _prepared(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The network's input; pixels of it per image pixel, (x, y); and where the image begins in it."""
        size = self._described.input
        height, width = image.shape[:2]
        scales = np.array([size.width / width, size.height / height])
        if self._described.resize == "letterbox":
            scales = np.full(2, scales.min())
        inner = np.maximum(np.rint(scales * (width, height)).astype(int), 1)
        left, top = ((size.width, size.height) - inner) // 2
        frame = np.zeros((size.height, size.width, 3), np.uint8)
        frame[top : top + inner[1], left : left + inner[0]] = cv2.resize(
            image, inner.tolist(), interpolation=cv2.INTER_LINEAR
        )
        return input_batch(frame[None], size, self._session), scales, np.array([left, top], np.float64)

    def _table(self, answers: dict[str, np.ndarray], name: str) -> np.ndarray:
        """An output as float64 [boxes, columns]."""
        answer = answers[name].astype(np.float64)
        while answer.ndim > 2:  # batches of one
            answer = answer[0]
        if name == self._described.boxes.output:
            return answer.T if self._described.boxes.one_a_column else answer
        return answer.reshape(-1, 1) if answer.ndim < 2 or answer.shape[0] == 1 else answer

    def _column(self, answers: dict[str, np.ndarray], which: Column) -> np.ndarray:
        return self._table(answers, which.output or self._described.boxes.output)[:, which.column]

    def _check(self) -> None:
        """Raises InputError unless the network has the YAML's input and outputs; it is run on one black image."""
        for name in self._names:
            if name not in self._session.outputs:
                raise InputError(
                    f"{self._path}: no output '{name}'; those of the file are {', '.join(self._session.outputs)}"
                )
        size = self._described.input
        try:
            self._read(np.zeros((size.height, size.width, 3), np.uint8))
        except (BackendError, IndexError, ValueError) as error:
            shape = ", ".join(str(side) for side in self._session.input_shape)
            taken = f"the file takes {self._session.input_dtype} [{shape}]"
            raise InputError(f"{self._path} does not fit its file ({taken}): {one_line(error, 200)}") from error


def _corners(boxes: np.ndarray, order: str) -> np.ndarray:
    """Boxes [N, 4] as x and y of two corners."""
    if order == "xyxy":
        return boxes
    if order == "yxyx":
        return boxes[:, [1, 0, 3, 2]]
    low = boxes[:, :2] - (boxes[:, 2:] / 2 if order == "cxcywh" else 0)
    return np.concatenate([low, low + boxes[:, 2:]], axis=1)
