"""An artefact that crashes its runtime, hangs or takes all memory ends its own process, not the command."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from pose import card as cards
from pose.errors import BackendError, InputError
from pose.files import sha256
from pose.program import load_program
from targets import base, isolated
from targets.isolated import IsolatedRunner, open_isolated
from targets.spec import TargetSpec

BACKEND = '''
"""A runtime that does what its artefact says."""
import os, signal, sys, time
import numpy as np
from targets.common import OneByOneRunner, verified_card
from targets.spec import TargetSpec

SPEC = TargetSpec(name="faulty", module=__name__, suffix=".fault")

def do(what):
    if what == "segfault":
        os.kill(os.getpid(), signal.SIGSEGV)
    if what == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "abort":
        os.abort()
    if what == "exit":
        os._exit(5)
    if what == "hang":
        time.sleep(60)
    if what == "memory":
        held = np.ones(1 << 30, np.float64)
    if what == "raise":
        raise KeyError("made by hand\\nof several lines")
    if what == "flood":
        for _ in range(1000):
            os.write(1, b"x" * 65536), os.write(2, b"x" * 65536)

class Runner(OneByOneRunner):
    def __init__(self, card, what):
        super().__init__(card)
        self.what = what

    def predict_one(self, crop):
        do(self.what)
        keypoints = self.card.outputs[0].shape[1]
        value = {"nan": np.nan, "huge": 1e30}.get(self.what, crop.mean() / 255)
        return np.full((1, keypoints, 2), value, np.float32), np.full((1, keypoints), 0.5, np.float32)

def open(path, threads=1):
    card = verified_card(path, "faulty")
    when, what = path.read_text().split()
    if when == "open":
        do(what)
    return Runner(card, what)
'''


@pytest.fixture(scope="module")
def backends_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("backends")
    (folder / "faulty.py").write_text(BACKEND)
    return folder


@pytest.fixture
def backends(own_specs: None, backends_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(base.VARIABLE, str(backends_folder))
    base.register(base._load(backends_folder / "faulty.py").SPEC)


def artefact(program: Path, folder: Path, content: str) -> Path:
    path = folder / "tiny-faulty-int8.fault"
    path.write_text(content)
    card = load_program(program).card
    card = card.model_copy(update={"target": "faulty", "precision": "int8", "files": {path.name: sha256(path)}})
    card.write(cards.card_path(path))
    return path


def opened(path: Path) -> base.Runner:
    return open_isolated(path, cards.read(cards.card_path(path)))


CROPS = np.stack([np.full((64, 48, 3), value, np.uint8) for value in (0, 51, 255)])


def test_the_answers_are_those_of_the_process(backends: None, tiny_program: Path, tmp_path: Path) -> None:
    runner = opened(artefact(tiny_program, tmp_path, "run flood"))
    assert isinstance(runner, IsolatedRunner)
    coords, scores = runner.predict(CROPS)
    assert (coords.shape, scores.shape, coords.dtype) == ((3, 17, 2), (3, 17), np.float32)
    np.testing.assert_allclose(coords[:, 0, 0], [0, 0.2, 1])
    assert [part.shape for part in runner.predict(CROPS[:0])] == [(0, 17, 2), (0, 17)]


@pytest.mark.parametrize("when", ["open", "run"])
@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("segfault", r"crashed its runtime \(SIGSEGV\)"),
        ("abort", r"crashed its runtime \(SIGABRT\)"),
        ("killed", r"was killed; out of memory\?"),
        ("exit", r"crashed its runtime \(exit status 5\)"),
        ("memory", "needs more memory than such a file may take"),
        ("raise", "KeyError: 'made by hand"),
    ],
)
def test_a_fault_is_one_line(backends: None, tiny_program: Path, tmp_path: Path, when: str, what: str, message: str) -> None:
    path = artefact(tiny_program, tmp_path, f"{when} {what}")
    with pytest.raises(BackendError, match=message) as error:
        opened(path).predict(CROPS)
    assert "\n" not in str(error.value)
    assert path.name in str(error.value)
    path = artefact(tiny_program, tmp_path, "run good")
    assert np.isfinite(opened(path).predict(CROPS)[0]).all()  # the next artefact is not affected


@pytest.mark.parametrize("when", ["open", "run"])
def test_what_hangs_is_ended(
    backends: None, tiny_program: Path, tmp_path: Path, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened(artefact(tiny_program, tmp_path, "run good"))  # the host has started
    monkeypatch.setattr(isolated, f"{'OPEN' if when == 'open' else 'CROP'}_SECONDS", 0.5)
    began = time.monotonic()
    with pytest.raises(BackendError, match=r"took longer than .* s to answer and was ended"):
        opened(artefact(tiny_program, tmp_path, f"{when} hang")).predict(CROPS[:1])
    assert time.monotonic() - began < 20


@pytest.mark.parametrize(("answer", "words"), [("nan", "NaN or infinite"), ("huge", r"more than 1e\+06")])
def test_an_answer_that_means_nothing_leaves_the_runner_usable(
    backends: None, tiny_program: Path, tmp_path: Path, answer: str, words: str
) -> None:
    runner = opened(artefact(tiny_program, tmp_path, f"run {answer}"))
    for _ in range(2):
        with pytest.raises(BackendError, match=words):
            runner.predict(CROPS)
    with pytest.raises(InputError, match="takes crops"):
        runner.predict(CROPS[..., :2])


def test_without_forks_each_artefact_has_a_host(
    backends: None, tiny_program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(isolated, "FORKS", False)
    good = opened(artefact(tiny_program, tmp_path, "run good"))
    bad = opened(artefact(tiny_program, tmp_path, "run segfault"))
    with pytest.raises(BackendError, match="SIGSEGV"):
        bad.predict(CROPS)
    assert np.isfinite(good.predict(CROPS)[0]).all()


def test_a_backend_of_this_process_opens_here(own_specs: None, tiny_program: Path, tmp_path: Path) -> None:
    base.register(TargetSpec(name="here", module="abacus.of.wood", suffix=".here", extra="abacus"))
    path = artefact(tiny_program, tmp_path, "run good")
    card = cards.read(cards.card_path(path)).model_copy(update={"target": "here"})
    with pytest.raises(BackendError, match="needs abacus"):
        open_isolated(path, card)


SCRIPT = """
import os, sys, time
from pathlib import Path
import edge.run
runner = edge.run.open(Path(sys.argv[1]))
print(runner._pid, runner._host._process.pid, flush=True)
time.sleep(60)
"""


def test_the_processes_end_with_the_command(backends: None, tiny_program: Path, tmp_path: Path) -> None:
    path = artefact(tiny_program, tmp_path, "run good")
    line = [sys.executable, "-c", SCRIPT, str(path)]
    with subprocess.Popen(
        line, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(Path.cwd())}
    ) as process:
        started = [int(number) for number in process.stdout.readline().split()]
        process.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 10
    while living := [pid for pid in started if Path(f"/proc/{pid}").exists()]:
        assert time.monotonic() < deadline, living
        time.sleep(0.05)
