"""What a YAML says is what is read: no value hides another, no number is another one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from distill import recipe
from pose import skeleton, yaml_text
from pose.errors import InputError

TWICE = {
    "lr: 0.1\nbatch: 2\nlr: 0.2": "line 3: the key 'lr' is in line 1 already",
    "losses: {beta: 1, 'beta': 2}": "line 1: the key 'beta' is in line 1 already",
    "a:\n- b: 1\n  c: 2\n  b: 3": "line 4: the key 'b' is in line 2 already",
    "1: a\n1: b": "line 2: the key '1' is in line 1 already",
    "base: &base {x: 1, x: 2}\nother: {<<: *base}": "line 1: the key 'x' is in line 1 already",
}


@pytest.mark.parametrize("text", TWICE)
def test_a_key_that_is_there_twice_is_refused_with_its_line(text: str) -> None:
    with pytest.raises(ValueError, match=TWICE[text]):
        yaml_text.parse(text)


def test_recipes_and_skeletons_with_a_key_twice_are_one_line(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    for text, read in (
        ("lr: 0.1\nlr: 0.2\n", lambda: recipe.read(str(path))),
        ("joints: [a, b]\nlimbs: [[a, b]]\nlimbs: []\n", lambda: skeleton.load(path)),
    ):
        path.write_text(text)
        with pytest.raises(InputError, match=r"mine\.yaml.*\(line \d: the key '\w+' is in line \d already") as error:
            read()
        assert "\n" not in str(error.value)


def test_a_merge_may_be_overridden_and_used_again() -> None:
    text = """
        base: &base {lr: 1, ema: 2}
        before: {lr: 3, <<: *base}
        after: &after {<<: *base, lr: 4}
        several: {<<: [*base, {seed: 6}]}
        again: {<<: *after}
    """
    assert yaml_text.parse(text) == {
        "base": {"lr": 1, "ema": 2},
        "before": {"lr": 3, "ema": 2},
        "after": {"lr": 4, "ema": 2},
        "several": {"lr": 1, "ema": 2, "seed": 6},
        "again": {"lr": 4, "ema": 2},
    }


NUMBERS: dict[str, Any] = {
    "010": "010", "-010": "-010", "00": "00", "12:30": "12:30", "1:30.5": "1:30.5", "1e-4": "1e-4",
    "0": 0, "10": 10, "-3": -3, "1_000": 1000, "0x1F": 31, "0.5": 0.5, "08.5": 8.5, "1.0e-4": 1e-4, ".5": 0.5,
}  # fmt: skip


@pytest.mark.parametrize("text", NUMBERS)
def test_numbers_of_another_base_stay_texts(text: str) -> None:
    value = yaml_text.parse(f"a: {text}")["a"]
    assert (value, type(value)) == (NUMBERS[text], type(NUMBERS[text]))


def test_a_recipe_reads_a_leading_zero_as_people_do_and_refuses_a_time(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("batch: 010\nlr: 1e-4\n")
    assert (recipe.read(str(path)).batch, recipe.read(str(path)).lr) == (10, 1e-4)
    path.write_text("epochs: 12:30\n")
    with pytest.raises(InputError, match="epochs: Input should be a valid number, not '12:30'"):
        recipe.read(str(path))


@pytest.mark.parametrize(("text", "line"), [("\ta: 1", 1), ("a:\n\tb: 1", 2), ("a:\n  b: 1\n\tc: 2", 3), ("a:\t1", 1)])
def test_a_tab_is_said_with_its_line(text: str, line: int) -> None:
    with pytest.raises(ValueError, match=rf"line {line} has a tab before a value; YAML is indented by blanks"):
        yaml_text.parse(text)
