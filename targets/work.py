"""What a network computes: the multiply-adds of one inference, read from its file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pose.errors import InputError
from pose.files import LARGEST, read_bytes


@dataclass(frozen=True)
class Work:
    """Of one inference.

    Attributes:
        multiply_adds: of convolutions, fully connected layers and matrix products.
        int8: how many of them multiply int8 by int8.
    """

    multiply_adds: int
    int8: int

    @property
    def is_int8(self) -> bool:
        """Whether most of it is in int8."""
        return 2 * self.int8 > self.multiply_adds


def work_of(path: Path) -> Work | None:
    """The work of a `.tflite` or `.onnx`; None of another kind of file, which says less about itself.

    Raises:
        InputError: the file cannot be read as what its name says.
    """
    if path.suffix == ".tflite":
        from targets.tflite import flatbuffer

        content = read_bytes(path, LARGEST)
        flatbuffer.require_plain(content, path)
        operators = flatbuffer.read(content)[1]
        return Work(sum(one.macs for one in operators), sum(one.macs for one in operators if one.is_int8))
    if path.suffix == ".onnx":
        import onnx

        from targets.onnx.work import layers

        try:
            sizes = layers(onnx.load(path, load_external_data=False))
        except Exception as error:  # of protobuf and of shape inference
            raise InputError(f"{path} is not a whole .onnx file; export it again") from error
        return Work(sum(macs for macs, _ in sizes), sum(macs for macs, is_int8 in sizes if is_int8))
    return None
