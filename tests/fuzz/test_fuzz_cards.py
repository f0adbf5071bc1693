"""Cards that somebody else wrote: read, used and written again, or refused in one line."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import yaml
from fuzz.mutations import VALUES, changed_bytes, places
from fuzz.watch import harmless
from hypothesis import given
from hypothesis import strategies as st

from edge.dist import Dist
from pose import card as cards
from pose.card import Card, Coverage, Golden, Input, Output, Prediction, pack
from pose.skeleton import Skeleton
from targets.base import variant_name

JOINTS = Skeleton("pair", ("left_eye", "right_eye"))
ANSWER = Prediction(coords=[(0.5, 0.5), (0.25, 0.75)], scores=[0.5, 1.0])
CARD = Card(
    student="tiny",
    skeleton=JOINTS,
    target="executorch",
    precision="int8",
    input=Input(shape=(1, 3, 8, 8), mean=(0.0,) * 3, std=(1.0,) * 3, padding=1.25),
    outputs=(Output(name="coords", shape=(1, 2, 2)), Output(name="scores", shape=(1, 2))),
    scheme="affine",
    float_modules=["head"],
    coverage=Coverage(
        delegates=1,
        delegated={"conv": 2},
        undelegated={},
        undelegated_nodes=[],
        int8_ops=1.0,
        int8_macs=1.0,
        float_matmul_macs=0.0,
    ),
    files={"tiny-executorch-int8.pte": "a" * 64},
    sources={"program": "b" * 64},
    versions={"torch": "2.13.0"},
    metrics={"ap": 50.0, "lint": [{"severity": "warning", "message": "slow", "nodes": ["a"]}]},
    golden=Golden(crop=pack(np.zeros((8, 8, 3), np.uint8)), expected={"int8": ANSWER, "lowered": ANSWER}),
)
FIELDS = CARD.model_dump(mode="json")
TEXT = yaml.safe_dump(FIELDS, sort_keys=False).encode()


@st.composite
def changed_fields(draw: st.DrawFn) -> bytes:
    fields = copy.deepcopy(FIELDS)
    for _ in range(draw(st.integers(1, 3))):
        found = list(places(fields))
        if not found:
            break
        container, key = draw(st.sampled_from(found))
        kind = draw(st.sampled_from(["value", "value", "delete", "rename", "share"]))
        if kind == "value":
            container[key] = draw(VALUES)
        elif kind == "delete":
            del container[key]
        elif kind == "rename" and isinstance(container, dict):
            container[draw(st.text(max_size=8))] = container.pop(key)
        else:
            container[key] = draw(st.sampled_from([place[key] for place, key in found]))  # an alias, perhaps of itself
    return yaml.dump(fields, Dumper=yaml.SafeDumper).encode("utf-8", "surrogatepass")


@given(content=st.one_of(changed_fields(), changed_bytes(TEXT)))
def test_any_card_is_read_or_refused(content: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = _folder(tmp_path_factory)
    path = folder / "tiny-executorch-int8.pte"
    cards.card_path(path).write_bytes(content)
    with harmless(folder):
        card = cards.read(cards.card_path(path))
        assert card.golden.pixels(card.spec.width, card.spec.height).size == 3 * card.spec.width * card.spec.height
        assert card.instructions()
        assert variant_name(card)
        assert Dist(folder).program_folder(card.student).parent == folder
        card.write(folder / "again.yaml")
        assert cards.read(folder / "again.yaml") == card
        card.verify_artefact(path)


def _folder(factory: pytest.TempPathFactory) -> Path:
    folder = factory.getbasetemp() / "cards"
    folder.mkdir(exist_ok=True)
    (folder / "tiny-executorch-int8.pte").write_bytes(b"artefact")
    return folder


def test_the_card_itself_is_read(tmp_path: Path) -> None:
    (tmp_path / "card.yaml").write_bytes(TEXT)
    assert cards.read(tmp_path / "card.yaml") == CARD
