"""The card: what a program or an artefact is, what it came from and what it should answer. One YAML beside each.

A program (the folder that quantization writes: `student_fp32.pt2`, `student_int8.pt2`, `card.yaml`) and an artefact (what a
target made of one of the two: `x.pte` and `x.pte.card.yaml`) carry the same card; an artefact's also says `target`,
`precision` and `coverage`.
"""

from __future__ import annotations

import base64
import hashlib
import zlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import yaml
from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, ValidationError, model_validator

from pose.crop import CropSpec
from pose.errors import InputError
from pose.files import sha256, write_text
from pose.skeleton import SKELETONS

SCHEMA: Literal[2] = 2
Precision = Literal["fp32", "fp16", "int8"]  # of an artefact; fp16 is made of the float program
Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
_Side = Annotated[int, Field(ge=1, le=4096)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Quantization(_Part):
    """Affine quantization: value = (q - zero_point) * scale, of the whole tensor."""

    scale: float = Field(gt=0)
    zero_point: int
    dtype: Literal["int8", "uint8"] = "int8"


class Input(_Part):
    """The network's input: (pixel - mean) / std of a crop in RGB.

    Attributes:
        shape: batch, channels, height, width, whatever the layout.
        layout: how the file itself wants them; a `Runner` takes NCHW of every file.
        dtype: a uint8 file takes the pixels and does mean and std itself; a `Runner` takes normalised float32 of every file.
        mean, std: in 0..255.
        padding: see `CropSpec`.
        quantization: that of the first quantize node inside an int8 program, fixed by the pixel range; None in a float one.
    """

    name: str = "images"
    shape: tuple[int, Literal[3], _Side, _Side]
    layout: Literal["NCHW", "NHWC"] = "NCHW"
    dtype: Literal["float32", "uint8"] = "float32"
    colour: Literal["RGB"] = "RGB"
    mean: tuple[float, float, float]
    std: tuple[PositiveFloat, PositiveFloat, PositiveFloat]
    padding: PositiveFloat
    quantization: Quantization | None = None


class Output(_Part):
    """One output tensor; `quantization` is None where it leaves the network in float."""

    name: Literal["coords", "scores"]
    shape: tuple[int, ...]
    dtype: Literal["float32"] = "float32"
    quantization: Quantization | None = None


class Coverage(_Part):
    """How much of an artefact its backend took, and how much of the arithmetic is int8.

    Attributes:
        delegates: number of subgraphs handed to the backend; 1 means that the graph was never split.
        delegated, undelegated: operator -> number of nodes inside and outside those subgraphs.
        undelegated_nodes: names of the nodes that stay outside.
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
    """A crop that any device can replay, and who answered what to it.

    Attributes:
        crop: uint8 RGB [height, width, 3], deflated (zlib), in base64; `pack` makes it.
        expected: `fp32` and `int8` are the torch programs; `lowered` is the artefact in the backend's runtime on the host.
    """

    crop: str
    expected: dict[Literal["fp32", "int8", "lowered"], Prediction]

    def pixels(self, width: int, height: int) -> np.ndarray:
        """The crop, unpacked: uint8 [height, width, 3].

        Raises:
            ValueError: it is not one of that size.
        """
        size = height * width * 3
        try:
            data = zlib.decompressobj().decompress(base64.b64decode(self.crop), size + 1)  # never more, whatever it claims
        except zlib.error as error:
            raise ValueError(f"golden.crop cannot be unpacked ({error})") from error
        if len(data) != size:
            raise ValueError(f"golden.crop is not one of {width}x{height} RGB pixels")
        return np.frombuffer(data, np.uint8).reshape(height, width, 3)


class Card(_Part):
    """See the module.

    Attributes:
        student: key of `pose.models.MODELS`.
        scheme: of the int8 program.
        float_modules: modules that stay float in it, each an exception to the precision policy's rule.
        files: name -> sha256 of what the card describes.
        sources: role (weights, calibration, program, ...) -> sha256 of what it was made from.
        versions: library -> version.
        metrics: what was measured, as the commands name it.
    """

    schema_version: Literal[2] = SCHEMA
    student: str
    skeleton: str
    target: str = "torch"
    precision: Precision | None = None
    input: Input
    outputs: tuple[Output, Output]
    scheme: Literal["affine", "symmetric"]
    float_modules: list[str]
    coverage: Coverage | None = None
    files: dict[str, Digest]
    sources: dict[str, Digest]
    versions: dict[str, str]
    metrics: dict[str, Any] = {}
    golden: Golden
    created: str = Field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))

    @model_validator(mode="after")
    def _fits_its_skeleton(self) -> Card:
        if self.skeleton not in SKELETONS:
            raise ValueError(f"skeleton '{self.skeleton}' is not known")
        keypoints, batch = len(SKELETONS[self.skeleton]), self.input.shape[0]
        shapes = {output.name: output.shape for output in self.outputs}
        if shapes != {"coords": (batch, keypoints, 2), "scores": (batch, keypoints)}:
            raise ValueError(f"outputs {shapes} are not coords and scores of {self.skeleton} at batch {batch}")
        self.golden.pixels(self.spec.width, self.spec.height)
        for name, answer in self.golden.expected.items():
            if not len(answer.coords) == len(answer.scores) == keypoints:
                raise ValueError(f"golden.expected.{name} has other than {keypoints} keypoints")
        return self

    @property
    def spec(self) -> CropSpec:
        """What the network wants to see of a person."""
        _, _, height, width = self.input.shape
        return CropSpec(width, height, self.input.mean, self.input.std, self.input.padding)

    def verify(self, path: Path) -> None:
        """Raises InputError unless `path` is one of the card's files, byte for byte."""
        path = Path(path)
        if path.name not in self.files:
            raise InputError(f"{path}: its card describes {', '.join(self.files)}; keep an artefact's name and its card's")
        if not path.exists():
            raise InputError(f"{path} is missing; export it again")
        if digest(path) != self.files[path.name]:
            raise InputError(f"{path} is not the file its card describes (sha256 differs); export it again")

    def write(self, path: Path) -> None:
        """Write the YAML, whole or not at all."""
        write_text(path, yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, width=120))


def read(path: Path) -> Card:
    """The card in a YAML file.

    Raises:
        InputError: missing, truncated, of another schema version, or with a field missing, unknown or out of range.
    """
    path = Path(path)
    try:
        value = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot read the card {path}: {error.strerror or error}") from error
    except Exception as error:  # PyYAML's constructors of tagged values raise whatever they meet
        raise InputError(f"{path} is not valid YAML ({_one_line(error)}); is it truncated?") from error
    if not isinstance(value, dict):
        raise InputError(f"{path} is not a card: it holds no fields; export again")
    if value.get("schema_version") != SCHEMA:
        raise InputError(
            f"{path} has schema version {value.get('schema_version')}, this toolkit reads {SCHEMA}; export again"
        )
    missing = [field for field in Card.model_fields if field not in value]  # written cards are complete: a cut one is not
    if missing:
        raise InputError(f"{path}: {missing[0]}: missing; is it truncated? export again")
    try:
        return Card.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "card"
        raise InputError(f"{path}: {where}: {_one_line(first['msg'])}; export again") from error


def card_path(artefact: Path) -> Path:
    """Where an artefact's card lies: `x.pte` -> `x.pte.card.yaml`."""
    artefact = Path(artefact)
    return artefact.with_name(f"{artefact.name}.card.yaml")


def digest(path: Path) -> str:
    """sha256 of a file, or of a folder's files with their relative names."""
    path = Path(path)
    if not path.is_dir():
        return sha256(path)
    files = sorted(file for file in path.rglob("*") if file.is_file())
    lines = [f"{sha256(file)}  {file.relative_to(path).as_posix()}\n" for file in files]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def pack(crop: np.ndarray) -> str:
    """`Golden.crop` of pixels uint8 [height, width, 3]."""
    return base64.b64encode(zlib.compress(crop.tobytes(), 9)).decode()


def _one_line(text: object) -> str:
    return " ".join(str(text).split())
