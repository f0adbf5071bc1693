"""What edge.bench computes from times and from its command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge import dist
from edge.bench import cores
from edge.devices import measure
from edge.devices.measure import summary
from edge.golden import tolerance_px
from pose.errors import InputError


def test_summary_of_latencies() -> None:
    result = summary([float(i) for i in range(1, 102)])
    assert result.as_json() == {"p50": 51, "p90": 91, "p99": 100, "mean": 51, "runs": 101}


def test_cores_are_numbers_and_ranges() -> None:
    assert cores("") == ()
    assert cores("2,4-6") == (2, 4, 5, 6)
    for wrong in ("a", "1-b", "-3-", ",", "2-", "7-4", "0-9999999999"):
        with pytest.raises(InputError, match="as 2,3 or 4-7"):
            cores(wrong)


def test_a_board_that_gets_hot_is_reported() -> None:
    assert measure._slowed("int8", [1.0] * 50 + [1.2] * 50)[0].endswith("first tenth 1.00 ms, of the last 1.20 ms")
    assert measure._slowed("int8", [1.0] * 100) == measure._slowed("int8", [1.0] * 5) == []


def test_the_tolerance_for_other_kernels_follows_from_the_program(lowered: Path) -> None:
    card = dist.find(lowered / "tiny-onnx-int8.onnx").card
    answer = card.golden.expected["lowered"]
    for shift in (0.0, 0.1):
        torch = answer.model_copy(update={"coords": [(x + shift, y) for x, y in answer.coords]})
        golden = card.golden.model_copy(update={"expected": {"lowered": answer, "int8": torch}})
        assert tolerance_px(card.model_copy(update={"golden": golden})) == pytest.approx(0.5 + 2 * 48 * shift)
