"""Messages of errors: one line that can be read, whatever they quote."""

from __future__ import annotations

import pytest

from pose.errors import LONGEST, BackendError, GateError, InputError, UserError, shortened


@pytest.mark.parametrize("kind", [UserError, InputError, GateError, BackendError])
def test_a_message_that_quotes_a_long_value_is_cut_in_the_middle(kind: type[UserError]) -> None:
    message = str(kind(f"people.json: joint '{'x' * 1_000_000}' is named twice; names must be unique"))
    assert len(message) <= LONGEST
    assert message.startswith("people.json: joint 'xxx")
    assert message.endswith("is named twice; names must be unique")


def test_a_message_of_usual_length_stays_as_it_is() -> None:
    assert str(InputError("cannot read x: it is a folder")) == "cannot read x: it is a folder"
    assert shortened("x" * LONGEST) == "x" * LONGEST
