"""Messages of errors: one line that can be read, whatever they quote."""

from __future__ import annotations

from dataclasses import field
from typing import Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from pose.errors import LONGEST, BackendError, GateError, InputError, UserError, first_problem, shortened


@pytest.mark.parametrize("kind", [UserError, InputError, GateError, BackendError])
def test_a_message_that_quotes_a_long_value_is_cut_in_the_middle(kind: type[UserError]) -> None:
    message = str(kind(f"people.json: joint '{'x' * 1_000_000}' is named twice; names must be unique"))
    assert len(message) <= LONGEST
    assert message.startswith("people.json: joint 'xxx")
    assert message.endswith("is named twice; names must be unique")


def test_a_message_of_usual_length_stays_as_it_is() -> None:
    assert str(InputError("cannot read x: it is a folder")) == "cannot read x: it is a folder"
    assert shortened("x" * LONGEST) == "x" * LONGEST


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid")

    width: int = 1
    rotation: float = 0.0


@dataclass(config=ConfigDict(extra="forbid"))
class Whole:
    batch: int = 1
    names: tuple[str, ...] = ()
    name: str = ""
    optimiser: Literal["adam", "muon"] = "adam"
    part: Part = field(default_factory=Part)
    parts: tuple[Part, ...] | None = None
    named: dict[str, Part] = field(default_factory=dict)


PROBLEMS: dict[str, tuple[Any, str, str]] = {
    "a tuple": ({"names": "left_hip"}, "names", "Input should be a list, not 'left_hip'"),
    "a text": ({"name": 3}, "name", "Input should be a valid string, not 3; put a text in quotes"),
    "a text, given a list": ({"name": [[1], [2]]}, "name", "Input should be a valid string, not a list"),
    "a text, given a long number": (
        {"name": 16**5000},
        "name",
        "Input should be a valid string, not a very large number; put",
    ),
    "a number": ({"batch": "12:30"}, "batch", "Input should be a valid integer, not '12:30'"),
    "a long text": ({"batch": "x\n" * 1000}, "batch", "Input should be a valid integer, not 'x"),
    "a choice": ({"optimiser": "sgd"}, "optimiser", "Input should be 'adam' or 'muon', not 'sgd'"),
    "unknown, near one": ({"batc": 1}, "batc", "there is no 'batc' here; did you mean 'batch'?"),
    "unknown, near none": ({"zzz": 1}, "zzz", "choose among batch, name, named, names, optimiser, part, parts"),
    "unknown inside": ({"part": {"rotatoin": 1}}, "part.rotatoin", "did you mean 'rotation'?"),
    "unknown in a list": ({"parts": [{}, {"zzz": 1}]}, "parts.1.zzz", "choose among rotation, width"),
    "unknown under a key": ({"named": {"a": {"zzz": 1}}}, "named.a.zzz", "no 'zzz' here; correct its name, or leave it out"),
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_what_pydantic_refuses_is_said_with_the_value_and_what_there_is(name: str) -> None:
    value, field_name, reason = PROBLEMS[name]
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(Whole).validate_python(value)
    path, message = first_problem(caught.value, Whole)
    assert path == field_name
    assert reason in message
    assert "tuple" not in message
    assert "\n" not in message
    assert len(message) < 200


def test_an_unknown_field_is_named_where_the_model_is_not_at_hand() -> None:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(Part).validate_python({"zzz": 1})
    unknown = "Extra inputs are not permitted: there is no 'zzz' here; correct its name, or leave it out"
    assert first_problem(caught.value) == ("zzz", unknown)
