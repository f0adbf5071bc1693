"""The agent, run as a device runs it: a file of its own, one job on standard input, events on standard output."""

from __future__ import annotations

import ast
import io
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge import agent, dist, run
from edge.devices import job as jobs
from edge.devices.events import parse
from edge.evaluate.peers import read_peers
from edge.peers import __main__ as peers
from pose import card as cards
from targets.base import open_artefact
from targets.common import with_answer

SUFFIX = {"executorch": "pte", "tflite": "tflite", "onnx": "onnx"}


def described(folder: Path, target: str, scratch: Path, precision: str = "int8") -> agent.ArtefactJob:
    """The description of one of them in a job."""
    artefact = folder / f"tiny-{target}-{precision}.{SUFFIX[target]}"
    card = jobs.require_runnable(dist.find(artefact))
    file = jobs.runnable_file(artefact, card, "x86_64", scratch)
    return jobs.artefact_job(precision, file, str(file), card)


def run_job(job: dict[str, Any], *flags: str) -> list[dict[str, Any]]:
    """The events of one job; any other output fails here."""
    stdin = json.dumps({"threads": 1, "affinity": [], **job})
    command = [sys.executable, *flags, agent.__file__]
    answer = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=120, cwd="/")
    assert all(line.startswith(agent.MARK) for line in answer.stdout.splitlines()), answer.stdout
    events = [json.loads(line.removeprefix(agent.MARK)) for line in answer.stdout.splitlines()]
    assert answer.returncode == (events[-1]["event"] != "result"), answer.stderr
    return events


def refused(job: dict[str, Any], kind: str, *flags: str) -> str:
    events = run_job(job, *flags)
    assert [event["event"] for event in events] == ["error"]
    assert events[0]["kind"] == kind
    assert "\n" not in events[0]["message"]
    return events[0]["message"]


def test_it_is_python_3_9_with_numpy_alone() -> None:
    tree = ast.parse(Path(agent.__file__).read_text(), feature_version=(3, 9))
    imported = {alias.name.split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {str(node.module).split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert imported - set(sys.stdlib_module_names) == {"numpy"}
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.keyword) and node.arg == "strict"]  # zip's, of 3.10


@pytest.mark.parametrize("target", SUFFIX)
def test_it_answers_as_the_host_does(lowered: Path, target: str, tmp_path: Path) -> None:
    crops = np.random.default_rng(0).integers(0, 256, (3, 64, 48, 3), np.uint8)
    np.save(tmp_path / "crops.npy", crops)
    artefact = described(lowered, target, tmp_path)
    job = {"job": "infer", "artefacts": [artefact], "crops": f"{tmp_path}/crops.npy", "answers": f"{tmp_path}/a.npz"}
    golden, runtime, result = run_job(job)
    assert golden["max_px"] == 0
    ran_on = {"executorch": "XnnpackBackend", "tflite": "XNNPACK", "onnx": "CPUExecutionProvider"}
    assert golden["accelerator"] == ran_on[target]
    assert runtime["versions"]["numpy"] == np.__version__
    assert runtime["own_s"] < 1
    assert result["done"] == 3
    runner = run.open(lowered / f"tiny-{target}-int8.{SUFFIX[target]}")
    coords, scores = runner.predict(crops)
    with np.load(tmp_path / "a.npz", allow_pickle=False) as answers:
        assert np.array_equal(answers["coords"], coords)
        assert np.array_equal(answers["scores"], scores)
    assert sorted(path.name for path in tmp_path.glob("*.npz")) == ["a.npz"]


@pytest.mark.parametrize("target", ["tflite", "onnx"])
def test_it_gives_a_network_of_bgr_crops_such_ones(lowered: Path, target: str, tmp_path: Path) -> None:
    """One file takes bytes, the other floats. The card's answer is that of the host's runtime."""
    source = lowered / f"tiny-{target}-fp32.{SUFFIX[target]}"
    file, card = Path(shutil.copy(source, tmp_path)), cards.read(cards.card_path(source))
    card = card.model_copy(update={"input": card.input.model_copy(update={"colour": "BGR"})})
    card.write(cards.card_path(file))
    card = with_answer(card, open_artefact(file))  # nothing is replayed: the card has no answer yet
    job = {"job": "load", "artefacts": [jobs.artefact_job("fp32", file, str(file), card)]}
    assert run_job(job)[0]["max_px"] == 0
    job["artefacts"][0]["colour"] = "RGB"
    assert run_job(job)[0].get("max_px") != 0  # the order matters to this network


def test_both_are_timed_in_turns(lowered: Path, tmp_path: Path) -> None:
    pair = [described(lowered, "onnx", tmp_path, precision) for precision in ("fp32", "int8")]
    events = run_job({"job": "time", "artefacts": pair, "runs": 25, "seconds": 0.6})
    times = [event for event in events if event["event"] == "times"]
    assert [event["artefact"] for event in times[:4]] == ["fp32", "int8"] * 2  # more than one report in 1.2 s
    assert [event["s"] for event in times] == sorted(event["s"] for event in times)
    assert 1.2 <= times[-1]["s"] < 10
    for place, name in enumerate(("fp32", "int8")):
        mine = [ms for event in times if event["artefact"] == name for ms in event["ms"]]
        assert len(mine) == events[-1]["runs"][place] >= 25
        assert min(mine) > 0
    (stages, _) = [event for event in events if event["event"] == "stages"]
    assert {name: len(ms) for name, ms in stages["ms"].items()} == {"preprocess": 25, "model": 25, "decode": 25}


def test_one_alone_is_opened_and_run_once(lowered: Path, tmp_path: Path) -> None:
    result = run_job({"job": "load", "artefacts": [described(lowered, "tflite", tmp_path)]})[-1]
    assert result["load_ms"] > 0
    assert result["first_ms"] > 0
    assert result["peak_memory_mb"] >= result["runtime_memory_mb"] > 10


def test_a_wrong_model_is_not_timed(lowered: Path, tmp_path: Path) -> None:
    artefact = described(lowered, "onnx", tmp_path)
    moved = [(x + 0.1, y) for x, y in artefact["golden"]["coords"]]
    wrong = {**artefact, "golden": {**artefact["golden"], "coords": moved}}
    message = refused({"job": "time", "artefacts": [wrong], "runs": 1, "seconds": 0}, "golden")
    assert "4.80 px (median)" in message  # a tenth of 48
    worse = [score + 0.2 for score in artefact["golden"]["scores"]]
    refused({"job": "load", "artefacts": [{**artefact, "golden": {**artefact["golden"], "scores": worse}}]}, "golden")
    fewer = {**artefact["golden"], "coords": artefact["golden"]["coords"][:14], "scores": artefact["golden"]["scores"][:14]}
    assert "(1, 17, 2)" in refused({"job": "load", "artefacts": [{**artefact, "golden": fewer}]}, "golden")


def test_what_is_not_the_file_that_was_sent_is_not_opened(lowered: Path, tmp_path: Path) -> None:
    artefact = described(lowered, "tflite", tmp_path)
    assert "--clean" in refused({"job": "load", "artefacts": [{**artefact, "sha256": "0" * 64}]}, "artefact")
    missing = {**artefact, "path": f"{tmp_path}/nothing.tflite"}
    assert "nothing.tflite" in refused({"job": "load", "artefacts": [missing]}, "artefact")


def test_a_file_that_the_runtime_refuses(lowered: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"nothing of ONNX")
    artefact = {**described(lowered, "onnx", tmp_path), "path": str(broken), "sha256": cards.digest(broken)}
    assert "refuses" in refused({"job": "load", "artefacts": [artefact]}, "artefact")


def test_without_numpy_it_says_so() -> None:
    assert "no numpy" in refused({"job": "load", "artefacts": []}, "runtime", "-I", "-S")


def test_without_its_runtime_it_says_so(lowered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent, "out", io.StringIO(), raising=False)
    with pytest.raises(agent.JobError, match=r"no abacus or beads in .*No module named") as caught:
        agent.import_first("abacus.of.wood", "beads")
    assert caught.value.kind == "runtime"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux lets a program choose its cores")
def test_cores_are_chosen(lowered: Path, tmp_path: Path) -> None:
    assert "[4711]" in refused({"job": "load", "artefacts": [], "affinity": [4711]}, "affinity")
    script = "import os; from edge import agent; agent.pin([{}]); print(os.sched_getaffinity(0))"
    core = min(__import__("os").sched_getaffinity(0))
    answer = subprocess.run([sys.executable, "-c", script.format(core)], capture_output=True, text=True, timeout=60)
    assert answer.stdout.strip() == f"{{{core}}}"


def test_what_is_reported_is_the_models_time(monkeypatch: pytest.MonkeyPatch) -> None:
    inside: list[float] = []

    class Busy:
        name, tensor, crop = "busy", None, None

        def __init__(self, artefact: dict[str, Any], threads: int) -> None:
            pass

        def replay(self) -> float:
            return 0.0

        def prepare(self, crop: Any) -> Any:
            return None

        def decode(self, answer: Any) -> Any:
            return None

        def call(self, tensor: Any) -> None:
            start = time.perf_counter_ns()
            while time.perf_counter_ns() - start < 1_000_000:
                pass
            inside.append((time.perf_counter_ns() - start) / 1e6)

    events = io.StringIO()
    monkeypatch.setattr(agent, "out", events, raising=False)
    monkeypatch.setattr(agent, "Model", Busy)
    agent.measure({"artefacts": [{}], "threads": 1, "runs": 200, "seconds": 0})
    parsed = [parse(line) for line in events.getvalue().splitlines()]
    reported = [ms for event in parsed if event and event["event"] == "times" for ms in event["ms"]]
    assert len(reported) == 200
    timed = [
        ms for number, ms in enumerate(inside[10:230]) if number % 11
    ]  # after warming up, without the first of each block
    assert np.median(np.array(reported) - np.array(timed)) < 0.02  # 2 % of a millisecond


def test_events_are_found_in_noise() -> None:
    assert parse('Welcome to Raspbian!@dpe {"event": "result"}') == {"event": "result"}
    for line in ("", "@dpe", "@dpe {", "@dpe [1]", '@dpe {"event": 7}', "INFO: Created delegate", "@dp e {}"):
        assert parse(line) is None


def test_all_runtimes_take_turns_in_one_process(lowered: Path, tmp_path: Path) -> None:
    """`edge.peers` opens artefacts as the agent does; a program's multiply-adds are the same in each of its files."""
    files = [str(lowered / f"tiny-{target}-int8.{suffix}") for target, suffix in SUFFIX.items()]
    peers.main(files, rounds=1, limit=1, json=tmp_path / "peers.json")
    result = read_peers(tmp_path / "peers.json")
    assert [network.runtime for network in result.networks] == list(SUFFIX)
    assert {network.multiply_adds for network in result.networks} == {8 * 12 * 3 * 16 * 16 + 96 * 51}
    assert [peak.runtime for peak in result.peaks] == list(SUFFIX)
    for network in result.networks:
        assert network.error is None
        (timing,) = network.timings
        assert timing.peak_share is not None
    pck = [network.accuracy["drawn"].pck for network in result.networks]
    assert pck == [pck[0]] * 3
