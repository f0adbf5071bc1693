"""Calls of an isolated runner from threads, after a fork, after Ctrl-C and after a crash: no answer is another call's."""

from __future__ import annotations

import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from pose.errors import BackendError
from targets import isolated
from tests.targets.test_isolated import artefact, backends, backends_folder, opened

__all__ = ["backends", "backends_folder"]  # fixtures


def crops(value: int) -> np.ndarray:
    return np.full((2, 64, 48, 3), value, np.uint8)


def test_threads_get_their_own_answers(backends: None, tiny_program: Path, tmp_path: Path) -> None:
    runner = opened(artefact(tiny_program, tmp_path, "run good"))
    values = [(5 * index) % 256 for index in range(200)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda value: runner.predict(crops(value))[0][0, 0, 0], values))
    np.testing.assert_allclose(answers, np.array(values) / 255, atol=1e-6)


def test_threads_open_at_the_same_time(backends: None, tiny_program: Path, tmp_path: Path) -> None:
    path = artefact(tiny_program, tmp_path, "run good")
    with ThreadPoolExecutor(3) as pool:
        runners = list(pool.map(opened, [path] * 4))
    assert len({runner._pid for runner in runners}) == 4
    for runner in runners:
        np.testing.assert_allclose(runner.predict(crops(51))[0], 0.2)


def test_a_fork_does_not_use_the_runner(backends: None, tiny_program: Path, tmp_path: Path) -> None:
    runner = opened(artefact(tiny_program, tmp_path, "run good"))
    child = os.fork()
    if not child:
        try:
            runner.predict(crops(255))
        except BackendError as error:
            os._exit(7 if "open it again in this one" in str(error) else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    np.testing.assert_allclose(runner.predict(crops(51))[0], 0.2)


def test_after_ctrl_c_no_answer_is_an_old_one(backends: None, tiny_program: Path, tmp_path: Path) -> None:
    good = opened(artefact(tiny_program, tmp_path, "run good"))
    slow = opened(artefact(tiny_program, tmp_path, "run hang"))
    timer = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        slow.predict(crops(0))
    with pytest.raises(BackendError, match="was broken off; open it again"):
        slow.predict(crops(255))
    np.testing.assert_allclose(good.predict(crops(51))[0], 0.2)


def test_an_opening_that_is_broken_off_leaves_the_host_alone(
    backends: None, tiny_program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = opened(artefact(tiny_program, tmp_path, "run good"))
    path = artefact(tiny_program, tmp_path, "run good")
    with monkeypatch.context() as patch:
        patch.setattr(isolated.json, "loads", lambda _: signal.raise_signal(signal.SIGINT))
        with pytest.raises(KeyboardInterrupt):
            good._host.send({"end": 0})
    np.testing.assert_allclose(good.predict(crops(51))[0], 0.2)
    np.testing.assert_allclose(opened(path).predict(crops(255))[0], 1)


def test_a_second_call_after_a_crash_is_the_same_line(backends: None, tiny_program: Path, tmp_path: Path) -> None:
    good = opened(artefact(tiny_program, tmp_path, "run good"))
    path = artefact(tiny_program, tmp_path, "run segfault")
    bad = opened(path)
    for _ in range(3):
        with pytest.raises(BackendError, match="SIGSEGV"):
            bad.predict(crops(0))
    assert good._host.send({"end": bad._pid}) == 0  # a process that was waited for is not looked for again
    np.testing.assert_allclose(good.predict(crops(51))[0], 0.2)
    opened(path)


def test_a_relative_path_starts_from_the_present_folder(
    backends: None, tiny_program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened(artefact(tiny_program, tmp_path, "run good"))  # the host is as old as this
    other = tmp_path / "other"
    other.mkdir()
    path = artefact(tiny_program, other, "run good")
    monkeypatch.chdir(other)
    np.testing.assert_allclose(opened(Path(path.name)).predict(crops(51))[0], 0.2)
