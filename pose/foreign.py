"""Foreign teachers: a published heatmap network as an ONNX or TFLite file, and a YAML that describes its input and output.

The packaged YAML files are in `pose/teachers`; a new teacher is a new YAML, no code: docs/add-a-teacher.md.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, PositiveInt, field_validator, model_validator

from pose import decode, files, skeleton
from pose.crop import CropSpec
from pose.errors import BackendError, InputError, one_line
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
    """The output with one channel per joint; `joints` names them in the file's order, null where the skeleton has none.

    Heatmap index u lies at (u + offset) / width of the crop. Values are multiplied by `scale`, so that the peak of a certain
    joint is about 1.
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
    """An output with the keypoints themselves, one triple per channel: x and y in 0..1 of the crop, and a score."""

    output: str
    order: Literal["xys", "yxs"] = "xys"


class TeacherFile(_Part):
    """The fields of a teacher's YAML.

    Attributes:
        skeleton: the name of a registered skeleton, or the path of a skeleton's YAML from the folder of this one.
        file: the model file; see `load_teacher` for where it is looked for.
        padding: see `CropSpec`.
    """

    skeleton: str
    file: str
    input: Input
    padding: float = Field(default=1.25, gt=0)
    heatmaps: Heatmaps
    decode: Decode = Decode()
    keypoints: Keypoints | None = None


class HeatmapTeacher:
    """A foreign network that predicts heatmaps.

    Attributes:
        name: of the YAML.
        path: the model file.
        skeleton: its K joints, in the order of every K below.
        crop: the crops that it takes.
        grid_offset: heatmap index u lies at (u + grid_offset) / heatmap width of the crop, and the same for rows.
    """

    def __init__(self, name: str, described: TeacherFile, skeleton: Skeleton, path: Path, session: Session) -> None:
        self.name, self.path, self.skeleton = name, path, skeleton
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
        """Coordinates float32 [N, K, 2] in 0..1 of the crop and scores float32 [N, K], by the YAML's `decode`."""
        options = self._described.decode
        return decode.decode(heatmaps, options.method, kernel=options.blur, window=options.window, offset=self.grid_offset)

    def predict(self, crops: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Coordinates [N, K, 2] and scores [N, K] of RGB crops: its own keypoints if the YAML names them, else decoded."""
        return self.observe(crops)[1:]

    def observe(self, crops: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Heatmaps, and the coordinates and scores of `predict`, from one run of the network.

        Raises:
            BackendError: the runtime failed on these crops.
        """
        direct = self._described.keypoints
        outputs = [self._described.heatmaps.output, *([direct.output] if direct else [])]
        raw, *triples = self._run(crops, outputs)
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
        wanted = self._described.input
        if crops.dtype != np.uint8 or crops.shape[1:] != (wanted.height, wanted.width, 3):
            raise ValueError(f"crops are {crops.dtype}{list(crops.shape)}, not uint8[N, {wanted.height}, {wanted.width}, 3]")
        pixels = (crops.astype(np.float32) - np.array(wanted.mean, np.float32)) / np.array(wanted.std, np.float32)
        if wanted.colour == "BGR":
            pixels = pixels[..., ::-1]
        if wanted.layout == "NCHW":
            pixels = pixels.transpose(0, 3, 1, 2)
        if wanted.dtype != "float32":
            pixels = pixels.round()
        batch = np.ascontiguousarray(pixels, wanted.dtype)
        try:
            if self._session.input_shape[0] is None:
                return self._session.run(batch, outputs)
            answers = [self._session.run(batch[i : i + 1], outputs) for i in range(len(batch))]
            return [np.concatenate(parts) for parts in zip(*answers, strict=True)]
        except Exception as error:  # a runtime may raise anything on a graph that is inconsistent
            raise BackendError(f"teacher '{self.name}' ({self.path}) does not run ({one_line(error, 200)})") from error

    def _check(self) -> None:
        """Raises InputError unless the network has the YAML's input and outputs; it is run on one black crop."""
        wanted, maps, direct = self._described.input, self._described.heatmaps, self._described.keypoints
        where = f"teacher '{self.name}' ({self.path})"
        outputs = [maps.output] + ([direct.output] if direct else [])
        for name in outputs:
            if name not in self._session.outputs:
                raise InputError(f"{where} has no output '{name}'; its outputs are: {', '.join(self._session.outputs)}")
        sides = (wanted.height, wanted.width, 3) if wanted.layout == "NHWC" else (3, wanted.height, wanted.width)
        actual, described = self._session.input_shape, (1, *sides)
        fits = len(actual) == 4 and all(a in (None, b) for a, b in zip(actual, described, strict=True))
        if not fits or self._session.input_dtype != wanted.dtype:
            taken = f"{self._session.input_dtype}{list(actual)}"
            raise InputError(
                f"{where} takes {taken}, its YAML says {wanted.dtype}{list(described)}; correct the YAML's input"
            )
        try:
            answers = self._run(np.zeros((1, wanted.height, wanted.width, 3), np.uint8), outputs)
        except BackendError as error:
            raise InputError(f"{error}; is the file whole?") from error
        channels = len(maps.joints)
        if any(answer.dtype.kind not in "fiu" for answer in answers):
            raise InputError(f"{where}: its outputs are {', '.join(str(answer.dtype) for answer in answers)}, not numbers")
        if answers[0].ndim != 4 or not answers[0].size or answers[0].shape[3 if maps.layout == "NHWC" else 1] != channels:
            expected = f"{maps.layout} with {channels} channels"
            raise InputError(
                f"{where}: output '{maps.output}' is {list(answers[0].shape)}, not {expected}; correct the YAML"
            )
        if direct and answers[1].size != channels * 3:
            expected = f"{channels} triples"
            raise InputError(
                f"{where}: output '{direct.output}' is {list(answers[1].shape)}, not {expected}; correct the YAML"
            )


def packaged() -> list[str]:
    """Names of the teachers whose YAML comes with the package."""
    return sorted(path.stem for path in PACKAGED.glob("*.yaml"))


def load_teacher(
    teacher: str | Path, *, folder: Path | None = None, file: Path | None = None, threads: int = 1
) -> HeatmapTeacher:
    """Open a teacher by the name of a packaged YAML, or by the path of another one.

    Args:
        folder: that holds the YAML's `file`; by default `$POSE_DATA` for a packaged YAML, the YAML's own folder otherwise.
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
    try:
        joints = skeleton.load(described.skeleton, path.parent)
        _require_each_joint_once(described, joints)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    home = path.parent if own else Path(os.environ.get("POSE_DATA", "."))
    model = file or (folder or home) / described.file
    return HeatmapTeacher(path.stem, described, joints, model, open_session(model, threads))


def _require_each_joint_once(described: TeacherFile, joints: Skeleton) -> None:
    names = [joint for joint in described.heatmaps.joints if joint is not None]
    if sorted(names) != sorted(joints.joints):
        wrong = sorted(set(names) ^ set(joints.joints)) or sorted({name for name in names if names.count(name) > 1})
        raise InputError(f"heatmaps.joints must hold each joint of {joints.name} once; look at {', '.join(wrong)}")
