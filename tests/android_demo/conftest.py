"""The Android app on a desktop JVM, built and tested once; without the programs for that, its tests skip."""

from __future__ import annotations

from pathlib import Path

import pytest

from android_demo import parts, tools
from pose.errors import BackendError


@pytest.fixture(scope="session")
def tflite_work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the app was compiled, with cases, jobs, and what its tests wrote."""
    return _prepare(tmp_path_factory.mktemp("tflite"), "tflite")


@pytest.fixture(scope="session")
def tflite_results(tflite_work: Path) -> dict[str, str]:
    """Test of the app in Java -> "" or why it failed."""
    import jvm

    return jvm.run_tests(tflite_work, "tflite")


@pytest.fixture(scope="session")
def executorch_work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As `tflite_work`, for ExecuTorch."""
    pytest.importorskip("executorch")
    return _prepare(tmp_path_factory.mktemp("executorch"), "executorch")


@pytest.fixture(scope="session")
def executorch_results(executorch_work: Path) -> dict[str, str]:
    """As `tflite_results`, for ExecuTorch."""
    import jvm

    return jvm.run_tests(executorch_work, "executorch")


def _prepare(work: Path, runtime: str) -> Path:
    import bionic
    import jvm

    try:
        tools.require(tools.FOR_TESTS)
        fetched = parts.fetch(runtime)
        parts.fetch_testing(fetched)
        if runtime == "executorch":
            bionic.make(work / jvm.LIBRARIES, fetched)
    except BackendError as error:
        pytest.skip(f"the app's tests on the JVM with {runtime}: {error}")
    jvm.prepare(work, runtime)
    return work
