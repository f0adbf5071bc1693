"""The table of networks, from what is listed and what was counted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pose.errors import InputError
from pose.files import read_yaml
from pose.models import MODELS
from results.zoo import ROOT, Row, count, table

LISTED = """\
- {model: tokenpose_t, system: One, licence: MIT, way: layers, paper: [5.8, 1.3], ap: 65.6}
- {model: tokenpose_t, system: One, licence: none, way: layers and attention, crop: [96, 128]}
"""


def test_a_row_has_what_is_known(tmp_path: Path) -> None:
    assert table(tmp_path) == ""
    (tmp_path / "zoo.yaml").write_text(LISTED)
    size = {"parameters": 5_816_448, "width": 192, "height": 256, "layers": 1_257_283_584, "attention": 0, "as_paper": 1.257}
    (tmp_path / "zoo.json").write_text(json.dumps({"tokenpose_t": size}))
    with pytest.raises(InputError, match=r"zoo.json lacks tokenpose_t at 96x128; run python results/zoo.py"):
        table(tmp_path)
    small = size | {"width": 96, "height": 128, "attention": 40_000_000}
    (tmp_path / "zoo.json").write_text(json.dumps({"tokenpose_t": size, "tokenpose_t at 96x128": small}))
    time = {"fp32": 13.56, "int8": 7.3, "turns": 9, "processor": "one, avx2"}
    (tmp_path / "zoo_times.json").write_text(json.dumps({"tokenpose_t": time}))
    first, second = table(tmp_path).splitlines()[2:]
    assert first == ("| tokenpose_t | One | teacher | 192x256 | 5.82 | 1.26 | 1.26 | 5.8, 1.30 | 65.6 | MIT | 13.6, 7.3 |")
    assert second == "| tokenpose_t | One | teacher | 96x128 | 5.82 | 1.26, 0.04 | 1.26 |  |  | none |  |"


def test_a_network_is_counted_without_being_computed() -> None:
    size = count(Row("tokenpose_t", "TokenPose", "none", "layers"))
    assert (size.parameters, size.width, size.height) == (5_816_448, 192, 256)
    assert size.as_paper == size.layers / 1e9 == pytest.approx(1.26, abs=0.01)


def test_what_is_listed_exists_and_has_a_licence() -> None:
    rows = read_yaml(ROOT / "results" / "zoo.yaml", list[Row])
    assert {row.model for row in rows} <= set(MODELS)
    assert all(row.licence for row in rows)
    assert len({row.key for row in rows}) == len(rows)
