"""The schema of a foreign teacher's YAML: what its network takes, and what its outputs mean; see docs/add-a-teacher.md."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from pose import decode, published_decoding
from pose.crop import require_pixels
from pose.heatmaps import Activation, GridKind

_Triple = tuple[float, float, float]
_Layout = Literal["NHWC", "NCHW"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


_Side = Annotated[int, Field(ge=1, le=4096)]  # pixels; of an axis that the file leaves open, only the YAML says how many


class Input(_Part):
    """The network takes (pixel - mean) / std, pixels 0..255; mean and std are in the order R, G, B whatever `colour` is.

    A quantized TFLite input takes the integers that its file gives these numbers. Without mean and std, an integer input
    takes the pixels as they are; int8, whose lowest value is -128, takes pixel - 128.
    """

    width: _Side
    height: _Side
    layout: _Layout = "NHWC"
    dtype: Literal["float32", "int32", "uint8", "int8"] = "float32"
    colour: Literal["RGB", "BGR"] = "RGB"
    mean: _Triple = (0.0, 0.0, 0.0)
    std: _Triple = (1.0, 1.0, 1.0)

    @field_validator("std")
    @classmethod
    def _positive(cls, std: _Triple) -> _Triple:
        if min(std) <= 0:
            raise ValueError("must be above 0")
        return std

    @model_validator(mode="after")
    def _of_pixels(self) -> Input:
        require_pixels(self.mean, self.std)
        return self

    @property
    def takes_pixels(self) -> bool:
        """Whether the network takes the pixels as they are."""
        return self.mean == (0.0, 0.0, 0.0) and self.std == (1.0, 1.0, 1.0)


_Scale = Annotated[float, Field(gt=0)]


class Heatmaps(_Part):
    """The output with one channel per joint; `joints` names them in the file's order, null where the skeleton has none.

    In a `grid` of cells, heatmap index u lies at (u + offset) / width of the crop; one of corners reaches from the centre of
    the crop's first pixel to that of its last one (UDP, PoseNet). A heatmap is activation((value - zero_point) * scale), so
    that it is about 0 beside a joint and about 1 on it; scale and zero_point are one number, or one for each channel.
    """

    output: str
    layout: _Layout = "NHWC"
    joints: tuple[str | None, ...]
    grid: GridKind = "cells"
    offset: float = 0.0
    activation: Activation = "none"
    scale: _Scale | tuple[_Scale, ...] = 1.0
    zero_point: int | tuple[int, ...] | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Heatmaps:
        if self.grid == "corners" and self.offset:
            raise ValueError("offset is of a grid of cells; leave it out with grid: corners")
        for name, value in (("scale", self.scale), ("zero_point", self.zero_point)):
            if isinstance(value, tuple) and len(value) != len(self.joints):
                raise ValueError(f"{name} has {len(value)} numbers for {len(self.joints)} channels")
        return self


class SimCC(_Part):
    """Two outputs of one distribution per joint each, over the columns and over the rows of the crop (Li et al., ECCV 2022).

    Bin i is at pixel i / split. A value is activation(output) * scale, about 1 at a joint that is certain; `softmax` turns
    logits into probabilities. `joints` names the channels in the file's order, null where the skeleton has none.
    """

    x: str
    y: str
    joints: tuple[str | None, ...]
    split: float = Field(default=2.0, gt=0)
    activation: Literal["none", "softmax"] = "none"
    scale: _Scale = 1.0


class Decode(_Part):
    """See `pose.decode.decode`; `blur` is the kernel in cells, 0 for none."""

    method: decode.Method = "quarter"
    blur: int = Field(default=0, ge=0, le=99)
    window: int = Field(default=7, ge=1, le=99)

    @model_validator(mode="after")
    def _consistent(self) -> Decode:
        named = [name for name in ("blur", "window") if getattr(self, name) != type(self).model_fields[name].default]
        if self.method in published_decoding.METHODS and named:
            raise ValueError(f"{self.method} has a blur of its own, as published; leave out {' and '.join(named)}")
        if (self.blur and self.blur % 2 == 0) or self.window % 2 == 0:
            raise ValueError("blur and window must be odd")
        return self


class Keypoints(_Part):
    """An output with the keypoints themselves, one triple per channel: x and y in 0..1 of the crop, and a score.

    They are those of one person, whoever else is in the crop, and the heatmaps are reduced to this person.
    """

    output: str
    order: Literal["xys", "yxs"] = "xys"


class Centre(_Part):
    """Outputs of a network that is MoveNet without its last step: one person's keypoints are found in them by `pose.centre`.

    Of the layout of the heatmaps: `output` has one channel, the score of a person's centre; `displacements` from there and
    `offsets` within a joint's cell have two for each channel of the heatmaps, in cells, their `order` xy or yx.
    """

    output: str
    displacements: str
    offsets: str
    order: Literal["xy", "yx"] = "yx"


class TeacherFile(_Part):
    """The fields of a teacher's YAML.

    Attributes:
        skeleton: the name of a registered skeleton, or the path of a skeleton's YAML from the folder of this one.
        file: the model file; see `load_teacher` for where it is looked for.
        padding: see `CropSpec`.
        heatmaps, simcc: what its outputs are, one of the two; decode and keypoints are for heatmaps.
    """

    skeleton: str
    file: str
    input: Input
    padding: float = Field(default=1.25, gt=0)
    heatmaps: Heatmaps | None = None
    simcc: SimCC | None = None
    decode: Decode = Decode()
    keypoints: Keypoints | None = None
    centre: Centre | None = None

    @model_validator(mode="after")
    def _one_kind_of_output(self) -> TeacherFile:
        if (self.heatmaps is None) == (self.simcc is None):
            raise ValueError("describe the outputs as heatmaps or as simcc, one of the two")
        if self.simcc and (self.keypoints or self.centre or "decode" in self.model_fields_set):
            raise ValueError("decode, keypoints and centre are for heatmaps; leave them out beside simcc")
        if self.keypoints and self.centre:
            raise ValueError("keypoints and centre are two ways to find a person's keypoints; leave one out")
        return self

    @property
    def joints(self) -> tuple[str | None, ...]:
        """The joint of each channel; None where the skeleton has none."""
        part = self.heatmaps or self.simcc
        assert part is not None
        return part.joints
