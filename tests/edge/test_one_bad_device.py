"""One bad device among several: whatever it does, the others are measured and written, and the bad one is named."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge import agent, bench, check, devices, dist
from edge.devices.answers import collect
from edge.devices.base import failure_line, require_all
from edge.devices.local import Local
from edge.devices.measure import _Run
from edge.evaluate.answers import Answers
from edge.report import __main__ as report
from pose.errors import BackendError


def events(*values: object) -> Iterator[str]:
    yield from (agent.MARK + json.dumps(value) for value in values)


class Canned(Local):
    """A device that answers at once: every time is 2 ms, every joint in the middle of the crop."""

    def __init__(self, name: str, count: int = 2) -> None:
        self.name, self.count = name, count

    def run(self, command: Sequence[str], *, stdin: bytes = b"", timeout: float) -> Iterator[str]:
        job = json.loads(stdin) if stdin else {}
        yield from events(*self.answers(job) if job else [])

    def answers(self, job: dict[str, Any]) -> Iterator[dict[str, Any]]:
        for artefact in job["artefacts"]:
            yield {"event": "golden", "artefact": artefact["name"], "max_px": 0.0}
            if job["job"] == "time":
                yield {"event": "times", "artefact": artefact["name"], "s": 1.0, "ms": [2.0] * job["runs"]}
        yield {"event": "result", "load_ms": 1.0, "first_ms": 2.0}

    def pull(self, remote: str, to: Path) -> None:
        np.savez(to, coords=np.full((self.count, 17, 2), 0.5, np.float32), scores=np.ones((self.count, 17), np.float32))


def raising(error: Exception) -> Callable[..., Any]:
    def fail(*_: object, **__: object) -> Any:
        raise error

    return fail


def pulling(write: Callable[[Path], None]) -> Callable[..., None]:
    return lambda remote, to: write(to)


def bomb(path: Path) -> None:
    """A few kilobytes that unpack to a gigabyte."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("coords.npy", "w") as member:
        np.lib.format.write_array_header_1_0(member, {"descr": "<f4", "fortran_order": False, "shape": (10**9, 17, 2)})
        for _ in range(20):
            member.write(bytes(1 << 20))


RUNS = {
    "a fault of ours": raising(KeyError("coords")),
    "no memory": raising(MemoryError()),
    "a file that is not there": raising(FileNotFoundError(2, "No such file or directory", "/usr/bin/ssh")),
    "bytes": raising(UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")),
    "nesting": raising(RecursionError("maximum recursion depth exceeded")),
    "nothing": lambda *_, **__: iter(()),
    "only noise": lambda *_, **__: iter(["a", "", "\0"]),
    "nan": lambda *_, **__: events({"event": "golden", "artefact": "int8", "max_px": float("nan")}),
    "facts that cannot be": lambda *_, **__: iter(["@@ loadavg", "x y z", "@@ cpuinfo", "processor: 0"]),
}
PULLS = {
    "no archive": pulling(lambda path: path.write_bytes(b"not a zip")),
    "empty": pulling(lambda path: path.write_bytes(b"")),
    "missing": pulling(lambda path: None),
    "other arrays": pulling(lambda path: np.savez(path, x=np.zeros(3))),
    "other shape": pulling(
        lambda path: np.savez(path, coords=np.zeros((3, 17), np.float32), scores=np.zeros(3, np.float32))
    ),
    "other type": pulling(lambda path: np.savez(path, coords=np.zeros((2, 17, 2)), scores=np.zeros((2, 17)))),
    "objects": pulling(lambda path: np.savez(path, coords=np.array([{}], object), scores=np.zeros((2, 17)))),
    "absurd": pulling(
        lambda path: np.savez(path, coords=np.full((2, 17, 2), 3e38, np.float32), scores=np.ones((2, 17), np.float32))
    ),
    "a bomb": pulling(bomb),
}


@pytest.fixture
def bad(monkeypatch: pytest.MonkeyPatch) -> Canned:
    """The second device of every command; the tests break one of its methods."""
    device = Canned("ssh://bad")
    monkeypatch.setattr(devices, "open", lambda spec, apk: device if spec == "ssh://bad" else Canned(spec))
    return device


def one_failed(caught: pytest.ExceptionInfo[BackendError], count: int = 2) -> None:
    text = str(caught.value)
    assert text.startswith(f"1 of {count} devices failed; ssh://bad: ")
    assert "\n" not in text
    assert len(text) < 500


@pytest.mark.parametrize("method", [*(("run", kind) for kind in RUNS), *(("pull", kind) for kind in PULLS)], ids=" ".join)
def test_the_answers_of_the_good_device_are_kept(
    method: tuple[str, str], lowered: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, kind = method
    bad = Canned("ssh://bad")
    monkeypatch.setattr(bad, name, {"run": RUNS, "pull": PULLS}[name][kind])
    artefact = dist.find(lowered / "tiny-tflite-int8.tflite")
    crops = [np.zeros((64, 48, 3), np.uint8)] * 2
    (good,), (failure,) = collect([Canned("local"), bad], [artefact], crops)
    assert isinstance(good, Answers)
    assert (good.coords == 0.5).all()
    assert isinstance(failure, str)
    assert failure.startswith("ssh://bad: ")
    assert "\n" not in failure


def test_check_writes_the_columns_of_the_good_device(
    bad: Canned, lowered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bad, "pull", PULLS["other shape"])
    out = tmp_path / "check.json"
    with pytest.raises(BackendError) as caught:
        check.main(lowered / "tiny-tflite-int8.tflite", device=["local", "ssh://bad"], limit=2, json=out)
    one_failed(caught)
    columns = json.loads(out.read_text())["on_device"]
    assert columns["local"]["error"] is None
    assert columns["local"]["host_px"]["p99"] > 0
    assert columns["ssh://bad"]["error"].startswith("ssh://bad: ")
    assert columns["ssh://bad"]["ap"] is None


@pytest.mark.parametrize("kind", ["a fault of ours", "nan", "facts that cannot be"])
def test_bench_writes_the_times_of_the_good_device(
    bad: Canned, kind: str, lowered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bad, "run", RUNS[kind])
    out = tmp_path / "bench.json"
    with pytest.raises(BackendError) as caught:
        bench.main(device=["local", "ssh://bad"], artefact=lowered / "tiny-tflite-int8.tflite", json=out)
    one_failed(caught)
    good, other = json.loads(out.read_text())["devices"]
    assert good["int8"]["latency_ms"]["p50"] > 0
    assert other["error"].startswith("ssh://bad: ")
    assert (other["int8"] or {}).get("latency_ms") is None


def test_a_record_that_cannot_be_made_is_a_failure_of_its_device(
    bad: Canned, lowered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = _Run.record
    monkeypatch.setattr(
        _Run, "record", lambda run, error: raising(TypeError("x"))() if run._session.device is bad else whole(run, error)
    )
    out = tmp_path / "bench.json"
    with pytest.raises(BackendError) as caught:
        bench.main(device=["local", "ssh://bad"], artefact=lowered / "tiny-tflite-int8.tflite", json=out)
    one_failed(caught)
    assert json.loads(out.read_text())["devices"][0]["int8"]["latency_ms"]["p50"] > 0


def test_report_writes_its_page_and_ends_with_3_before_the_gates(
    bad: Canned, lowered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bad, "run", RUNS["a fault of ours"])
    out = tmp_path / "report.html"
    with pytest.raises(BackendError) as caught:
        report.main(
            artefact=lowered / "tiny-tflite-int8.tflite",
            device=["local", "ssh://bad"],
            limit=2,
            max_p90_ms=["0.0001"],
            out=out,
        )
    one_failed(caught)
    written = json.loads(out.with_suffix(".json").read_text())
    good, other = written["benches"][0]["devices"]
    assert good["int8"]["latency_ms"]["p50"] > 0
    assert other["error"].startswith("ssh://bad: ")
    assert "ssh://bad" in out.with_suffix(".md").read_text()


def test_several_bad_devices_are_all_named() -> None:
    with pytest.raises(BackendError, match=r"^2 of 3 devices failed; a: gone; b failed, too$"):
        require_all({"a": "a: gone", "b": "b: gone, too"}, 3)
    require_all({}, 3)


def test_a_failure_is_one_line_with_its_device() -> None:
    device = Local()
    for error in (ValueError("a\nb\n"), OSError("bare"), KeyError("x"), BackendError("two\nlines"), Exception()):
        line = failure_line(device, error)
        assert line.startswith("local: ")
        assert "\n" not in line
