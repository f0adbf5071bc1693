"""`python results/zoo_times.py`: times the networks of `zoo.yaml` in ExecuTorch on one thread into `zoo_times.json`.

Weights are random, as latency does not depend on them. A teacher is timed in float, a student in float and int8, in turns;
the time is that of the runtime alone, from an input that is ready. Lowered networks stay in --cache, so that the same
command goes on where it was stopped. It is run in a clone, from its root, and is no command of the package.
"""

from __future__ import annotations

import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Annotated, cast

import executorch.extension.pybindings.portable_lib as runtime
import torch
import typer
from torch import Tensor, nn

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # a script's path begins with its own folder

from edge.devices import facts  # noqa: E402
from edge.devices.local import Local  # noqa: E402
from pose import cli  # noqa: E402
from pose.crop import CropSpec  # noqa: E402
from pose.files import atomic_file, read_yaml, write_json  # noqa: E402
from pose.models import MODELS, build  # noqa: E402
from pose.models.protocols import Student  # noqa: E402
from quantize.calibrate import calibrate  # noqa: E402
from quantize.precision import FLOAT_MODULES, Precision  # noqa: E402
from quantize.program import finish, float_program, prepare  # noqa: E402
from results.zoo import Row, Time  # noqa: E402
from targets.executorch.backend import lower_graph  # noqa: E402
from targets.executorch.graph import for_xnnpack  # noqa: E402

_SECONDS, _LEAST = 6.0, 5  # of timing a network, and the fewest turns
_CALIBRATION = 2  # random crops: ranges only have to be finite


class _Heatmaps(nn.Module):
    def __init__(self, teacher: nn.Module) -> None:
        super().__init__()
        self.teacher = teacher

    def forward(self, images: Tensor) -> Tensor:
        return self.teacher(images).heatmaps


def lower(row: Row, cache: Path) -> dict[str, Path]:
    """The `.pte` files of a network, by precision; those that `cache` has are not made again."""
    precisions = ("fp32",) if MODELS[row.model].teacher else ("fp32", "int8")
    files = {precision: cache / f"{row.key.replace(' ', '-')}-{precision}.pte" for precision in precisions}
    for precision, path in files.items():
        if not path.exists():
            torch.manual_seed(0)
            graph = _graph(build(row.model).eval(), row.crop_spec(), precision)
            for_xnnpack(graph)
            content = lower_graph(graph, "xnnpack")[1]
            with atomic_file(path) as temporary:
                temporary.write_bytes(content)
    return files


def _graph(model: nn.Module, crop: CropSpec, precision: str) -> torch.export.ExportedProgram:
    if not isinstance(model, Student):
        return torch.export.export(_Heatmaps(model), (torch.zeros(1, 3, crop.height, crop.width),))
    form = cast(Student, model).deploy()
    if precision == "fp32":
        return float_program(form, crop)
    stay_float = tuple(name for name, _ in form.named_modules() if name in FLOAT_MODULES)
    crops = torch.randn(_CALIBRATION, 3, crop.height, crop.width)
    return finish(calibrate(prepare(form, Precision(float_modules=stay_float), crop), [crops]))


def _processor() -> str:
    here = facts.read(Local())
    return f"{here.cpu}, {' '.join(here.features)}"


def measure(row: Row, cache: Path) -> Time:
    """Time a network; the medians of its turns, without the first."""
    files, crop = lower(row, cache), row.crop_spec()
    runtime._unsafe_reset_threadpool(1)
    modules = {precision: runtime._load_for_executorch(str(path)) for precision, path in files.items()}
    image = torch.zeros(1, 3, crop.height, crop.width)
    taken: dict[str, list[float]] = {precision: [] for precision in modules}
    began = perf_counter()
    while perf_counter() - began < _SECONDS or len(taken["fp32"]) <= _LEAST:
        for precision, module in modules.items():
            start = perf_counter()
            module.forward([image])
            taken[precision].append((perf_counter() - start) * 1e3)
    middle = {precision: round(median(times[1:]), 2) for precision, times in taken.items()}
    return Time(middle["fp32"], middle.get("int8"), len(taken["fp32"]) - 1, _processor())


def main(
    networks: Annotated[list[str] | None, typer.Argument(help="Names in zoo.yaml [default: all of them].")] = None,
    cache: Annotated[Path, typer.Option(metavar="FOLDER", help="Folder of the lowered networks.")] = Path("runs/zoo"),
    lower_only: Annotated[bool, typer.Option("--lower-only", help="Lower what is not yet there, and time nothing.")] = False,
) -> None:
    """Time networks that `zoo.yaml` lists, each in a process of its own; the times of others stay in `zoo_times.json`."""
    cache.mkdir(parents=True, exist_ok=True)
    rows: list[Row] = read_yaml(ROOT / "results" / "zoo.yaml", list[Row])
    path = ROOT / "results" / "zoo_times.json"
    times: dict[str, Time] = read_yaml(path, dict[str, Time]) if path.exists() else {}
    with ProcessPoolExecutor(1, get_context("spawn"), max_tasks_per_child=1) as pool:
        for row in rows:
            if networks and row.model not in networks:
                continue
            done = pool.submit(lower if lower_only else measure, row, cache).result()
            cli.console().print(f"{row.key}: {done if isinstance(done, Time) else 'lowered'}")
            if isinstance(done, Time):
                times[row.key] = done
                write_json(path, {key: asdict(time) for key, time in times.items()})


if __name__ == "__main__":
    cli.run(main, "results/zoo_times.py", "python results/zoo_times.py")
