"""edge.bench of float16 and float artefacts, for boards without int8 arithmetic."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from edge import dist
from edge.bench import bench, main, twins
from edge.devices.local import Local
from edge.devices.session import Plan
from edge.evaluate import gates
from edge.evaluate.timings import read_bench
from edge.export import export
from edge.report.collect import collect
from edge.report.model import entries
from pose.errors import GateError, InputError


@pytest.fixture(scope="module")
def every(tiny_program: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an artefact of each precision; tests must not change it."""
    folder = tmp_path_factory.mktemp("every")
    for precision in ("int8", "fp16"):
        export(tiny_program, "onnx", precision, folder)  # type: ignore[arg-type]
    return folder


def without(folder: Path, to: Path, *precisions: str) -> dist.Dist:
    """A copy that lacks the artefacts of these precisions."""
    shutil.copytree(folder, to)
    for precision in precisions:
        for path in to.glob(f"tiny-onnx-{precision}*"):
            path.unlink()
    return dist.Dist(to)


def named(folder: dist.Dist, precision: str) -> dist.Artefact:
    return folder.artefact(folder.folder / f"tiny-onnx-{precision}.onnx")


def test_artefacts_that_are_timed_together(every: Path, tmp_path: Path) -> None:
    folder = dist.Dist(every)
    fp32, fp16, int8 = (named(folder, precision) for precision in ("fp32", "fp16", "int8"))
    assert twins(fp32) == twins(int8) == {"fp32": fp32, "int8": int8}
    assert twins(fp16) == {"fp32": fp32, "fp16": fp16}
    folder = without(every, tmp_path / "float", "int8")
    fp32, fp16 = (named(folder, precision) for precision in ("fp32", "fp16"))
    assert twins(fp16) == twins(fp32) == {"fp32": fp32, "fp16": fp16}
    alone = named(without(every, tmp_path / "fp32", "int8", "fp16"), "fp32")
    assert twins(alone) == {"fp32": alone}
    with pytest.raises(InputError, match="no fp32 artefact of the same program lies beside"):
        twins(named(without(every, tmp_path / "fp16", "fp32"), "fp16"))


def test_float_artefacts_are_timed_without_int8(every: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, out = without(every, tmp_path / "dist", "int8"), tmp_path / "bench.json"
    main(["local"], named(folder, "fp16").path, max_p90_ms=1e6, json=out)
    result = json.loads(out.read_text())
    assert set(result["artefacts"]) == {"fp32", "fp16"}
    (device,) = result["devices"]
    assert (device["fp32"]["latency_ms"]["runs"], device["fp16"]["latency_ms"]["runs"], device["int8"]) == (200, 200, None)
    assert "fp16" in capsys.readouterr().out
    record = read_bench(out)
    rows = entries(collect([], [record]))
    assert [(row.precision, row.latency is not None) for row in rows] == [("fp32", True), ("fp16", True)]
    with pytest.raises(GateError, match="p90 latency, onnx on local"):
        gates.require(gates.latency([record], {None: 1e-9}))


def test_a_float_artefact_alone(every: Path, tmp_path: Path) -> None:
    alone: Any = named(without(every, tmp_path / "dist", "int8", "fp16"), "fp32")
    (device,) = bench(Plan({"fp32": alone}, "quick", 20, 0.0), [Local()]).devices
    assert device.error is None
    assert device.fp32.latency_ms.runs == 20
    assert (device.fp16, device.int8) == (None, None)
