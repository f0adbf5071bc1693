"""edge.bench on devices that behave and on devices that do not; all of them are this machine."""

from __future__ import annotations

import json
import os
import stat
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from emulated.tools import an_hour_later

from edge import agent, dist
from edge.bench import bench, main, twins
from edge.devices import facts, measure, session
from edge.devices.base import ConnectionCut, TimedOut
from edge.devices.job import require_runnable
from edge.devices.local import Local
from edge.devices.measure import summary
from edge.devices.session import Plan
from edge.dist import Artefact
from edge.evaluate import gates
from edge.evaluate.timings import Facts, Throttled
from pose.card import Card, card_path, digest
from pose.errors import BackendError, GateError, InputError

OF_A_RUN = {"latency_ms", "times_ms", "stages_ms", "first_ms", "load_ms", "peak_memory_mb", "runtime_memory_mb"}
KEYS = OF_A_RUN | {"golden_px", "accelerator"}


@pytest.fixture(scope="module")
def pair(lowered: Path) -> dict[str, Artefact]:
    """The tiny network as ONNX, the runtime that is imported soonest."""
    return twins(dist.find(lowered / "tiny-onnx-int8.onnx"))


def copy_of(artefact: Artefact, folder: Path, card: Card) -> Artefact:
    """A copy of the artefact with another card."""
    path = folder / artefact.path.name
    path.write_bytes(artefact.path.read_bytes())
    card.write(card_path(path))
    return dist.find(path)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(session, "PAUSE", 0.0)
    monkeypatch.setattr(measure, "PAUSE", 0.0)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


class Elsewhere(Local):
    """This machine under another name; `spoil` gets each line of the agent, and may raise."""

    def __init__(self, name: str = "ssh://elsewhere") -> None:
        self.name = name  # type: ignore[misc]
        self.jobs: list[dict[str, Any]] = []

    @property
    def folder(self) -> str:
        """A folder of its own, as on another board."""
        return f"{super().folder}-{self.name.rpartition('/')[2]}"

    def run(self, command: Sequence[str], *, stdin: bytes = b"", timeout: float) -> Iterator[str]:
        lines = super().run(command, stdin=stdin, timeout=timeout)
        if not stdin:
            yield from lines
            return
        self.jobs.append(json.loads(stdin))
        for line in lines:
            yield "Last login: yesterday"
            yield self.spoil(line)

    def spoil(self, line: str) -> str:
        return line


def quick(pair: dict[str, Artefact], **fields: Any) -> Plan:
    return replace(Plan(pair, "quick", 20, 0.0), **fields)


def test_what_is_measured(pair: dict[str, Artefact]) -> None:
    result = json.loads(json.dumps(bench(quick(pair), [Local()]).as_json()))
    assert (result["schema_version"], result["mode"], result["threads"]) == (1, "quick", 1)
    for name, artefact in pair.items():
        path = artefact.path
        size = path.stat().st_size
        assert result["artefacts"][name] == {"path": str(path), "sha256": digest(path), "bytes": size, "target": "onnx"}
    (device,) = result["devices"]
    assert (device["device"], device["error"]) == ("local", None)
    assert set(device["facts"]) == {"before", "after"}
    assert device["facts"]["before"]["runtime"]["onnxruntime"]
    assert any(warning.startswith("quick: ") for warning in device["warnings"])
    for name in pair:
        mine = device[name]
        assert set(mine) == KEYS
        assert mine["latency_ms"] == summary(mine["times_ms"]).as_json()
        assert mine["latency_ms"]["runs"] == 20
        assert set(mine["stages_ms"]) == {"preprocess", "model", "decode"}
        assert mine["peak_memory_mb"] >= mine["runtime_memory_mb"] > 0
        assert mine["golden_px"] == 0
        assert mine["accelerator"] == "CPUExecutionProvider"


def test_a_bad_device_does_not_stop_the_others(pair: dict[str, Artefact]) -> None:
    class Dead(Elsewhere):
        def run(self, command: Sequence[str], *, stdin: bytes = b"", timeout: float) -> Iterator[str]:
            raise ConnectionCut(f"{self.name}: gone")

    dead, good = bench(quick(pair), [Dead("ssh://dead"), Elsewhere()]).devices
    assert (dead.device, dead.error, dead.int8.latency_ms) == ("ssh://dead", "ssh://dead: gone", None)
    assert (good.device, good.error, good.int8.latency_ms.runs) == ("ssh://elsewhere", None, 20)


def test_a_cut_connection_is_resumed(pair: dict[str, Artefact]) -> None:
    class Cut(Elsewhere):
        cuts = 0

        def spoil(self, line: str) -> str:
            if '"times"' in line and '"int8"' in line and self.cuts < 2:
                self.cuts += 1
                raise ConnectionCut(f"{self.name}: cut")
            return line

    device = Cut()
    (record,) = bench(quick(pair, runs=30, seconds=0.6), [device]).devices
    assert record.error is None
    assert sum("connection was cut" in warning for warning in record.warnings) == 2
    timed = [job for job in device.jobs if job["job"] == "time"]
    assert [job["seconds"] for job in timed] == sorted((job["seconds"] for job in timed), reverse=True)
    assert len(timed) == 3
    assert timed[0]["seconds"] == 0.6 > timed[-1]["seconds"]
    assert record.int8.latency_ms.runs >= 30
    assert record.fp32.latency_ms.runs > record.int8.latency_ms.runs  # what came before a cut is kept


def test_what_was_measured_before_a_hang_is_kept(pair: dict[str, Artefact]) -> None:
    class Hangs(Elsewhere):
        heard = 0

        def spoil(self, line: str) -> str:
            self.heard += '"times"' in line
            if self.heard > 2:
                raise TimedOut(f"{self.name}: took longer than 1 s and was ended there")
            return line

    (record,) = bench(quick(pair, runs=100_000), [Hangs()]).devices
    assert "took longer" in record.error
    assert record.fp32.latency_ms.runs == len(record.fp32.times_ms) > 0
    assert record.facts.after is None


def test_a_job_that_takes_too_long_is_ended(pair: dict[str, Artefact], monkeypatch: pytest.MonkeyPatch) -> None:
    class Slow(Elsewhere):
        def spoil(self, line: str) -> str:
            if '"times"' in line:
                an_hour_later(monkeypatch)
            return line

    (record,) = bench(quick(pair, seconds=600.0, timeout=900.0), [Slow()]).devices
    assert "took longer than 900 s and was ended" in record.error


def test_emulated_time_is_not_latency(pair: dict[str, Artefact], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISTILPOSE_EMULATED", "1")
    device = Elsewhere()
    result = bench(quick(pair, runs=1024, seconds=60.0), [device])
    (record,) = result.devices
    assert record.emulated is True
    assert device.jobs[-1]["runs"] == measure.EMULATED_RUNS
    for name in pair:
        timing = record.timing(name).as_json()
        assert timing.pop("emulated_ms")["runs"] == measure.EMULATED_RUNS
        assert timing.pop("golden_px") == 0
        assert timing.pop("accelerator") == "CPUExecutionProvider"
        assert all(value in (None, []) for value in timing.values())
    assert any("emulated" in warning for warning in record.warnings)
    with pytest.raises(InputError, match="needs a latency of a real device"):
        gates.latency([result], {None: 1e6})


def test_a_changed_clock_is_reported(pair: dict[str, Artefact]) -> None:
    class Slows(Elsewhere):
        def spoil(self, line: str) -> str:
            event = json.loads(line.removeprefix(agent.MARK))
            if event["event"] == "stages":
                speed = 1800.0 if event["artefact"] == "fp32" else 600.0
                return agent.MARK + json.dumps({"event": "clock", "s": 1.0, "mhz": [speed]})
            return line

    (record,) = bench(quick(pair), [Slows()]).devices
    assert any("between 600 and 1800 MHz" in warning for warning in record.warnings)


def test_an_error_of_the_agent_is_one_line(pair: dict[str, Artefact]) -> None:
    (record,) = bench(quick(pair, affinity=(4711,)), [Local()]).devices
    assert record.error.startswith("local: cores [4711] cannot be had")
    assert "\n" not in record.error

    class Mute(Elsewhere):
        def spoil(self, line: str) -> str:
            return ""

    (record,) = bench(quick(pair), [Mute()]).devices
    assert "without a result" in record.error


def test_a_card_that_lies_is_not_timed(pair: dict[str, Artefact], tmp_path: Path) -> None:
    liars = {}
    for name, artefact in pair.items():
        card = artefact.card
        lowered = card.golden.expected["lowered"]
        moved = lowered.model_copy(update={"coords": [(x + 0.5, y) for x, y in lowered.coords]})
        golden = card.golden.model_copy(update={"expected": {**card.golden.expected, "lowered": moved}})
        liars[name] = copy_of(artefact, tmp_path, card.model_copy(update={"golden": golden}))
    (record,) = bench(quick(liars), [Local()]).devices
    assert "another model or input" in record.error
    assert record.int8.latency_ms is None


def test_an_artefact_that_no_device_runs_is_refused(pair: dict[str, Artefact], tmp_path: Path) -> None:
    card = pair["int8"].card
    artefact = copy_of(pair["int8"], tmp_path, card.model_copy(update={"target": "coreml"}))
    with pytest.raises(
        InputError,
        match=r"for coreml, whose TargetSpec names no runtime .* no device's agent runs it; take one of executorch, tflite",
    ):
        require_runnable(artefact)
    unanswered = card.golden.model_copy(update={"expected": {}})
    other = card.model_copy(update={"golden": unanswered, "metrics": {"delegate": "vulkan"}})
    with pytest.raises(InputError, match="delegate vulkan"):
        require_runnable(copy_of(pair["int8"], tmp_path, other))


TRTEXEC = """#!/bin/sh
[ "$1" = --help ] && { echo '&&&& RUNNING TensorRT.trtexec [TensorRT v100300] # trtexec --help'; exit; }
for flag in "$@"; do case "$flag" in
  --loadInputs=images:*) golden="${flag#*:}" ;;
  --exportOutput=*) cat >"${flag#*=}" <"$ANSWERS/${ONNX}.json" ;;
  --exportTimes=*) echo '[{"latencyMs": 1.0}, {"latencyMs": 2.0}]' >"${flag#*=}" ;;
  --onnx=*) ONNX="${flag##*/}" ;;
esac; done
[ "$(wc -c <"$golden")" -eq 36864 ] || exit 1
cat <<END
[I] Engine built in 12.5 sec.
[I] Throughput: 600 qps
[I] Latency: min = 1 ms, max = 2 ms, mean = 1.5 ms, median = 1.4 ms, percentile(90%) = 1.9 ms, percentile(99%) = 2 ms
[I] GPU Compute Time: min = 1 ms, max = 2 ms, mean = 1.5 ms, median = 1.3 ms, percentile(90%) = 1.9 ms
&&&& PASSED TensorRT.trtexec [TensorRT v100300] # trtexec
END
"""


@pytest.fixture
def engines(pair: dict[str, Artefact], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Artefact]:
    """The pair as if it were for TensorRT, and what a trtexec answers to each."""
    made = {}
    for name, artefact in pair.items():
        card = artefact.card.model_copy(update={"target": "tensorrt"})
        made[name] = copy_of(artefact, tmp_path, card)
        lowered = card.golden.expected["lowered"]
        values = {"coords": np.ravel(lowered.coords).tolist(), "scores": lowered.scores}
        answer = [{"name": output, "dimensions": "", "values": value} for output, value in values.items()]
        (tmp_path / f"{artefact.path.name}.json").write_text(json.dumps(answer))
    monkeypatch.setenv("ANSWERS", str(tmp_path))
    return made


def test_trtexec_where_there_is_one(engines: dict[str, Artefact], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tmp_path / "bin" / "trtexec"
    tool.parent.mkdir()
    tool.write_text(TRTEXEC)
    tool.chmod(tool.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tool.parent}:{os.environ['PATH']}")
    Path(Local().folder).mkdir(parents=True)
    (record,) = bench(quick(engines), [Local()]).devices
    assert record.error is None
    assert record.facts.before.runtime == {"tensorrt": "10.3.0"}
    assert record.int8.latency_ms.as_json() == {"p50": 1.4, "p90": 1.9, "p99": 2.0, "mean": 1.5, "runs": 2}
    assert record.int8.stages_ms == {"model": 1.3}
    assert record.int8.accelerator == "TensorRT 10.3.0"
    assert record.int8.golden_px == pytest.approx(0, abs=1e-6)
    assert any("not in turns" in warning for warning in record.warnings)

    name = f"{engines['int8'].path.name}.json"
    (tmp_path / name).write_text((tmp_path / name).read_text().replace("0.", "0.9"))
    (record,) = bench(quick(engines), [Local()]).devices
    assert "another model or input" in record.error
    lost = "error while loading shared libraries: libnvinfer.so.10"
    for script, error in (
        (
            "echo '[E] out of memory'; echo '&&&& FAILED TensorRT.trtexec [TensorRT v100300]'; exit 1",
            "10.3.0): out of memory",
        ),
        (
            "echo '&&&& RUNNING TensorRT.trtexec [TensorRT v100300]'; kill -KILL $$",
            "trtexec was killed by signal 9; is there",
        ),
        ("echo '&&&& RUNNING TensorRT.trtexec # trtexec'", "TensorRT before 8 is too old: 10 is needed"),
        (f"echo 'trtexec: {lost}' >&2; exit 127", f"local: trtexec does not start (trtexec: {lost}); install that library"),
    ):
        tool.write_text(f"#!/bin/sh\n{script}\n")
        (record,) = bench(quick(engines), [Local()]).devices
        assert error in record.error


def test_the_stand_in_for_tensorrt_says_so(engines: dict[str, Artefact]) -> None:
    (record,) = bench(quick(engines), [Local()]).devices
    assert record.error is None
    assert any("not TensorRT" in warning for warning in record.warnings)
    assert record.int8.accelerator == "CPUExecutionProvider"  # what ran, not what the artefact is for


def test_the_runtime_is_not_installed_on_this_machine(pair: dict[str, Artefact], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^--setup is for other devices, not for local"):
        main(["local"], pair["int8"].path, setup=True, json=tmp_path / "bench.json")
    assert not (tmp_path / "bench.json").exists()


def test_the_command(pair: dict[str, Artefact], tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: Any) -> None:
    out = tmp_path / "bench.json"
    main(["local"], pair["int8"].path, max_p90_ms=1e6, json=out)
    assert "p90" in capsys.readouterr().out
    assert json.loads(out.read_text())["devices"][0]["int8"]["latency_ms"]["runs"] == 200
    with pytest.raises(GateError, match=r"1 of 1 gates failed: p90 latency, onnx on local: .* ms, 0 allowed"):
        main(["local"], pair["int8"].path, max_p90_ms=0)
    out.unlink()
    monkeypatch.setattr("edge.devices.open", lambda name, apk: Elsewhere(name))
    monkeypatch.setattr(Elsewhere, "spoil", lambda self, line: "" if "bad" in self.name else line)
    with pytest.raises(BackendError, match=r"^1 of 2 devices failed; ssh://bad: the agent ended without a result"):
        main(["ssh://bad", "ssh://good"], pair["int8"].path, json=out)
    bad, good = json.loads(out.read_text())["devices"]
    assert (bad["int8"]["latency_ms"], good["int8"]["latency_ms"]["runs"]) == (None, 200)
    for flags in ({"device": ["local", "local"]}, {"rigorous": True, "sustained": 1.0}):
        with pytest.raises(InputError):
            main(**{"device": ["local"], "artefact": pair["int8"].path, **flags})


def test_files_on_a_device_are_removed(pair: dict[str, Artefact]) -> None:
    folder = Path(Local().folder)
    bench(quick(pair), [Local()])
    assert any(folder.iterdir())  # what ONNX Runtime wants on x86
    bench(quick(pair), [Local()], clean=True)
    assert not folder.exists()


def test_an_interrupted_bench_stops_its_devices(pair: dict[str, Artefact], monkeypatch: pytest.MonkeyPatch) -> None:
    ended = threading.Event()

    class Long(Elsewhere):
        def spoil(self, line: str) -> str:
            if '"times"' in line:
                heard.set()
            return line

        def run(self, command: Sequence[str], *, stdin: bytes = b"", timeout: float) -> Iterator[str]:
            try:
                yield from super().run(command, stdin=stdin, timeout=timeout)
            finally:
                if heard.is_set():
                    ended.set()

    heard, join = threading.Event(), threading.Thread.join

    def interrupted(self: threading.Thread, timeout: float | None = None) -> None:
        if timeout is None and self.daemon and threading.current_thread() is threading.main_thread():
            assert heard.wait(60)
            raise KeyboardInterrupt
        join(self, timeout)

    monkeypatch.setattr(threading.Thread, "join", interrupted)
    with pytest.raises(KeyboardInterrupt):
        bench(quick(pair, seconds=600.0), [Long()])
    assert ended.wait(60)


def test_facts_are_those_of_the_device(pair: dict[str, Artefact], monkeypatch: pytest.MonkeyPatch) -> None:
    quiet = Facts(board="pi4", emulated=False)
    hot = quiet.model_copy(update={"throttled": Throttled(since_boot=["throttled"])})
    readings = iter([quiet, hot])
    monkeypatch.setattr(facts, "read", lambda device: next(readings))
    (record,) = bench(quick(pair), [Local()]).devices
    assert record.board == "pi4"
    assert any("throttled during the run" in warning for warning in record.warnings)


def test_other_kernels_are_reported(pair: dict[str, Artefact]) -> None:
    class Other(Elsewhere):
        def spoil(self, line: str) -> str:
            return line.replace('"max_px": 0.0', '"max_px": 1.25')

    (record,) = bench(quick(pair), [Other()]).devices
    assert any("int8 answers the golden crop up to 1.2 px otherwise" in warning for warning in record.warnings)
