"""The Android app on a desktop JVM, built and tested once; without the programs for that, its tests skip."""

from __future__ import annotations

from pathlib import Path

import pytest

from android_demo import parts, tools
from pose.errors import BackendError


@pytest.fixture(scope="session")
def jvm_work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the app was compiled, with cases, jobs, and what its tests wrote."""
    try:
        tools.require(tools.FOR_TESTS)
        parts.fetch_testing(parts.fetch("tflite"))
    except BackendError as error:
        pytest.skip(f"the app's tests on the JVM: {error}")
    import jvm

    work = tmp_path_factory.mktemp("android")
    jvm.prepare(work)
    return work


@pytest.fixture(scope="session")
def jvm_results(jvm_work: Path) -> dict[str, str]:
    """Test of the app in Java -> "" or why it failed."""
    import jvm

    return jvm.run_tests(jvm_work)
