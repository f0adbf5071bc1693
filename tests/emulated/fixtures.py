"""Emulated boards as fixtures; tests that ask for one skip, with the reason, where it cannot be built."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from emulated.boards import Board, Lab
    from emulated.tools import Cable


@pytest.fixture(scope="session")
def shared_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Where boards are started; not to be used by tests."""
    try:
        from emulated.boards import Lab
        from emulated.image import CannotBuildError, image
    except PackageNotFoundError as error:
        pytest.skip(f"emulated boards have the host's runtimes: {error}; pip install '.[all]'")
    try:
        lab = Lab(image(), tmp_path_factory.mktemp("lab"))
        lab.raspberry_pi().stop()
    except CannotBuildError as error:
        pytest.skip(str(error))
    yield lab
    lab.stop()


@pytest.fixture
def lab(shared_lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    """Starts boards, in an environment in which ssh and adb reach these and no others; stops them after the test."""
    for name, value in shared_lab.environment.items():
        monkeypatch.setenv(name, value)
    yield shared_lab
    shared_lab.stop_boards()


@pytest.fixture
def pi(lab: Lab) -> Board:
    """A Raspberry Pi 4 with TFLite's and ONNX's runtimes."""
    return lab.raspberry_pi()


@pytest.fixture
def phone(lab: Lab) -> Board:
    """A device on adb, with the same runtimes."""
    return lab.android()


@pytest.fixture
def cable(pi: Board, lab: Lab) -> Cable:
    """What `pi` hangs on, under a port of its own."""
    from emulated.tools import Cable

    cable = Cable(pi.port)
    key = next(line for line in lab.known_hosts.read_text().splitlines() if f":{pi.port} " in line)
    with open(lab.known_hosts, "a") as known:
        known.write(key.replace(f":{pi.port}", f":{cable.port}") + "\n")
    return cable
