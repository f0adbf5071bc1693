"""The documents' tables of results, from files of the commands."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from report_examples import bench, check, column

from edge.evaluate.records import read_check, read_checks, read_teacher_score
from edge.evaluate.timings import read_bench
from pose.errors import GateError, InputError
from results.render import REGIONS, render, tables, with_tables

ROOT = Path(__file__).parents[2]
INDEX = "- {name: x, int8: {PTQ: {check: qat/check.json, bench: qat/bench.json}}}"


def test_the_tables_are_made_of_files(measured: Path) -> None:
    (measured / "table.yaml").write_text(
        "- name: one\n  readme: true\n  int8:\n    PTQ: {check: ptq/check.json, bench: ptq/bench.json}\n"
        "    QAT: {check: qat/check.json}\n"
        "  targets: {int8: all.json, fp16: half.json}\n"
        "- {name: its teacher, teacher: teacher.json}\n"
    )
    pixels = {"keypoint_px": {"median": 0.25, "p99": 1.5}, "fake_quant_px": {"median": 0.1, "p99": 2}}
    columns = dict.fromkeys(("fp32", "fake_quant", "lowered"), column(60.0, 9.0, **pixels))
    twin = {"bytes": 4_000_000, "torch_px": {"median": 0.0001, "p99": 0.0004}}
    example = check(**columns, bytes=3_000_000, float_twin=twin)
    many = {name: {**example, "target": name[:6], "precision": "int8"} for name in ("onnx", "coreml-float16")}
    (measured / "all.json").write_text(json.dumps({"targets": many}))
    (measured / "half.json").write_text(json.dumps({**example, "target": "coreml", "precision": "fp16"}))
    teacher = {"teacher": "it", "joints": ["nose"], "data": "people.json", "ap": 90.0, "pck": 95.5, "persons": 5}
    (measured / "teacher.json").write_text(json.dumps(teacher))
    made = {name: rows.splitlines() for name, rows in tables(measured).items()}
    assert made["results-all"][2:] == [
        "| one | 5 | fp32 | 80.0 | 90.0 |  |  | 20.0 | 4.0 |",
        "|  |  | PTQ: fake-quant | 70.0 | 90.0 | 0.25, 1.50 |  |  |  |",
        "|  |  | PTQ: executorch | 70.0 | 90.0 | 0.25, 1.50 | 0.10, 0.50 | 5.0 | 1.0 |",
        "|  |  | QAT: fake-quant | 79.5 | 90.0 | 0.25, 1.50 |  |  |  |",
        "|  |  | QAT: executorch | 79.5 | 90.0 | 0.25, 1.50 | 0.10, 0.50 |  | 1.0 |",
        "| its teacher | 5 | fp32 | 90.0 | 95.5 | | | | |",
    ]
    assert made["targets"][2:] == [
        "| one, int8 | onnx | 60.0, 9.0 | 60.0, 9.0 | 60.0, 9.0 | 0.10, 2.00 | 0.25, 1.50 | 0.0004 | 3.00 (75.0%) |",
        "|  | coreml-float16 |  |  | 60.0, 9.0 | 0.10, 2.00 | 0.25, 1.50 | 0.0004 | 3.00 (75.0%) |",
        "| fp16 | coreml | 60.0, 9.0 |  | 60.0, 9.0 |  | 0.25, 1.50 | 0.0004 | 3.00 (75.0%) |",
    ]
    assert made["results"][2:] == [line for line in made["results-all"][2:6] if "fake-quant" not in line] + [
        made["results-all"][6]
    ]
    for lines in filter(None, made.values()):
        assert len({line.count("|") for line in lines}) == 1


def test_every_file_of_results_is_a_record() -> None:
    """Those of earlier versions, too."""
    checks = sorted((ROOT / "results").rglob("check*.json"))
    assert len(checks) > 5
    assert all(check.lowered.ap is not None for path in checks for check in read_checks(path).values())
    benches = sorted((ROOT / "results").rglob("bench*.json"))
    assert all(read_bench(path).devices[0].int8 for path in benches)
    assert all(read_teacher_score(path).ap for path in (ROOT / "results").rglob("movenet*.json"))


@pytest.mark.parametrize("broken", ["{}", '{"fp32": []}', "not json"])
@pytest.mark.parametrize("name", ["check.json", "bench.json"])
def test_broken_measurements(tmp_path: Path, name: str, broken: str) -> None:
    (tmp_path / "qat").mkdir()
    for file, whole in (("check.json", check()), ("bench.json", bench())):
        (tmp_path / "qat" / file).write_text(json.dumps(whole))
    (tmp_path / "table.yaml").write_text(INDEX)
    assert "| x | 300 | fp32 | 84.0 |" in tables(tmp_path)["results-all"]
    (tmp_path / "qat" / name).write_text(broken)
    with pytest.raises(InputError, match="qat"):
        tables(tmp_path)


@pytest.mark.parametrize("index", ["- 1", "- {}", "- {name: x, int8: {PTQ: {bench: b.json}}}", "{"])
def test_a_broken_index_is_refused(tmp_path: Path, index: str) -> None:
    (tmp_path / "table.yaml").write_text(index)
    with pytest.raises(InputError, match=r"table\.yaml"):
        tables(tmp_path)


def test_a_file_of_several_targets_is_no_single_check(tmp_path: Path) -> None:
    (tmp_path / "all.json").write_text(json.dumps({"targets": {"tflite": check(), "onnx": check("onnx")}}))
    assert [one.target for one in read_checks(tmp_path / "all.json").values()] == ["tflite", "onnx"]
    with pytest.raises(InputError, match="checks of several targets"):
        read_check(tmp_path / "all.json")


def test_a_document_without_marks() -> None:
    with pytest.raises(InputError, match="no region"):
        with_tables("# Nothing", {"results": "| a |"})


def test_an_old_table_fails_the_check(tmp_path: Path) -> None:
    others = "".join(f"<!-- {name}:begin -->\n<!-- {name}:end -->\n" for name in REGIONS if name != "results")
    rest = f"<!-- results:end -->\ny\n{others}"
    readme = tmp_path / "README.md"
    readme.write_text(f"x\n<!-- results:begin -->\nold\n{rest}")
    with pytest.raises(GateError, match=r"results/render\.py"):
        render(tmp_path, [readme], check=True)
    render(tmp_path, [readme])
    assert readme.read_text() == f"x\n<!-- results:begin -->\n{rest}"
    render(tmp_path, [readme], check=True)


def test_the_script_refuses_a_missing_document(tmp_path: Path) -> None:
    command = [sys.executable, ROOT / "results" / "render.py", "--document", "nowhere.md", "--check"]
    answer = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert answer.returncode == 2
    assert answer.stderr.splitlines() == ["error: cannot read nowhere.md: No such file or directory"]
