"""docs/lowering.md: its table shows the results in this repository, and the functions that it names exist."""

from __future__ import annotations

import json
import re

import pytest
from documents import DOCS

from edge.evaluate.npu import NpuEstimate

TEXT = (DOCS / "lowering.md").read_text(encoding="utf-8")
RESULTS = {"distilpose_edge": "photos", "distilpose_s": "drawn"}


@pytest.mark.parametrize("student", RESULTS)
def test_the_table_of_delegates_shows_the_results(student: str) -> None:
    path = DOCS.parent / "results" / RESULTS[student] / "targets" / "export.json"
    rows = {row["target"]: row for row in json.loads(path.read_text())["artefacts"] if row["precision"] == "int8"}
    counts = [str(rows[target]["coverage"]["delegates"]) for target in ("executorch", "tflite", "onnx", "coreml")]
    assert f"| `{student}`: subgraphs in the delegate | {' | '.join(counts)} |" in TEXT


def test_the_operators_outside_are_those_of_the_results() -> None:
    outside = {}
    for student, folder in RESULTS.items():
        rows = json.loads((DOCS.parent / "results" / folder / "targets" / "export.json").read_text())["artefacts"]
        for row in rows:
            if row["precision"] == "int8":
                outside[student, row["target"]] = row["coverage"]["undelegated"]
    norms = [outside[student, "executorch"].get("native_layer_norm", 0) for student in RESULTS]
    gelus = [outside[student, "tflite"].get("gelu int8", 0) for student in RESULTS]
    assert f"LayerNorm ({norms[0]}, {norms[1]}) | int8 GELU ({gelus[0]}, {gelus[1]})" in TEXT


def test_the_table_of_the_npu_shows_the_results() -> None:
    rows = json.loads((DOCS.parent / "results" / "photos" / "targets" / "npu.json").read_text())
    for scheme, row in zip(("affine", "integer"), map(NpuEstimate.model_validate, rows), strict=True):
        cpu = f"{row.cpu_operators} ({row.cpu_operators / row.operators:.0%})"
        shares = f"{row.operators} | {cpu} | {1 - row.cpu_macs / row.macs:.1%} | {row.cycles / 1e6:.2f} M"
        assert f"| {row.column} | operators" in TEXT
        assert f"| `distilpose_edge` ({scheme}) | {shares} |" in TEXT


def test_the_functions_that_it_names_exist() -> None:
    sources = "".join(path.read_text() for path in (DOCS.parent / "targets").rglob("*.py"))
    names = re.findall(r"`(?:graph|qdq|flatbuffer|backend)\.(\w+)`", TEXT) + re.findall(r"^\| `(\w+)`, ", TEXT, re.MULTILINE)
    assert len(names) >= 10
    for name in names:
        assert f"def {name}(" in sources, name
