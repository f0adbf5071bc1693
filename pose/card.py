"""The card: the YAML beside every program and artefact that describes it completely.

An app developer needs no Python of this project: the card states the joints, the input and how to cut it from an image, the
outputs, the precision, the origin of the file, and the expected prediction for one crop. A program is the folder that
quantization writes (`student_fp32.pt2`, `student_int8.pt2`, `card.yaml`); an artefact is one of the two lowered for a target
(`x.pte` and `x.pte.card.yaml`). Both have the same fields; those of an artefact include `target`, `precision`, `coverage`.
"""

from __future__ import annotations

import base64
import hashlib
import os
import zlib
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    PlainSerializer,
    PlainValidator,
    PositiveFloat,
    ValidationError,
    model_validator,
)

from pose.crop import CropSpec
from pose.errors import InputError, first_problem, one_line
from pose.files import CARD_SUFFIX, read_yaml_value, sha256, write_text
from pose.skeleton import Skeleton, SkeletonFile

SCHEMA: Literal[3] = 3
Role = Literal["fp32", "int8", "lowered"]  # of an answer to the golden crop
Precision = Literal["fp32", "fp16", "int8"]  # of an artefact; fp16 is made from the float program
Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
TensorType = tuple[str, Sequence[int]]  # as numpy names it, and its shape: ("float32", (1, 3, 256, 192))
_Side = Annotated[int, Field(ge=1, le=4096)]


def _bare_name(name: str) -> str:
    if not name.strip() or not name.isprintable() or len(name) > 200 or {"/", "\\"} & set(name) or name in (".", ".."):
        raise ValueError("must be a printable name of at most 200 characters without path separators")
    return name


Name = Annotated[str, AfterValidator(_bare_name)]  # becomes part of paths


def _as_skeleton(value: Any) -> Skeleton:
    if isinstance(value, Skeleton):
        return value
    if not isinstance(value, dict):
        raise ValueError(f"must hold the skeleton's fields (name, joints, ...), not {str(value)[:60]!r}")
    try:
        described = SkeletonFile.model_validate(value)
        return described.skeleton(described.name or "unnamed")
    except InputError as error:
        raise ValueError(str(error)) from error
    except ValidationError as error:
        raise ValueError(": ".join(first_problem(error))) from error


_Skeleton = Annotated[Skeleton, PlainValidator(_as_skeleton), PlainSerializer(Skeleton.to_dict, return_type=dict)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Quantization(_Part):
    """Affine quantization of a whole tensor: value = (q - zero_point) * scale."""

    scale: float = Field(gt=0)
    zero_point: int
    dtype: Literal["int8", "uint8"] = "int8"


class Input(_Part):
    """The network's input: (pixel - mean) / std of a crop.

    Attributes:
        shape: batch, channels, height, width, in this order for either layout.
        layout: of the tensor that the file takes.
        dtype: of the tensor that the file takes; a uint8 file takes pixels and normalises them itself.
        colour: order of the channels; mean, std: of R, G, B in 0..255, whatever the order.
        padding: see `CropSpec`.
        quantization: that of the first quantize node inside an int8 program, fixed by the pixel range; None in a float one.
    """

    name: str = "images"
    shape: tuple[int, Literal[3], _Side, _Side]
    layout: Literal["NCHW", "NHWC"] = "NCHW"
    dtype: Literal["float32", "uint8"] = "float32"
    colour: Literal["RGB", "BGR"] = "RGB"
    mean: tuple[float, float, float]
    std: tuple[PositiveFloat, PositiveFloat, PositiveFloat]
    padding: PositiveFloat
    quantization: Quantization | None = None

    @property
    def tensor_shape(self) -> tuple[int, ...]:
        """Of the tensor that the file takes, in its layout."""
        batch, channels, height, width = self.shape
        return self.shape if self.layout == "NCHW" else (batch, height, width, channels)

    @property
    def spec(self) -> CropSpec:
        """The crop that the network takes."""
        _, _, height, width = self.shape
        return CropSpec(width, height, self.mean, self.std, self.padding, self.colour)


class Output(_Part):
    """One output tensor; `quantization` is None where it leaves the network in float."""

    name: Literal["coords", "scores"]
    shape: tuple[int, ...]
    dtype: Literal["float32"] = "float32"
    quantization: Quantization | None = None


class Coverage(_Part):
    """How much of an artefact its backend runs, and how much of the arithmetic is int8.

    Attributes:
        delegates: number of subgraphs that the backend runs; 1 means that the graph was not split.
        delegated, undelegated: operator -> number of nodes inside and outside those subgraphs.
        undelegated_nodes: names of the nodes outside.
        int8_ops: share of the operators with arithmetic (convolution, linear, matrix product) that run in int8.
        int8_macs: share of the multiply-adds of convolutions and linears that run in int8.
        float_matmul_macs: share of all multiply-adds that are matrix products of two activations (attention) in float.
    """

    delegates: int = Field(ge=0)
    delegated: dict[str, int]
    undelegated: dict[str, int]
    undelegated_nodes: list[str]
    int8_ops: float = Field(ge=0, le=1)
    int8_macs: float = Field(ge=0, le=1)
    float_matmul_macs: float = Field(ge=0, le=1)


class Prediction(_Part):
    """coords [K][2] in 0..1 and scores [K] for one crop."""

    coords: list[tuple[float, float]]
    scores: list[float]


class Golden(_Part):
    """A crop that any device can replay, and the predictions for it.

    Attributes:
        crop: uint8 RGB [height, width, 3], deflated (zlib), in base64, see `pack`.
        expected: `fp32`, `int8`: of the torch programs. `lowered`: of the artefact in the backend's runtime on the host.
    """

    crop: str
    expected: dict[Role, Prediction]

    def pixels(self, width: int, height: int) -> np.ndarray:
        """The crop, unpacked: uint8 [height, width, 3].

        Raises:
            ValueError: it cannot be unpacked, or is of another size.
        """
        size = height * width * 3
        try:
            data = zlib.decompressobj().decompress(base64.b64decode(self.crop), size + 1)  # no more memory than that
        except zlib.error as error:
            raise ValueError(f"golden.crop cannot be unpacked ({error})") from error
        if len(data) != size:
            raise ValueError(f"golden.crop is not one of {width}x{height} RGB pixels")
        return np.frombuffer(data, np.uint8).reshape(height, width, 3)


def _listed(tensors: Sequence[TensorType]) -> str:
    return ", ".join(f"{dtype} {tuple(shape)}" for dtype, shape in tensors)


class Card(_Part):
    """See the module.

    Attributes:
        student: name of the network, a key of `pose.models.MODELS` for ours.
        skeleton: the K joints of the outputs, in their order.
        scheme: quantization scheme of the int8 program.
        float_modules: modules that stay float in it, the exceptions to the precision policy.
        files: name -> sha256 of the files that the card describes.
        sources: role (weights, calibration, program, ...) -> sha256 of what they were made from.
        versions: library -> version.
        metrics: measured values, by the commands' names for them.
    """

    schema_version: Literal[3] = SCHEMA
    student: Name
    skeleton: _Skeleton
    target: str = "torch"
    precision: Precision | None = None
    input: Input
    outputs: tuple[Output, Output]
    scheme: Literal["affine", "symmetric", "integer"]
    float_modules: list[str]
    coverage: Coverage | None = None
    files: dict[Name, Digest]
    sources: dict[str, Digest]
    versions: dict[str, str]
    metrics: dict[str, JsonValue] = {}
    golden: Golden
    created: str = Field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))

    @model_validator(mode="after")
    def _fits_its_skeleton(self) -> Card:
        keypoints, batch = len(self.skeleton), self.input.shape[0]
        shapes = {output.name: output.shape for output in self.outputs}
        joints = {"coords": (batch, keypoints, 2), "scores": (batch, keypoints)}
        of_queries = {"coords": (batch, self.queries, 2), "scores": (batch, self.queries, keypoints)}
        if shapes != (joints if self.queries < keypoints else of_queries):
            raise ValueError(f"outputs {shapes} are not coords and scores of {self.skeleton.name} at batch {batch}")
        self.golden.pixels(self.spec.width, self.spec.height)
        for name, answer in self.golden.expected.items():
            if not len(answer.coords) == len(answer.scores) == keypoints:
                raise ValueError(f"golden.expected.{name} has other than {keypoints} keypoints")
        return self

    @property
    def spec(self) -> CropSpec:
        """The crop that the network takes."""
        return self.input.spec

    @property
    def queries(self) -> int:
        """Number of queries of a network whose joints are assigned to queries after it ran (`pose.decode`); 0 of others."""
        return self.outputs[0].shape[1] if len(self.outputs[1].shape) > 2 else 0

    def verify(self, path: Path) -> None:
        """Raises InputError unless `path` is one of the card's files, byte for byte."""
        path = Path(path)
        if path.name not in self.files:
            raise InputError(
                f"{path}: its card describes {', '.join(self.files)}; keep the names of an artefact and its card"
            )
        if not path.exists():
            raise InputError(f"{path} is missing; export it again")
        if digest(path) != self.files[path.name]:
            raise InputError(f"{path} is not the file its card describes (sha256 differs); export it again")

    def verify_artefact(self, path: Path) -> None:
        """Raises InputError unless `path` is the one file that the card describes, byte for byte."""
        self.verify(path)
        self.require_files(card_path(path), [Path(path).name])

    def require_files(self, where: Path, names: Sequence[str]) -> None:
        """Raises InputError unless the card states the sha256 of these files and of no others.

        Args:
            where: the card, for the message.
        """
        missing, extra = [name for name in names if name not in self.files], sorted(set(self.files) - set(names))
        if missing:
            raise InputError(f"{where} has no sha256 of {', '.join(missing)}, which belongs to it; make it again")
        if extra:
            raise InputError(f"{where} has the sha256 of {', '.join(extra)}, which does not belong to it; make it again")

    def require_interface(self, path: Path, inputs: Sequence[TensorType], outputs: Sequence[TensorType]) -> None:
        """Raises InputError unless a file maps one input to coords and scores, in this order, of the card's types.

        Args:
            path: of the file, for the message.
            inputs, outputs: what the file takes and answers, as its runtime tells.
        """
        stated: tuple[list[TensorType], list[TensorType]] = (
            [(self.input.dtype, self.input.tensor_shape)],
            [(output.dtype, output.shape) for output in self.outputs],
        )
        for verb, actual, expected in zip(("takes", "answers"), (inputs, outputs), stated, strict=True):
            does, says = _listed(actual), _listed(expected)
            if does != says:
                raise InputError(f"{path} {verb} {does or 'nothing'}, its card says {says}; make it again")

    def instructions(self) -> str:
        """How an app uses the file, as text of several lines: from an image and a box to keypoints in the image."""
        take, width, height = self.input, self.spec.width, self.spec.height
        coords, scores = (f"Tensor '{output.name}': {output.dtype} {list(output.shape)}" for output in self.outputs)
        mean, std = (self.spec.in_channel_order(values).tolist() for values in (take.mean, take.std))
        normalised = f"(pixel - mean) / std, pixels 0..255, mean {mean}, std {std}"
        lines = (
            f"Input: the crop of one person. Output: {len(self.skeleton)} keypoints.",
            "1. Box of the person (x, y, w, h) in image pixels, the centre of a pixel at its integer index.",
            f"   Image pixels per crop pixel: s = {take.padding} * max(w / {width}, h / {height}).",
            f"2. Crop of {width} x {height} pixels, bilinear, black outside the image: crop pixel (i, j) is the image at",
            f"   (x + w / 2 + (i - {width / 2:g}) * s, y + h / 2 + (j - {height / 2:g}) * s).",
            f"3. Tensor '{take.name}': {take.dtype} {list(take.tensor_shape)} ({take.layout}), "
            f"channels in the order {take.colour}:",
            f"   {'pixels 0..255' if take.dtype == 'uint8' else normalised}.",
            f"4. {coords}: x, y of each {'query' if self.queries else 'joint'} in 0..1 of the crop; in the image they are",
            f"   (x + w / 2 + (coords_x - 0.5) * {width} * s, y + h / 2 + (coords_y - 0.5) * {height} * s).",
            f"5. {scores}: {self._scores()}.",
            "To test an app: 'golden' holds a crop (RGB bytes, row by row, zlib, base64) and its expected outputs.",
        )
        return "\n".join(lines)

    def _scores(self) -> str:
        if not self.queries:
            return "confidence of each joint, about 0..1"
        return "probability that a query is a joint; give each joint a query of its own so that the sum is largest"

    def as_yaml(self) -> str:
        """The YAML, the `instructions` as a comment above it."""
        comment = "".join(f"# {line}\n" for line in self.instructions().splitlines())
        return comment + yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, width=120, default_flow_style=None)

    def write(self, path: Path) -> None:
        """Write the YAML atomically."""
        write_text(path, self.as_yaml())


def read(path: Path) -> Card:
    """The card in a YAML file.

    Raises:
        InputError: the file is missing, truncated or of another schema version, or a field is missing, unknown or wrong.
    """
    path = Path(path)
    if not os.path.exists(path):  # noqa: PTH110 - Path.exists raises on a name that is too long
        _require_no_folder(path)
        raise InputError(f"cannot read the card {path}: No such file or directory; export it again")
    value = read_yaml_value(path)
    if not isinstance(value, dict):
        raise InputError(f"{path} is not a card: it holds no fields; export again")
    if value.get("schema_version") != SCHEMA:
        raise InputError(
            f"{path} has schema version {value.get('schema_version')!r:.40}, this toolkit reads {SCHEMA}; export again"
        )
    missing = [field for field in Card.model_fields if field not in value]  # a truncated card may still be valid YAML
    if missing:
        raise InputError(f"{path}: {missing[0]}: missing; is it truncated? export again")
    try:
        return Card.model_validate(value)
    except ValidationError as error:
        field, reason = first_problem(error)
        raise InputError(f"{path}: {field or 'card'}: {one_line(reason)}; export again") from error


def _require_no_folder(path: Path) -> None:
    """Raises InputError for the card of what is a folder of artefacts: `dist` for `dist/x.pte`."""
    folder = path.with_name(path.name.removesuffix(CARD_SUFFIX))
    inside = sorted(folder.glob(f"*{CARD_SUFFIX}")) if os.path.isdir(folder) else []  # noqa: PTH112 - as above
    if inside:
        shown = [str(one).removesuffix(CARD_SUFFIX) for one in inside[:4]] + (["..."] if inside[4:] else [])
        raise InputError(f"{folder} is a folder of artefacts; name one of them: {', '.join(shown)}")


def card_path(artefact: Path) -> Path:
    """The path of an artefact's card: `x.pte` -> `x.pte.card.yaml`.

    Raises:
        InputError: the path has no name: `.` or `/`.
    """
    artefact = Path(artefact)
    if not artefact.name:
        raise InputError(f"{artefact} is a folder, not an artefact; name a file that edge.export wrote")
    return artefact.with_name(artefact.name + CARD_SUFFIX)


def digest(path: Path) -> str:
    """sha256 of a file, or of a folder's files with their relative names.

    Raises:
        InputError: a file cannot be read, or something in the folder is neither a file nor a folder.
    """
    path = Path(path)
    if not path.is_dir():
        return sha256(path)
    entries = sorted(path.rglob("*"))
    for entry in entries:
        if entry.is_symlink() or not (entry.is_file() or entry.is_dir()):
            raise InputError(f"{entry} is a link, pipe, socket or device, which {path.name} cannot hold; export it again")
    files = [entry for entry in entries if entry.is_file()]
    lines = [f"{sha256(file)}  {file.relative_to(path).as_posix()}\n" for file in files]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def pack(crop: np.ndarray) -> str:
    """Pixels uint8 [height, width, 3] as the text of `Golden.crop`."""
    return base64.b64encode(zlib.compress(crop.tobytes(), 9)).decode()
