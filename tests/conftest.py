"""What tests in every folder share."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

pytest_plugins = ["emulated.fixtures"]


# No deadline: other processes have the processor, too. The same examples each time: a commit is green or red for good, and
# `pytest --hypothesis-profile=search` looks for new ones.
settings.register_profile("search", deadline=None, max_examples=1_000)
settings.register_profile("shared", deadline=None, derandomize=True)
settings.load_profile("shared")


@pytest.hookimpl(tryfirst=True)  # before xdist reads the marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Of several processes (`pytest -n`) one has the emulated boards; the other tests stay with their file's fixtures.

    What takes minutes starts first, so that no process is left with it alone at the end.
    """
    for item in items:
        on_boards = "shared_lab" in getattr(item, "fixturenames", ())
        if on_boards:
            item.add_marker(pytest.mark.minutes)
        if on_boards or item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group("boards" if on_boards else item.nodeid.partition("::")[0]))
    items.sort(key=lambda item: item.get_closest_marker("minutes") is None)


@pytest.fixture(autouse=True)
def _signal_handlers() -> Iterator[None]:
    """A command that runs in this process leaves its own behind, with which a later Ctrl-C of a test would end it all."""
    kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)


@pytest.fixture(scope="session")
def pose_data() -> Path:
    """The folder of real photos and pretrained teachers that POSE_DATA names; tests that need it skip without it."""
    named = os.environ.get("POSE_DATA")
    if not named:
        pytest.skip("needs real photos: set POSE_DATA to the folder that holds them")
    if not Path(named).is_dir():
        pytest.skip(f"needs real photos: POSE_DATA={named} is no folder")
    return Path(named)


@pytest.fixture(scope="session")
def tiny_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a program so small that lowering and running it takes no time."""
    from tiny_network import make_program

    return make_program(tmp_path_factory.mktemp("program")).folder
