"""What edge.bench computes from times and from its command line."""

from __future__ import annotations

import pytest

from edge.bench import cores
from edge.devices import measure
from edge.devices.measure import summary
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
