"""Somebody else's heatmap network as a teacher: an ONNX or TFLite file and a YAML that says how to talk to it.

The packaged YAML files are in `pose/teachers`; a new teacher is a new YAML, no code.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, PositiveInt, field_validator, model_validator

from pose import decode, files, skeleton
from pose.crop import CropSpec
from pose.errors import InputError
from pose.sessions import Session, open_session
from pose.skeleton import Skeleton

PACKAGED = Path(__file__).with_name("teachers")

_Triple = tuple[float, float, float]
_Layout = Literal["NHWC", "NCHW"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Input(_Part):
    """The network takes (pixel - mean) / std, pixels 0..255; mean and std are in the order R, G, B whatever `colour` is."""

    width: PositiveInt
    height: PositiveInt
    layout: _Layout = "NHWC"
    dtype: Literal["float32", "int32", "uint8"] = "float32"
    colour: Literal["RGB", "BGR"] = "RGB"
    mean: _Triple = (0.0, 0.0, 0.0)
    std: _Triple = (1.0, 1.0, 1.0)

    @field_validator("std")
    @classmethod
    def _positive(cls, std: _Triple) -> _Triple:
        if min(std) <= 0:
            raise ValueError("must be above 0")
        return std


class Heatmaps(_Part):
    """One channel a joint; a channel that no joint of the skeleton uses (background, thorax ...) is null in `joints`.

    Heatmap index u lies at (u + offset) / width of the crop. Values are multiplied by `scale`, to make a sure peak about 1.
    """

    output: str
    layout: _Layout = "NHWC"
    joints: tuple[str | None, ...]
    offset: float = 0.0
    scale: float = Field(default=1.0, gt=0)


class Decode(_Part):
    """See `pose.decode.decode`; `blur` is the kernel in cells, 0 for none."""

    method: decode.Method = "quarter"
    blur: int = Field(default=0, ge=0, le=99)
    window: int = Field(default=7, ge=1, le=99)

    @model_validator(mode="after")
    def _odd(self) -> Decode:
        if (self.blur and self.blur % 2 == 0) or self.window % 2 == 0:
            raise ValueError("blur and window must be odd")
        return self


class Keypoints(_Part):
    """An output that holds the keypoints themselves, one triple a channel: x and y in 0..1 of the crop, and a score."""

    output: str
    order: Literal["xys", "yxs"] = "xys"


class TeacherFile(_Part):
    """What a teacher's YAML holds."""

    skeleton: str
    file: str
    input: Input
    padding: float = Field(default=1.25, gt=0)
    heatmaps: Heatmaps
    decode: Decode = Decode()
    keypoints: Keypoints | None = None

    @model_validator(mode="after")
    def _every_joint_once(self) -> TeacherFile:
        joints = [joint for joint in self.heatmaps.joints if joint is not None]
        if sorted(joints) != sorted(self._skeleton().joints):
            odd = sorted(set(joints) ^ set(self._skeleton().joints)) or sorted({j for j in joints if joints.count(j) > 1})
            raise ValueError(f"heatmaps.joints must hold each joint of {self.skeleton} once; look at {', '.join(odd)}")
        return self

    def _skeleton(self) -> Skeleton:
        try:
            return skeleton.get(self.skeleton)
        except InputError as error:
            raise ValueError(str(error)) from error


class HeatmapTeacher:
    """A foreign network that makes heatmaps.

    Attributes:
        name: of the YAML.
        path: the model file.
        skeleton: the order of every K below.
        crop: what crops it wants.
        grid_offset: heatmap index u lies at (u + grid_offset) / heatmap width of the crop, and the same for rows.
    """

    def __init__(self, name: str, described: TeacherFile, path: Path, session: Session) -> None:
        self.name, self.path = name, path
        self.skeleton = skeleton.get(described.skeleton)
        size = described.input
        self.crop = CropSpec(size.width, size.height, size.mean, size.std, described.padding)
        self.grid_offset = described.heatmaps.offset
        self._described, self._session = described, session
        self._channels = [described.heatmaps.joints.index(joint) for joint in self.skeleton.joints]
        self._check()

    def heatmaps(self, crops: np.ndarray) -> np.ndarray:
        """Heatmaps float32 [N, K, h, w] of RGB crops uint8 [N, H, W, 3]."""
        return self._as_heatmaps(self._run(crops, [self._described.heatmaps.output])[0])

    def decode(self, heatmaps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Coordinates float32 [N, K, 2] in 0..1 of the crop and scores float32 [N, K], as the YAML's `decode` says."""
        how = self._described.decode
        return decode.decode(heatmaps, how.method, kernel=how.blur, window=how.window, offset=self.grid_offset)

    def predict(self, crops: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Coordinates [N, K, 2] and scores [N, K] of RGB crops: its own keypoints if the YAML names them, else decoded."""
        return self.observe(crops)[1:]

    def observe(self, crops: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Heatmaps, and the coordinates and scores of `predict`, from one run of the network."""
        direct = self._described.keypoints
        asked = [self._described.heatmaps.output, *([direct.output] if direct else [])]
        raw, *triples = self._run(crops, asked)
        heatmaps = self._as_heatmaps(raw)
        if direct is None:
            return heatmaps, *self.decode(heatmaps)
        values = self._as_triples(triples[0])
        x, y, score = (values[..., direct.order.index(axis)] for axis in "xys")
        return heatmaps, np.stack([x, y], -1), score

    def _as_heatmaps(self, raw: np.ndarray) -> np.ndarray:
        maps = raw.transpose(0, 3, 1, 2) if self._described.heatmaps.layout == "NHWC" else raw
        return np.ascontiguousarray(maps[:, self._channels], np.float32) * np.float32(self._described.heatmaps.scale)

    def _as_triples(self, raw: np.ndarray) -> np.ndarray:
        return raw.reshape(len(raw), len(self._described.heatmaps.joints), 3)[:, self._channels].astype(np.float32)

    def _run(self, crops: np.ndarray, outputs: list[str]) -> list[np.ndarray]:
        want = self._described.input
        if crops.dtype != np.uint8 or crops.shape[1:] != (want.height, want.width, 3):
            raise ValueError(f"crops are {crops.dtype}{list(crops.shape)}, not uint8[N, {want.height}, {want.width}, 3]")
        pixels = (crops.astype(np.float32) - np.array(want.mean, np.float32)) / np.array(want.std, np.float32)
        if want.colour == "BGR":
            pixels = pixels[..., ::-1]
        if want.layout == "NCHW":
            pixels = pixels.transpose(0, 3, 1, 2)
        if want.dtype != "float32":
            pixels = pixels.round()
        batch = np.ascontiguousarray(pixels, want.dtype)
        if self._session.input_shape[0] is None:
            return self._session.run(batch, outputs)
        answers = [self._session.run(batch[i : i + 1], outputs) for i in range(len(batch))]
        return [np.concatenate(parts) for parts in zip(*answers, strict=True)]

    def _check(self) -> None:
        """Compare the YAML with the file by one black crop."""
        want, maps, direct = self._described.input, self._described.heatmaps, self._described.keypoints
        where = f"teacher '{self.name}' ({self.path})"
        asked = [maps.output] + ([direct.output] if direct else [])
        for name in asked:
            if name not in self._session.outputs:
                raise InputError(f"{where} has no output '{name}'; its outputs are: {', '.join(self._session.outputs)}")
        sides = (want.height, want.width, 3) if want.layout == "NHWC" else (3, want.height, want.width)
        takes, says = self._session.input_shape, (1, *sides)
        fits = len(takes) == 4 and all(a in (None, b) for a, b in zip(takes, says, strict=True))
        if not fits or self._session.input_dtype != want.dtype:
            found = f"{self._session.input_dtype}{list(takes)}"
            raise InputError(f"{where} takes {found}, its YAML says {want.dtype}{list(says)}; mend the YAML's input")
        try:
            answers = self._run(np.zeros((1, want.height, want.width, 3), np.uint8), asked)
        except Exception as error:  # whatever a runtime raises on a graph that does not hold together
            raise InputError(f"{where} does not run ({' '.join(str(error).split())[:200]}); is the file whole?") from error
        channels = len(maps.joints)
        if answers[0].ndim != 4 or answers[0].shape[3 if maps.layout == "NHWC" else 1] != channels:
            expected = f"{maps.layout} with {channels} channels"
            raise InputError(f"{where}: output '{maps.output}' is {list(answers[0].shape)}, not {expected}; mend the YAML")
        if direct and answers[1].size != channels * 3:
            expected = f"{channels} triples"
            raise InputError(f"{where}: output '{direct.output}' is {list(answers[1].shape)}, not {expected}; mend the YAML")


def packaged() -> list[str]:
    """Names of the teachers whose YAML comes with the package."""
    return sorted(path.stem for path in PACKAGED.glob("*.yaml"))


def load_teacher(
    teacher: str | Path, *, folder: Path | None = None, file: Path | None = None, threads: int = 1
) -> HeatmapTeacher:
    """Open a teacher by the name of a packaged YAML or by the path of one's own.

    Args:
        folder: where the YAML's `file` is; default `$POSE_DATA` for a packaged YAML, the YAML's own folder otherwise.
        file: the model file itself, instead of the YAML's.
        threads: of the runtime.

    Raises:
        InputError: an unknown name, a YAML that is wrong or does not fit the model, a model file that is missing or broken.
        BackendError: the runtime that the model needs is not installed.
    """
    own = Path(teacher).suffix in (".yaml", ".yml")
    if not own and teacher not in packaged():
        raise InputError(f"teacher '{teacher}' is not known; choose one of {', '.join(packaged())} or give a .yaml file")
    path = Path(teacher) if own else PACKAGED / f"{teacher}.yaml"
    described = files.read_yaml(path, TeacherFile)
    home = path.parent if own else Path(os.environ.get("POSE_DATA", "."))
    model = file or (folder or home) / described.file
    return HeatmapTeacher(path.stem, described, model, open_session(model, threads))
