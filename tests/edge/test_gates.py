"""Limits of `edge.check`, `edge.bench` and `edge.report`: the same verdict in all three, for every precision."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from report_examples import bench, check, column, device

from edge.evaluate import gates
from edge.evaluate.records import Check, Column, TeacherScore
from edge.evaluate.timings import Bench
from edge.report import __main__ as report
from edge.report import collect, compare
from pose.errors import GateError, InputError

PRECISIONS = ("fp32", "fp16", "int8")


def made(precision: str = "int8", **more: Any) -> Check:
    columns = {name: column(80.0, 90.0, 0.5) for name in ("fp32", "fake_quant", "lowered")}
    on_device = {"ssh://pi": column(80.0, 90.0, 0.5)}
    return Check.model_validate(check(**{"precision": precision, **columns, "on_device": on_device, **more}))


def with_loss(precision: str, name: str, measure: str, loss: float | None) -> Check:
    """A check whose column `name` loses that many points of a measure, or has none of it."""
    scored = column(80.0, 90.0, 0.5)
    scored[measure] = None if loss is None else scored[measure] - loss
    if name == "on ssh://pi":
        return made(precision, on_device={"ssh://pi": scored})
    return made(precision, **{name: scored})


def command_fails(one: Check, limit: float, tmp_path: Path) -> bool:
    """Whether `edge.report --max-drop` fails on the file of this check."""
    file = tmp_path / "check.json"
    file.write_text(json.dumps(one.as_json()))
    try:
        report.main(check=[file], max_drop=limit, out=tmp_path / "page.html")
    except GateError:
        return True
    return False


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("measure", ["ap", "pck"])
@pytest.mark.parametrize("name", ["fake_quant", "lowered", "on ssh://pi"])
def test_every_column_that_says_something_of_the_artefact_is_gated(
    precision: str, measure: str, name: str, tmp_path: Path
) -> None:
    gates.require(gates.accuracy([made(precision)], 0))
    lost = with_loss(precision, name, measure, 1.0)
    gates.require(gates.accuracy([lost], 1.0))
    if name == "fake_quant" and precision != "int8":  # it says nothing of a float artefact
        gates.require(gates.accuracy([lost], 0.9))
        assert not command_fails(lost, 0.9, tmp_path)
        return
    title = name.replace("_", "-")
    with pytest.raises(GateError, match=rf"{measure.upper()} lost, tflite {title}: 1\.00 points, 0\.9 allowed") as caught:
        gates.require(gates.accuracy([lost], 0.9))
    assert "\n" not in str(caught.value)
    assert command_fails(lost, 0.9, tmp_path)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("measure", ["ap", "pck"])
@pytest.mark.parametrize("name", ["lowered", "on ssh://pi"])
def test_a_missing_measure_fails(precision: str, measure: str, name: str) -> None:
    with pytest.raises(GateError, match=rf"{measure.upper()} lost, tflite {name}: not measured, 100 allowed"):
        gates.require(gates.accuracy([with_loss(precision, name, measure, None)], 100))


def test_a_device_that_failed_fails() -> None:
    with pytest.raises(GateError, match=r"2 of 6 gates failed: AP lost, tflite on adb: not measured"):
        gates.require(gates.accuracy([made(on_device={"adb": {"error": "it hung up"}})], 100))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_record_refuses_what_is_not_finite_and_a_gate_never_passes_on_it(value: float) -> None:
    with pytest.raises(ValidationError):
        Column(ap=value)
    bad = made().model_copy(update={"lowered": Column(ap=80.0, pck=90.0).model_copy(update={"ap": value})})
    with pytest.raises(GateError, match="AP lost, tflite lowered: not measured"):
        gates.require(gates.accuracy([bad], 100))


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize(
    ("fp32", "chance", "words"),
    [
        ((None, 88.0), None, "AP is not defined: nobody among 300 people of synthetic validation has labelled joints"),
        ((0.0, 88.0), None, r"the float program has AP 0\.0 .* there is nothing to lose"),
        ((0.04, 88.0), None, r"the float program has AP 0\.0 .* there is nothing to lose"),
        ((5.0, 1.0), None, r"PCK 1\.0 .* near chance: there is nothing to lose"),
        ((5.0, 41.0), 40.0, r"PCK 41\.0 .* near chance; an answer that ignores the picture has 40\.0"),
        ((5.0, 0.0), 0.0, r"PCK 0\.0 .* near chance"),
    ],
)
def test_where_nothing_can_be_lost_the_input_is_wrong(
    precision: str, fp32: tuple[float | None, float], chance: float | None, words: str
) -> None:
    check_ = made(precision, fp32=column(*fp32), chance_pck=chance)
    with pytest.raises(InputError, match=words) as caught:
        gates.accuracy([check_], 100)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("ap", "pck", "chance", "words"),
    [
        (None, None, None, "AP and PCK are not defined: nobody among 9 people of people.json has labelled joints"),
        (0.0, 1.0, None, r"PCK 1\.0 on 9 people of people\.json, which is near chance; check its YAML"),
        (5.0, 41.0, 40.0, r"PCK 41\.0 .* near chance; an answer that ignores the picture has 40\.0; check its YAML"),
        (0.0, None, None, r"AP 0\.0 on 9 people of people\.json; check its YAML"),
        (0.0, 43.0, 10.0, r"AP 0\.0 on 9 people of people\.json; check its YAML"),
        (5.0, 43.0, 40.0, None),
        (5.0, None, None, None),
    ],
)
def test_a_teacher_at_chance_is_no_result(ap: float | None, pck: float | None, chance: float | None, words: str) -> None:
    score = TeacherScore(teacher="mine", joints=[], data="people.json", persons=9, ap=ap, pck=pck, chance_pck=chance)
    if words is None:
        return gates.require_above_chance(score)
    with pytest.raises(InputError, match=words):
        gates.require_above_chance(score)
    return None


def test_pck_well_above_chance_is_gated() -> None:
    gates.require(gates.accuracy([made(chance_pck=60.0)], 0))
    with pytest.raises(InputError, match="give --check FILE"):
        gates.accuracy([], 1)


def test_a_latency_that_was_not_measured_fails() -> None:
    failed = device("b", fp32=None, int8=None, error="b: cut")
    record = Bench.model_validate(bench(device("a", 13, 7), failed))
    with pytest.raises(GateError, match="1 of 2 gates failed: p90 latency, tflite on b: not measured, 100 allowed"):
        gates.require(gates.latency([record], {None: 100.0}))
    gates.require(gates.latency([record], {"a": 100.0}))


def test_an_earlier_report_with_nothing_to_lose_is_wrong_input() -> None:
    nobody = {name: column(0.0, 90.0, 0.5) for name in ("fp32", "fake_quant", "lowered")}
    old, new = (collect.collect([one], [], []) for one in (made(**nobody), made()))
    with pytest.raises(InputError, match="there is nothing to lose"):
        compare.compare(new, old, 0.5, 10.0)
    assert compare.compare(old, new, 0.5, 10.0)[0].verdict == "worse"


@pytest.mark.parametrize("order", [1, -1])
def test_every_bench_is_gated_also_of_files_of_one_name(order: int) -> None:
    timed = ((144, "quick"), (1, "rigorous"))  # two of one mode are refused, see tests/edge/test_report.py
    records = [Bench.model_validate(bench(device("a", 13, time), mode=mode)) for time, mode in timed][::order]
    with pytest.raises(GateError, match="1 of 2 gates failed"):
        gates.require(gates.latency(collect.collect([], records, []).benches, {None: 10.0}))


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"persons": 6}, "scored on other people: 300 of synthetic validation, now 6 of synthetic validation"),
        ({"people": "1" * 64}, "scored on other people: annotations, photos or boxes of synthetic validation have changed"),
        ({"boxes": "keypoints"}, "scored on other people: boxes annotation, now keypoints"),
        ({"skeleton": "lsp14"}, "scored on other people: skeleton by default, now lsp14"),
        ({"category": "person"}, "scored on other people: category by default, now person"),
        ({"exif": "ignore"}, "scored on other people: exif by default, now ignore"),
    ],
)
def test_a_report_of_other_people_is_not_against_the_earlier_one(more: dict[str, Any], words: str, tmp_path: Path) -> None:
    file, earlier, page = tmp_path / "check.json", tmp_path / "earlier.json", tmp_path / "page.html"
    before = Check.model_validate(check(people="0" * 64))
    earlier.write_text(json.dumps(collect.collect([before], [], []).as_json()))
    file.write_text(json.dumps(check()))
    report.main(check=[file], against=earlier, out=page)
    file.write_text(json.dumps(check(**more)))
    with pytest.raises(InputError, match=f"nothing could be compared: {words}; give") as caught:
        report.main(check=[file], against=earlier, out=page)
    assert caught.value.exit_code == 2
    with pytest.raises(InputError, match="no figures"):
        compare.require_comparable([])
