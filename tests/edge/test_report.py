"""A report's figures: read, matched, held against limits and against an earlier report."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_examples import bench, check, column, device

from edge.evaluate import gates
from edge.evaluate.records import Check, read_checks
from edge.evaluate.timings import Bench, read_bench
from edge.report import collect, compare, model, page, summary, tables, words
from edge.report.__main__ import main as report_main
from edge.report.pareto import front
from edge.report.svg import Scale, round_step, tag
from pose.errors import GateError, InputError

EMULATED = "ssh://me@emulated"


def report(*checks: dict[str, Any], benches: tuple[dict[str, Any], ...] = (), **more: Any) -> model.Report:
    made = collect.collect([Check.model_validate(one) for one in checks], [Bench.model_validate(one) for one in benches])
    return made.model_copy(update=more)


points = st.lists(st.tuples(st.floats(0.1, 1e4), st.floats(0, 100)), min_size=1, max_size=40)


@given(points)
def test_no_point_beats_the_pareto_front(shown: list[tuple[float, float]]) -> None:
    best = front(shown)
    for index, (ms, score) in enumerate(shown):
        beaten = any(a <= ms and b >= score and (a, b) != (ms, score) for a, b in shown)
        assert beaten or (ms, score) in [shown[i] for i in best]
        assert not (beaten and index in best)
    assert [shown[i] for i in best] == sorted({shown[i] for i in best})


@given(st.lists(st.floats(1e-3, 1e5), min_size=1, max_size=300))
def test_a_histogram_counts_every_inference_once(times: list[float]) -> None:
    shape = collect.shape(times)
    assert sum(shape.counts) + shape.beyond == len(times)
    assert shape.start == min(times)
    assert min(times) <= min(shape.over_time) <= max(shape.over_time) <= max(times)


@given(st.floats(-1e3, 1e3), st.floats(1e-3, 1e4), st.integers(2, 10))
def test_ticks_are_round_and_inside(low: float, width: float, count: int) -> None:
    scale = Scale(low, low + width, 0, 100)
    marks = scale.ticks(count)
    assert all(low - 1e-6 * width <= mark <= low + width * (1 + 1e-6) for mark in marks)
    assert len(marks) <= count + 1
    assert round_step(width) >= width * (1 - 1e-6)


@given(st.text(), st.text())
def test_no_text_gets_out_of_its_element(words_: str, attribute: str) -> None:
    element = str(tag("text", words_, title=attribute))
    assert element.count("<") == 2
    assert element.count(">") == 2
    assert element.count('"') == 2


def test_check_and_bench_of_one_artefact_meet() -> None:
    made = report(check(), check("onnx", 82.0), benches=(bench(), bench(target="onnx"), bench(target="coreml")))
    shown = {(e.label, e.precision): e for e in model.entries(made)}
    assert shown["tflite", "int8"].accuracy == made.checks[0].lowered
    assert shown["onnx", "fp32"].accuracy == made.checks[1].fp32
    assert shown["coreml", "int8"].accuracy is None
    assert all(entry.latency for entry in shown.values())
    assert shown["tflite", "fp32"].latency.p50 > shown["tflite", "int8"].latency.p50  # type: ignore[union-attr]


@pytest.mark.parametrize("field", ["artefact", "data"])
def test_a_name_too_long_for_a_file_system_is_that_of_a_file_that_is_gone(field: str, tmp_path: Path) -> None:
    path, out = tmp_path / "check.json", tmp_path / "report.html"
    path.write_text(json.dumps(check() | {field: "a" * 300}))
    report_main(check=[path], out=out)
    assert "<svg" in out.read_text() or "<table" in out.read_text()


def test_another_sha256_is_another_artefact() -> None:
    timed = bench()
    timed["artefacts"]["int8"]["sha256"] = "1" * 64
    made = report(check(sha256="2" * 64), benches=(timed,))
    assert not model.belongs(made.checks[0], made.benches[0])
    assert [(e.accuracy is None, e.latency is None) for e in model.entries(made)] == [(False, True)] * 2 + [
        (True, False)
    ] * 2


def test_accuracy_on_a_device_is_that_of_its_entry() -> None:
    on_device = column(80.0, 85.0, 0.9, host_px={"median": 0.01, "p99": 0.02})
    made = report(check(on_device={"b": on_device, "c": {"error": "it is off"}}), benches=(bench(device("a"), device("b")),))
    scored = {(e.device, e.precision): (e.scored, e.accuracy.ap) for e in model.entries(made) if e.accuracy}
    assert scored["b", "int8"] == ("device", 80.0)
    assert scored["a", "int8"] == ("host", 83.4)
    assert ("c", "not scored there: it is off") in made.warnings
    rows = [row.cells for row in tables.accuracy(made).rows]  # type: ignore[union-attr]
    assert [row[0] for row in rows] == ["float", "fake-quant", "lowered", "on b"]
    assert rows[-1][-1] == "0.010"


def test_labels_tell_artefacts_apart() -> None:
    made = report(check(artefact="ptq/a.tflite"), check(artefact="qat/a.tflite"), check("onnx"))
    assert [one.label for one in made.checks] == ["tflite (ptq)", "tflite (qat)", "onnx"]
    assert [one.key for one in made.checks] == ["ptq/a.tflite", "qat/a.tflite", "tiny-onnx-int8.onnx"]
    two = report(check(), check(student="other", artefact="b.tflite"))
    assert [one.label for one in two.checks] == ["tiny tflite", "other tflite"]
    with pytest.raises(InputError, match="was checked twice"):
        report(check(), check())


def test_emulated_time_appears_nowhere() -> None:
    lying = device(EMULATED, 918_273.6, 546_372.8, emulated=True)
    for name in ("fp32", "int8"):  # even if the file calls it latency
        lying[name]["latency_ms"] = lying[name]["emulated_ms"]
    made = report(check(), benches=(bench(lying),))
    texts = [page.render(made, [], name) for name in ("page.html.j2", "report.md.j2")]
    texts.append(tables.as_csv(model.entries(made)))
    for timing in (lying["fp32"], lying["int8"]):
        latency = [value for name, value in timing["emulated_ms"].items() if name != "runs"]
        for value in (*latency, *timing["stages_ms"].values(), timing["first_ms"], timing["load_ms"], *timing["times_ms"]):
            assert not any(str(int(value)) in text or words.ms(value) in text for text in texts)
    assert all(entry.latency is None and entry.timing.shape is None for entry in model.entries(made))  # type: ignore[union-attr]
    assert all(part in texts[0] for part in (words.EMULATED, "its answers count"))
    assert "Accuracy against latency" not in texts[0]
    assert words.EMULATED in texts[1]
    rows = list(csv.DictReader(io.StringIO(texts[2])))
    assert {(row["emulated"], row["p90_ms"], row["load_ms"], row["peak_memory_mb"]) for row in rows} == {
        ("True", "", "", "")
    }
    saved = json.dumps(made.as_json(), separators=(",", ":"))
    assert '"latency_ms":null' in saved
    assert "p90" not in saved


def test_a_dead_device_is_a_row_and_a_warning() -> None:
    dead = device("ssh://pi@gone", facts={}, error="ssh://pi@gone: refused", fp32=None, int8=None)
    made = report(check(), benches=(bench(device(), dead),))
    assert ("ssh://pi@gone", "ssh://pi@gone: refused") in made.warnings
    rows = tables.latency(model.entries(made), {}).rows  # type: ignore[union-attr]
    assert [row.note for row in rows] == ["", "", "", "", "not measured", "not measured"]


def test_warnings_are_shown_once() -> None:
    quick = bench(device(warnings=["throttled: hot"]), mode="quick")
    other = bench(device(warnings=["throttled: hot", "busy"]), target="onnx", mode="quick")
    made = report(check(persons=12), benches=(quick, other))
    assert [text for where, text in made.warnings if where == "local"] == [
        "throttled: hot",
        "quick: a first impression; --rigorous runs 1024 inferences and a minute of each at least",
        "busy (onnx)",
    ]
    qemu = device(EMULATED, emulated=True, warnings=["emulated (qemu)", "busy before the run", "the governor is ondemand"])
    assert report(check(), benches=(bench(qemu),)).warnings == [(EMULATED, "emulated (qemu)")]
    assert ("accuracy", "12 people only: the intervals are wide; score at least 100") in made.warnings


@pytest.mark.parametrize(
    ("ap", "pck", "sentence"),
    [
        (82.0, 88.0, "loses 2.0 points of AP (84.0 → 82.0), inside float's 95 % interval."),
        (70.0, 88.0, "loses 14.0 points of AP (84.0 → 70.0)."),
        (84.0, 88.0, "keeps its accuracy (84.0 → 84.0)."),
        (85.0, 88.0, "gains 1.0 points of AP (84.0 → 85.0), inside float's 95 % interval."),
    ],
)
def test_the_verdict_says_what_int8_costs(ap: float, pck: float, sentence: str) -> None:
    made = report(check(lowered=column(ap, pck, 1.0)))
    assert summary.verdict(made, model.entries(made), {}) == [f"Lowered to int8, the student {sentence}"]


@pytest.mark.parametrize(
    ("fp32", "end"),
    [
        (14, ", 2.0 times as fast as float."),
        (7, ", no faster than float."),
        (3.5, ": slower than float, by 100 %."),
    ],
)
def test_the_verdict_says_what_int8_gains(fp32: float, end: str) -> None:
    made = report(benches=(bench(device("local", fp32, 7.0)),))
    (sentence,) = summary.verdict(made, model.entries(made), {"local": "this host"})
    assert sentence.startswith("On this host, tflite int8 answers in ")
    assert sentence.endswith(end)


def test_limits_are_parsed() -> None:
    assert gates.parse_latency_limits(["30", "ssh://a@b:22=12.5"]) == {None: 30.0, "ssh://a@b:22": 12.5}
    for wrong in ("", "x", "local=", "local=-1", "nan", "inf", "local=0"):
        with pytest.raises(InputError, match=r"is not \[DEVICE=\]MS"):
            gates.parse_latency_limits([wrong])
    with pytest.raises(InputError, match="given twice for local"):
        gates.parse_latency_limits(["local=1", "local=2"])


def test_a_gate_on_accuracy_looks_at_every_column() -> None:
    made = report(check(on_device={"pi": column(80.0, 88.4), "off": {"error": "gone"}}))
    shown = gates.accuracy(made.checks, 1.0)
    failed = {(gate.name, gate.where): gate.value for gate in shown if not gate.ok}
    assert failed == {
        ("AP lost", "tflite on pi"): pytest.approx(4.0),
        ("AP lost", "tflite on off"): None,
        ("PCK lost", "tflite on off"): None,
    }
    with pytest.raises(GateError, match=r"3 of 8 gates failed: AP lost, tflite on pi: 4.00 points, 1 allowed$"):
        compare.require(made.model_copy(update={"gates": shown}))
    with pytest.raises(InputError, match="AP is not defined"):
        gates.accuracy(report(check(fp32=column(None, 88.0))).checks, 1.0)


def test_a_gate_on_latency_is_of_a_device() -> None:
    dead = device("dead", error="dead: refused", fp32=None, int8=None)
    made = report(check(), benches=(bench(device("a", 13, 7), device("b", 40, 30), dead, device(EMULATED, emulated=True)),))
    by_place = {gate.where: (gate.ok, gate.limit) for gate in gates.latency(made.benches, {None: 10.0, "b": 50.0})}
    assert by_place == {"tflite on a": (True, 10.0), "tflite on b": (True, 50.0), "tflite on dead": (False, 10.0)}
    with pytest.raises(InputError, match=r"c=\.\.\.: not measured; there are a, b, dead"):
        gates.latency(made.benches, {"c": 1.0})
    with pytest.raises(InputError, match="emulated time is not latency"):
        gates.latency(made.benches, {EMULATED: 1.0})
    only = report(benches=(bench(device(EMULATED, emulated=True)),))
    with pytest.raises(InputError, match="needs a latency of a real device"):
        gates.latency(only.benches, {None: 1.0})


def changes(new: model.Report, old: model.Report, *kinds: str) -> set[tuple[str, str]]:
    compared = compare.compare(new, old, 0.5, 10.0)
    return {(change.what, change.where) for change in compared if change.verdict in kinds}


def test_a_report_is_no_regression_against_itself() -> None:
    made = report(check(), benches=(bench(),))
    assert changes(made, made, "better", "worse", "missing", "not comparable") == set()
    again = model.Report.model_validate_json(made.model_dump_json())
    assert compare.compare(again, made, 0, 0) == compare.compare(made, made, 0, 0)
    compare.require(made)


def test_regressions_are_found() -> None:
    old = report(check(), benches=(bench(),))
    new = report(check(ap=82.0, bytes=5_000_000), benches=(bench(device("local", 13, 9)),))
    assert changes(new, old, "worse") == {("AP", "tflite lowered"), ("p90", "tflite int8 on local"), ("size", "tflite")}
    assert changes(old, new, "better") == changes(new, old, "worse")
    with pytest.raises(GateError, match=r"3 regressions: AP, tflite lowered: 83.40 -> 82.00 points"):
        compare.require(new.model_copy(update={"changes": compare.compare(new, old, 0.5, 10.0)}))


def test_what_is_no_longer_measured_is_a_regression() -> None:
    old = report(check(), check("onnx"), benches=(bench(device("a"), device("b")),))
    new = report(check(), benches=(bench(device("a"), device("b", error="b: cut", fp32=None, int8=None)),))
    missing = changes(new, old, "missing")
    assert {where for what, where in missing if what == "p90"} == {"tflite fp32 on b", "tflite int8 on b"}
    assert ("AP", "onnx lowered") in missing


def test_other_people_or_another_machine_cannot_be_compared() -> None:
    old = report(check(), benches=(bench(),))
    other = {"before": {"model": "another board", "cpu": "x"}}
    new = report(check(ap=10.0, persons=299), benches=(bench(device("local", 100, 90, facts=other)),))
    assert changes(new, old, "worse", "missing") == set()
    notes = {change.note for change in compare.compare(new, old, 0.5, 10.0) if change.verdict == "not comparable"}
    assert any("another machine" in note for note in notes)
    assert any("300 of synthetic validation, now 299" in note for note in notes)


SLOW = device("local", 100, 90)


@pytest.mark.parametrize(
    ("now", "words"),
    [
        (bench(SLOW, mode="quick"), "rigorous, 1 thread, now quick, 1 thread"),
        (bench(SLOW, threads=4), "rigorous, 1 thread, now rigorous, 4 threads"),
        (bench(SLOW, affinity=[5, 4]), "rigorous, 1 thread, now rigorous, 1 thread on cores 4, 5"),
    ],
)
def test_latencies_timed_in_another_way_are_not_paired(now: dict[str, Any], words: str) -> None:
    old, new = report(check(), benches=(bench(),)), report(check(), benches=(now,))
    for before, after, sides in ((old, new, words), (new, old, words.split(", now ")[1])):
        compared = [one for one in compare.compare(after, before, 0.5, 10.0) if one.what == "p90"]
        assert [one.verdict for one in compared] == ["not comparable"] * 2
        assert all(f"timed in another way: {sides}" in one.note for one in compared)


def test_of_two_runs_the_one_timed_in_the_same_way_is_paired() -> None:
    old = report(check(), benches=(bench(),))
    for now in (bench(SLOW, mode="quick"), bench(SLOW, threads=4)):
        both = report(check(), benches=(bench(), now))
        assert changes(both, old, "worse", "missing", "not comparable") == set()
        assert changes(old, both, "missing") == set()


@pytest.mark.parametrize(
    ("text", "reader", "complaint"),
    [
        ("{", read_bench, "not valid json"),
        ("[]", read_checks, "must be what python -m edge.check --json writes"),
        ('{"targets": {"onnx": {"artefact": 1}}}', read_checks, "artefact: Input should be a valid string"),
        ('{"schema_version": 2}', collect.read_report, "schema version 2, this toolkit reads 1"),
        (json.dumps(bench() | {"mode": "fast"}), read_bench, "mode: Input should be 'quick'"),
        (json.dumps(check() | {"persons": float("nan")}), read_checks, "persons: Input should be a valid integer"),
    ],
)
def test_other_files_are_refused_in_one_line(text: str, reader: Any, complaint: str, tmp_path: Path) -> None:
    (tmp_path / "file.json").write_text(text)
    with pytest.raises(InputError, match=re.escape(complaint)) as caught:
        reader(tmp_path / "file.json")
    assert "\n" not in str(caught.value)
    assert "file.json" in str(caught.value)


def test_several_targets_come_out_of_one_file(tmp_path: Path) -> None:
    (tmp_path / "all.json").write_text(json.dumps({"targets": {"tflite": check(), "onnx": check("onnx")}}))
    assert [one.target for one in read_checks(tmp_path / "all.json").values()] == ["tflite", "onnx"]


@given(st.floats(0, 1e6), st.floats(0, 1e6))
def test_changes_have_their_sign(new: float, old: float) -> None:
    text = words.change(new, old)
    by = round(new - old, 1)
    assert text[0] == ("+" if by > 0 else words.MINUS if by < 0 else "±")
    assert float(text[1:]) == pytest.approx(abs(by))


def test_two_times_of_one_artefact_on_one_device_are_refused() -> None:
    first, second = (Bench.model_validate(bench(device("local", 13.0, int8))) for int8 in (7.0, 30.0))
    with pytest.raises(InputError, match="was timed twice on local"):
        collect.collect([], [first, second])
    quick = second.model_copy(update={"mode": "quick"})
    assert len(model.entries(collect.collect([], [first, quick]))) == 4


def test_two_machines_of_one_name_are_refused() -> None:
    other = device("local", facts={"before": {"model": "another board"}})
    benches = [Bench.model_validate(bench()), Bench.model_validate(bench(other, target="onnx"))]
    with pytest.raises(InputError, match=r"local has the model A board .* and another board in another"):
        collect.collect([], benches)


def test_nothing_to_report_is_refused() -> None:
    with pytest.raises(InputError, match="nothing to report"):
        collect.collect([], [])
    assert np.isfinite(collect.shape([1.0]).width)
