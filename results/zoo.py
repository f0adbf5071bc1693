"""`python results/zoo.py`: counts the networks that `zoo.yaml` lists into `zoo.json`; docs/zoo.md is made of both.

It is run in a clone, from its root, and is no command of the package.
"""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pose.crop import CropSpec

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # a script's path begins with its own folder

from pose.errors import InputError  # noqa: E402
from pose.files import read_yaml, write_json  # noqa: E402

_HEAD = (
    "| network | system | role | crop | parameters, M | multiply-adds, G: layers, attention | as its paper counts, G "
    "| the paper: M, G | published AP | licence of the original | ms here: float, int8 |",
    "| --- | --- | --- | --- | ---: | ---: | ---: | ---: | ---: | --- | ---: |",
)


@dataclass(frozen=True)
class Row:
    """A row of the paper's tables, or of its repository's.

    Attributes:
        model: in `pose.models.MODELS`. crop: (width, height), where it is not the registered one.
        system, licence: name and licence of the original.
        way: of counting, a key of `pose.models.profile.WAYS`.
        paper: parameters in M and G as printed. ap: on COCO val2017, as published.
    """

    model: str
    system: str
    licence: str
    way: str
    paper: tuple[float, float] | None = None
    ap: float | None = None
    crop: tuple[int, int] | None = None

    @property
    def key(self) -> str:
        """Of the counts in `zoo.json`."""
        return self.model if self.crop is None else f"{self.model} at {self.crop[0]}x{self.crop[1]}"

    def crop_spec(self) -> CropSpec:
        """Of the network at the row's size."""
        from pose.models import MODELS

        crop = MODELS[self.model].crop
        return crop if self.crop is None else replace(crop, width=self.crop[0], height=self.crop[1])


@dataclass(frozen=True)
class Size:
    """Of a network for a crop.

    Attributes:
        parameters: without a fixed position embedding and parts for training alone.
        layers, attention: multiply-adds, see `pose.models.profile.Operations`. as_paper: G, in the row's way.
    """

    parameters: int
    width: int
    height: int
    layers: int
    attention: int
    as_paper: float


@dataclass(frozen=True)
class Time:
    """Of a network for a crop, ms; `results/zoo_times.py` measures it.

    Attributes:
        turns: of which they are medians. processor: its name, and which of its instructions matter to int8.
    """

    fp32: float
    int8: float | None
    turns: int
    processor: str


def count(row: Row) -> Size:
    """The size of a network, of which nothing is computed: its tensors have shapes alone."""
    from torch._subclasses.fake_tensor import FakeTensorMode

    from pose.models import build
    from pose.models.profile import WAYS, operations, parameters

    crop = row.crop_spec()
    with FakeTensorMode():
        model = build(row.model)
        work = operations(model, crop)
    return Size(parameters(model), crop.width, crop.height, work.layers, work.attention, WAYS[row.way](work))


def table(folder: Path) -> str:
    """Markdown of `folder/zoo.yaml`; empty if there is no such file.

    Raises:
        InputError: a file is missing, or not what it should be.
    """
    if not (folder / "zoo.yaml").exists():
        return ""
    rows: list[Row] = read_yaml(folder / "zoo.yaml", list[Row])
    sizes: dict[str, Size] = read_yaml(folder / "zoo.json", dict[str, Size])
    if missing := [row.key for row in rows if row.key not in sizes]:
        raise InputError(f"{folder / 'zoo.json'} lacks {', '.join(missing)}; run python results/zoo.py")
    times: dict[str, Time] = {}
    if (folder / "zoo_times.json").exists():
        times = read_yaml(folder / "zoo_times.json", dict[str, Time])
    return "\n".join([*_HEAD, *(_line(row, sizes[row.key], times.get(row.key)) for row in rows)])


def _line(row: Row, size: Size, time: Time | None) -> str:
    from pose.models import MODELS

    cells = [
        row.model,
        row.system,
        "teacher" if MODELS[row.model].teacher else "student",
        f"{size.width}x{size.height}",
        f"{size.parameters / 1e6:.2f}",
        f"{size.layers / 1e9:.2f}" + (f", {size.attention / 1e9:.2f}" if size.attention else ""),
        f"{size.as_paper:.2f}",
        "" if row.paper is None else f"{row.paper[0]}, {row.paper[1]:.2f}",
        "" if row.ap is None else f"{row.ap:.1f}",
        row.licence,
        "" if time is None else _milliseconds(time),
    ]
    return f"| {' | '.join(cells)} |"


def _milliseconds(time: Time) -> str:
    return f"{time.fp32:.1f}" if time.int8 is None else f"{time.fp32:.1f}, {time.int8:.1f}"


def main() -> None:
    """Count every network that `zoo.yaml` lists."""
    folder = ROOT / "results"
    rows: list[Row] = read_yaml(folder / "zoo.yaml", list[Row])
    write_json(folder / "zoo.json", {row.key: asdict(count(row)) for row in rows})


if __name__ == "__main__":
    main()
