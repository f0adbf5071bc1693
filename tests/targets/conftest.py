"""What the tests of targets share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from targets import base


@pytest.fixture
def own_specs() -> Iterator[None]:
    """Targets that a test registers are removed after it."""
    before = dict(base.SPECS)
    yield
    base.SPECS.clear()
    base.SPECS.update(before)
