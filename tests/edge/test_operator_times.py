"""`edge.bench --per-operator`: where the milliseconds go."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
from report_examples import bench, device
from tiny_onnx import write_tiny_onnx

from edge import dist
from edge.bench import main
from edge.evaluate.operators import operators
from edge.evaluate.timings import Bench, read_bench
from edge.report import collect, page
from edge.report import operators as operator_figures
from edge.report.model import Report, entries
from pose.errors import InputError
from pose.weights import bundled


def test_the_slowest_are_printed_and_all_are_in_the_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_tiny_onnx(tmp_path, "fp32")
    main(device=["local"], artefact=write_tiny_onnx(tmp_path), per_operator=True, json=tmp_path / "bench.json")
    printed = capsys.readouterr().out
    assert "fp32: the slowest of" in printed
    assert "int8: the slowest of" in printed
    (device,) = read_bench(tmp_path / "bench.json").devices
    assert device.int8 is not None
    times = device.int8.operators or []
    assert "GlobalAveragePool" in {one.kind for one in times}
    assert sum(one.share for one in times) == pytest.approx(1)
    assert [one.ms for one in times] == sorted((one.ms for one in times), reverse=True)
    assert min(one.ms for one in times) >= 0
    assert "operators" in json.loads((tmp_path / "bench.json").read_text())["devices"][0]["fp32"]


def test_milliseconds_are_those_of_one_inference(tmp_path: Path) -> None:
    write_tiny_onnx(tmp_path, "fp32")
    artefact, runs, start = dist.find(write_tiny_onnx(tmp_path)), 1000, time.perf_counter()
    total = runs * sum(one.ms for one in operators(artefact, threads=1, runs=runs)) / 1e3
    assert 0 < total < time.perf_counter() - start, "of all runs no more than the clock says"


def test_a_runtime_without_a_profiler_is_refused_with_those_that_have_one() -> None:
    with pytest.raises(InputError, match=r"target tflite has no profiler of operators.* executorch or onnx"):
        operators(dist.find(bundled() / "distilpose_edge-tflite-int8.tflite"), threads=1)


def test_a_float_artefact_alone_is_profiled(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(device=["local"], artefact=write_tiny_onnx(tmp_path, "fp32"), per_operator=True)
    assert "fp32: the slowest of" in capsys.readouterr().out


def report(**more: Any) -> Report:
    """Of twelve operators, each slower than the next; the slowest has a name of 100 characters and markup."""
    names = ["/block/" * 13 + "conv<b>&x", *(f"conv {number}" for number in range(11))]
    times = [{"name": name, "kind": "Conv", "ms": 2.0**-row, "share": 2.0 ** -(row + 1)} for row, name in enumerate(names)]
    timed = device(**more)
    timed["int8"] |= {"operators": times}
    return collect.collect([], [Bench.model_validate(bench(timed))])


def test_the_report_has_a_bar_for_each_of_the_ten_slowest() -> None:
    made = report()
    figures = [figure for entry in entries(made) if (figure := operator_figures.slowest(entry, "this host"))]
    (shown,) = figures  # those of the float twin were not timed
    bars = [float(width) for width in re.findall(r'<rect [^>]*width="([\d.]+)"[^>]*class="bar model int8"', shown.wide)]
    assert len(bars) == 10
    assert bars[0] == pytest.approx(2 * bars[1], abs=0.1)
    assert "conv 9" not in shown.wide
    assert ">…" in shown.wide
    assert "conv&lt;b&gt;&amp;x" in shown.wide
    assert "2 others take 0.001 ms." in shown.caption
    assert "conv 0 (Conv) 0.500 ms" in shown.alt
    assert "Slowest operators: " in page.render(made, [], "page.html.j2")


def test_no_operators_no_figure() -> None:
    for made in (report(emulated=True), collect.collect([], [Bench.model_validate(bench())])):
        assert "Slowest operators" not in page.render(made, [], "page.html.j2")
