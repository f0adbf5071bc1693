"""How often the people of each file are seen in training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from drawn_source import Dots
from hypothesis import given
from hypothesis import strategies as st
from people_file import person, write_people

from calib_data.crops import Crops
from distill import request
from distill.batches import Batches, systematic_sample
from pose.crop import CropSpec
from pose.errors import InputError
from pose.skeleton import COCO_17

SPEC = CropSpec(width=32, height=32)


@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=40), st.integers(0, 10**6))
def test_each_person_is_seen_as_often_as_the_weights_say(weights: list[float], seed: int) -> None:
    values = np.array(weights)
    counts = np.bincount(systematic_sample(values, np.random.default_rng(seed)), minlength=len(values))
    expected = values / values.sum() * len(values)
    assert counts.sum() == len(values)
    assert (np.abs(counts - expected) < 1 + 1e-6).all()


def test_equal_weights_are_no_weights() -> None:
    assert systematic_sample(np.full(7, 0.3), np.random.default_rng(0)).tolist() == list(range(7))


def test_batches_follow_the_weights_and_the_step_alone() -> None:
    crops = Crops(Dots(12), SPEC, COCO_17)
    weights = np.repeat([3.0, 1.0], 6)
    batches = Batches(crops, 4, (8, 8), weights=weights)
    later = batches[7].people
    people = [person for step in range(9) for person in batches[step].people]
    assert batches[7].people == later
    for epoch in range(3):
        counts = np.bincount(people[12 * epoch : 12 * epoch + 12], minlength=12)
        assert counts[:6].sum() == 9
    assert {*people} == {*range(12)}


def files(folder: Path) -> list[Path]:
    grey = [np.full((72, 64, 3), 90 + number, np.uint8) for number in range(3)]
    joints = [(10 + 2 * joint, 10 + joint) for joint in range(17)]
    people = [person(picture, (8, 8, 40, 56), joints) for picture in grey]
    return [
        write_people(folder / "a" / "people.json", folder / "a" / "images", people[:1]),
        write_people(folder / "b" / "people.json", folder / "b" / "images", people[1:]),
    ]


def test_weights_are_given_in_the_order_of_the_files(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    data = files(tmp_path)

    def weighted(weights: list[float] | None) -> np.ndarray | None:
        return request.people(data, None, None, "annotation", data[0], None, 1, 0, weights=weights)[0].person_weights()

    assert weighted([4, 0.5]).tolist() == [4, 0.5, 0.5]  # type: ignore[union-attr]
    assert weighted(None) is None
    assert weighted([2, 2]) is None
    with pytest.raises(InputError, match=r"1 --data-weight for 2 --data; give one for each"):
        weighted([1])
    for wrong in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(InputError, match=rf"--data-weight {wrong:g} of .*b/people.json must be above 0"):
            weighted([1, wrong])
    with pytest.raises(InputError, match="1 --data-weight for 0 --data"):
        request.people(None, None, None, "annotation", None, None, 1, 0, weights=[1.0])
