"""Measurement files with numbers that cannot be: refused when they are read, with the field's path."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from report_examples import bench, check, device

from edge.evaluate.records import read_check, read_checks, read_teacher_score
from edge.evaluate.timings import read_bench
from edge.report import page
from edge.report.collect import collect, read_report
from edge.report.model import Report
from edge.report.summary import tiles
from pose.errors import InputError

HUGE = 10**300
TEACHER = {"teacher": "t", "joints": ["nose"], "data": "d", "ap": 50.0, "pck": 60.0, "persons": 3}


def changed(value: dict[str, Any], path: str, new: object) -> dict[str, Any]:
    """The value with one field, by its dotted path, replaced or added."""
    value = copy.deepcopy(value)
    *parents, last = path.split(".")
    inner: Any = value
    for part in parents:
        inner = inner[int(part)] if isinstance(inner, list) else inner[part]
    if isinstance(inner, list):
        inner[int(last)] = new
    else:
        inner[last] = new
    return value


def refused(reader: Callable[[Path], object], value: object, path: str, folder: Path) -> None:
    file = folder / "file.json"
    file.write_text(json.dumps(value))
    with pytest.raises(InputError, match=re.escape(path)) as caught:
        reader(file)
    assert str(caught.value).startswith(f"{file}: ")
    assert "\n" not in str(caught.value)


NUMBERS = (-1, float("nan"), float("inf"), float("-inf"), HUGE, -HUGE, 1e300, True, "12", [], {})


@pytest.mark.parametrize(
    ("path", "more"),
    [
        ("fp32.ap", (100.1, -0.1)),
        ("lowered.pck", (101,)),
        ("lowered.pck_95.1", (101,)),
        ("lowered.ap_95", ([90, 10],)),
        ("fake_quant.keypoint_px.median", (1e13,)),
        ("lowered.keypoint_px.p99_95.0", ()),
        ("lowered.per_joint_px.nose", (1e13,)),
        ("lowered.persons", (0.5, None)),
        ("persons", (0, 0.5, None)),
        ("bytes", (0, 0.5)),
        ("float_twin.bytes", (0, None)),
        ("crop.0", (0, 5000, 0.5, None)),
        ("chance_pck", (100.5,)),
        ("worst.0.px", (None,)),
        ("worst.0.index", (None, 0.5)),
        ("worst.1.lowered.3.0", (None, 1e13)),
    ],
)
def test_a_number_of_a_check_is_in_its_range(path: str, more: tuple[object, ...], tmp_path: Path) -> None:
    for bad in (*NUMBERS, *more):
        if path.startswith("worst") and "lowered" in path and bad == -1:
            continue  # a joint may lie left of the picture
        refused(read_check, changed(check(), path, bad), path, tmp_path)
        if bad == -1:
            refused(
                read_checks,
                {"schema_version": 1, "targets": {"x": changed(check(), path, bad)}},
                f"targets.x.{path}",
                tmp_path,
            )


@pytest.mark.parametrize(
    ("path", "more"),
    [
        ("threads", (0, 0.5, None)),
        ("artefacts.int8.bytes", (0,)),
        ("devices.0.int8.latency_ms.p50", (0, 1e-9, None)),
        ("devices.0.int8.latency_ms.p90", (0,)),
        ("devices.0.fp32.latency_ms.mean", (0,)),
        ("devices.0.fp32.latency_ms.runs", (0, 0.5)),
        ("devices.0.int8.times_ms.7", (0, None)),
        ("devices.0.int8.load_ms", (0,)),
        ("devices.0.int8.first_ms", (0,)),
        ("devices.0.int8.stages_ms.model", (None,)),
        ("devices.0.int8.peak_memory_mb", ()),
        ("devices.0.int8.golden_px", ()),
    ],
)
def test_a_number_of_a_bench_is_in_its_range(path: str, more: tuple[object, ...], tmp_path: Path) -> None:
    for bad in (*NUMBERS, *more):
        refused(read_bench, changed(bench(), path, bad), path, tmp_path)


@pytest.mark.parametrize("digest", ["", "0" * 63, "0" * 65, "A" * 64, "0" * 64 + "\n", 64 * "g"])
def test_a_sha_is_one(digest: str, tmp_path: Path) -> None:
    refused(read_check, changed(check(), "sha256", digest), "sha256", tmp_path)
    refused(read_bench, changed(bench(), "artefacts.fp32.sha256", digest), "artefacts.fp32.sha256", tmp_path)


@pytest.mark.parametrize(
    ("reader", "value", "complaint"),
    [
        (read_check, changed(check(), "persons", 299), "fp32.persons is 300, and persons 299"),
        (read_check, changed(check(), "worst.0.index", 300), "worst names person 300 of 300"),
        (read_check, changed(check(), "worst.0.fp32", [[1, 2]]), "worst.0: fp32 has 1 joints, lowered has 17"),
        (read_check, changed(check(), "lowered.keypoint_px.p99", 0.1), "lowered.keypoint_px: median 0.8 is above p99 0.1"),
        (read_check, changed(check(), "precision", "int4"), "precision: "),
        (read_check, changed(check(), "joints", []), "joints: "),
        (read_checks, {"schema_version": 1, "targets": {}}, "targets: "),
        (read_checks, {"schema_version": 7, "targets": {"x": check()}}, "schema_version: "),
        (
            read_bench,
            changed(bench(), "devices.0.int8.latency_ms.runs", 7),
            "devices.0.int8: latency_ms.runs is 7, and there",
        ),
        (read_bench, changed(bench(), "devices.0.int8.latency_ms.p50", 99.0), "devices.0.int8.latency_ms: p50 99, p90"),
        (
            read_bench,
            changed(bench(), "artefacts", {"int8": bench()["artefacts"]["int8"]}),
            "artefacts are int8, not one and its float twin",
        ),
        (read_bench, bench(device(), device()), "devices name local twice"),
        (read_teacher_score, TEACHER | {"ap": 101}, "ap: "),
        (read_teacher_score, TEACHER | {"persons": -1}, "persons: "),
    ],
)
def test_what_disagrees_is_refused(
    reader: Callable[[Path], object], value: dict[str, Any], complaint: str, tmp_path: Path
) -> None:
    refused(reader, value, complaint, tmp_path)


def test_an_earlier_report_is_held_to_the_same(tmp_path: Path) -> None:
    checks, benches = read_checks(written(check(), tmp_path)), read_bench(written(bench(), tmp_path))
    report = collect([checks[""]], [benches]).as_json()
    assert read_report(written(report, tmp_path)) == Report.model_validate(report)
    for path in ("benches.0.devices.0.int8.latency_ms.p90", "benches.0.devices.0.int8.shape.width", "checks.0.lowered.ap"):
        for bad in (-1, HUGE, True):
            refused(read_report, changed(report, path, bad), path, tmp_path)
    for path in ("shape.counts.0", "shape.beyond"):
        refused(read_report, changed(report, f"benches.0.devices.0.int8.{path}", 9999), "shape counts", tmp_path)
    for path in ("shape.counts", "shape.over_time"):
        refused(read_report, changed(report, f"benches.0.devices.0.int8.{path}", []), path, tmp_path)


def written(value: object, folder: Path) -> Path:
    path = folder / "good.json"
    path.write_text(json.dumps(value))
    return path


def test_a_report_can_be_read_again_where_a_file_leaves_out_the_people_of_a_column(tmp_path: Path) -> None:
    value = check()
    del value["fake_quant"]["persons"]
    report = collect(list(read_checks(written(value, tmp_path)).values()), []).as_json()
    assert read_report(written(report, tmp_path)).checks[0].fake_quant.persons == 0


def test_accuracies_are_compared_by_a_measure_that_both_have(tmp_path: Path) -> None:
    value = changed(changed(check(), "lowered.ap", None), "lowered.ap_95", [None, None])
    report = collect(list(read_checks(written(value, tmp_path)).values()), [])
    assert page.verdict(report) == ["Lowered to int8, the student loses 0.2 points of PCK (88.4 → 88.2)."]
    tile = tiles(report, [], {})[0]
    assert (tile.value, tile.unit, tile.note) == ("88.2", "PCK@0.2", "−0.2 against float's 88.4")
