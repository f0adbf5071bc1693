"""edge.bench end to end on emulated boards, and what can go wrong there: nothing is lost, nothing is left running."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from emulated.boards import PI5, Board, Lab
from emulated.tools import Cable, an_hour_later, failure, quiet

from edge import devices, dist
from edge.bench import twins
from edge.devices import job as jobs
from edge.devices import measure as measuring
from edge.devices.base import TimedOut
from edge.devices.measure import measure
from edge.devices.python import setup
from edge.devices.session import Plan, Session
from edge.dist import Artefact
from edge.evaluate.timings import Facts
from pose.card import card_path
from pose.errors import BackendError

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def artefacts(lowered: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Artefact]:
    """The tiny network for TFLite, whose runtime is imported soonest there, in an awkward place."""
    folder = shutil.copytree(lowered, tmp_path_factory.mktemp("it's $HOME") / 'a "dist" folder')
    return twins(dist.find(Path(folder) / "tiny-tflite-int8.tflite"))


def plan(artefacts: dict[str, Artefact], **fields: Any) -> Plan:
    return Plan(artefacts, "quick", 200, 0.0, **fields)


def error_of(board: Board, artefacts: dict[str, Artefact]) -> str:
    """The one line that a measurement there ends with."""
    result = measure(devices.open(board.spec), plan(artefacts))
    quiet(board)
    assert result.error
    assert "\n" not in result.error
    assert result.error.startswith(board.spec)
    assert result.int8
    assert result.int8.latency_ms is None
    return result.error


def test_boards_of_both_kinds_and_a_bad_one(
    lab: Lab, artefacts: dict[str, Artefact], command: Command, tmp_path: Path
) -> None:
    pi, phone, bad = lab.raspberry_pi(PI5), lab.android(), lab.android("unauthorized")
    pi.console("echo 'print(\"noise\")' >/usr/lib/python3.11/sitecustomize.py")
    pi.console("echo throttled=0x50005 >/run/throttled")
    boards = [argument for board in (pi, bad, phone) for argument in ("--device", board.spec)]
    answer = command(
        "edge.bench", *boards, "--artefact", artefacts["int8"].path, "--clean", "--json", tmp_path / "bench.json"
    )
    assert answer.returncode == 3, answer.stderr
    assert answer.stderr.splitlines()[-1].endswith(f"1 of 3 devices failed; {bad.spec}: device unauthorized; unlock it and "
                                                   "allow debugging from this computer")  # fmt: skip
    result = json.loads((tmp_path / "bench.json").read_text())
    good = [result["devices"][0], result["devices"][2]]
    assert "unauthorized" in result["devices"][1]["error"]
    assert [device["board"] for device in good] == ["pi5", "android"]
    for device in good:
        assert device["error"] is None
        assert device["emulated"] is True
        assert any("emulated" in warning for warning in device["warnings"])
        for name in ("fp32", "int8"):
            assert device[name]["golden_px"] < 1e-3
            assert device[name]["latency_ms"] is None
            assert device[name]["times_ms"] == []
            assert device[name]["emulated_ms"]["p50"] > 0
            assert device[name]["emulated_ms"]["runs"] == measuring.EMULATED_RUNS
    assert good[0]["facts"]["before"]["cpu"] == "4 x Cortex-A76"
    assert good[0]["facts"]["after"]["throttled"]["raw"] == "0x50005"
    assert any("throttled during the run: throttled, under-voltage" in warning for warning in good[0]["warnings"])
    quiet(pi, phone)
    assert "distilpose" not in pi.console("ls -a /home/pi/.cache") + phone.console("ls -a /data/local/tmp")


def test_no_python(pi: Board, artefacts: dict[str, Artefact]) -> None:
    pi.console("rm /usr/bin/python3*")
    assert "no Python there; install it there: sudo apt install python3" in error_of(pi, artefacts)


def test_python_of_another_architecture(pi: Board, artefacts: dict[str, Artefact]) -> None:
    pi.console(r"printf '\025' | dd of=/usr/bin/python3.11 bs=1 seek=18 conv=notrunc status=none")
    assert "python3 is made for another architecture" in error_of(pi, artefacts)


def test_no_runtime(lab: Lab, artefacts: dict[str, Artefact]) -> None:
    message = error_of(lab.raspberry_pi(wheels=("numpy",)), artefacts)
    assert "no ai_edge_litert or tflite_runtime" in message
    assert "--setup" in message


def test_setup_where_python_makes_no_environment(lab: Lab) -> None:
    """Debian's python3 without python3-venv leaves half an environment, which must not pass for a whole one afterwards."""
    device = devices.open(lab.raspberry_pi(wheels=()).spec)
    for _ in range(2):
        with pytest.raises(BackendError, match=r"python3 makes no environment; sudo apt install python3\.11-venv there"):
            setup(device, "tflite", Facts())


def test_a_runtime_of_another_architecture(pi: Board, artefacts: dict[str, Artefact]) -> None:
    library = "/usr/local/lib/python3.11/dist-packages/ai_edge_litert/libpywrap_litert_common.so"
    pi.console(rf"printf '\076' | dd of={library} bs=1 seek=18 conv=notrunc status=none")
    assert "cannot open shared object file" in error_of(pi, artefacts)


def test_a_disk_that_is_full(pi: Board, artefacts: dict[str, Artefact]) -> None:
    pi.small_disk("/home/pi/.cache", 1)
    pi.console("head -c 1000000 /dev/zero >/home/pi/.cache/mine")
    assert "disk is full" in error_of(pi, artefacts)
    assert pi.console("find /home/pi/.cache -type f") == "/home/pi/.cache/mine\n"


def test_a_card_that_lies(pi: Board, artefacts: dict[str, Artefact], tmp_path: Path) -> None:
    lying = {}
    for name, artefact in artefacts.items():
        path = tmp_path / artefact.path.name
        path.write_bytes(artefact.path.read_bytes())
        card = yaml.safe_load(card_path(artefact.path).read_text())
        if name == "int8":
            (expected,) = card["golden"]["expected"].values()
            expected["coords"] = [[0.5, 0.5] for _ in expected["coords"]]
        card_path(path).write_text(yaml.safe_dump(card))
        lying[name] = dist.find(path)
    assert "another model or input" in error_of(pi, lying)


def test_a_board_that_hangs_in_the_middle(
    pi: Board, artefacts: dict[str, Artefact], monkeypatch: pytest.MonkeyPatch
) -> None:
    session = Session(devices.open(pi.spec))
    session.open()
    int8 = artefacts["int8"]
    described = session.push("int8", int8.path, jobs.require_runnable(int8))
    got: list[dict[str, Any]] = []

    def listen() -> None:
        for event in session.run({"job": "time", "artefacts": [described], "runs": 10**9, "seconds": 1000}, 600):
            got.append(event)
            if event["event"] == "times":
                pi.console("pkill -STOP -f 'static /usr/bin/[p]ython3'")
                an_hour_later(monkeypatch)

    assert "took longer than 600 s and was ended there" in failure(listen, TimedOut)
    assert sum(len(event["ms"]) for event in got if event["event"] == "times") > 0
    quiet(pi)


def test_a_connection_that_is_cut_and_made_again(
    cable: Cable, pi: Board, artefacts: dict[str, Artefact], monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = 500
    cuts: list[float] = []
    monkeypatch.setattr(measuring, "EMULATED_RUNS", wanted)

    def step(share: float) -> None:
        if share > 0.1 and not cuts:
            cuts.append(share)
            cable.cut()

    result = measure(devices.open(cable.spec), Plan(artefacts, "quick", wanted, 0.0), step)
    assert cuts
    assert result.error is None
    assert any("was cut and made again" in warning for warning in result.warnings)
    assert result.int8.emulated_ms.runs >= wanted
    quiet(pi)
