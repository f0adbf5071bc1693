"""The README's commands, Python example and tables.

Every flag in a command exists; the commands of edge and calib_data run as written on a small network, in the README's order.
The recipes of `make` are read, not run, because they call this test. Training commands take long, and no board is at hand:
the flags of both are parsed; tests/distill and tests/quantize train small networks, and tests/edge has emulated boards.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from answered_people import answered_people
from people_file import person, sample_of, write_people

from results.render import DOCUMENTS, render, tables

pytestmark = pytest.mark.minutes

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
RESULTS = (ROOT / "docs" / "results.md").read_text()
LINES = [
    line.partition("#")[0].strip()
    for block in re.findall(r"^```sh\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    for line in block.splitlines()
]
MAKE = [line for line in LINES if line.startswith("make ")]
PYTHON = [line for line in LINES if line.startswith("python -m ")]
# what makes a command small enough for a test; everything else of it stays as it is written
FEW = ["--limit", "4"]
SMALLER = {
    "edge.export": ["--program", "{program}"],
    "edge.check": FEW,
    "edge.bench": [],
    "edge.report": FEW,
    "edge.predict": [],
}


def module(line: str) -> str:
    return shlex.split(line)[2]


def run(line: str, cwd: Path, *more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *shlex.split(line)[1:], *more]
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=300)


def test_every_line_is_a_command_that_is_tested() -> None:
    assert sorted(MAKE + PYTHON) == sorted(LINES)
    assert {module(line) for line in PYTHON} >= set(SMALLER)


@pytest.mark.parametrize("line", MAKE)
def test_a_make_target_runs_documented_commands(line: str) -> None:
    steps = subprocess.run(["make", "-n", line.split()[1]], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    commands = re.findall(r"\.venv/bin/(python -m (?:edge|quantize|distill)[^;\\\n]*)", steps)
    assert commands or "pytest" in steps
    for command in commands:
        answer = run(command, ROOT, "--help")
        assert answer.returncode == 0, f"{command}: {answer.stderr}"


@pytest.mark.parametrize("line", PYTHON)
def test_every_flag_exists(line: str) -> None:
    answer = run(line, ROOT, "--help")  # an unknown flag is refused before --help answers
    assert answer.returncode == 0, answer.stderr


def test_the_commands_run_as_written(tmp_path: Path, tiny_program: Path) -> None:
    joints = [(12 + 2 * joint, 18 + 3 * joint) for joint in range(17)]
    someone = person(np.zeros((80, 64, 3), np.uint8), (10, 10, 40, 60), joints)
    write_people(tmp_path / "people.json", tmp_path / "photos", [someone])
    found = answered_people(tiny_program, 4)  # a gate refuses a float network that finds nobody, as the tiny one does
    samples = [sample_of(found, index) for index in range(len(found))]
    cv2.imwrite(str(tmp_path / "photo.jpg"), someone.image)
    (tmp_path / "android_demo").mkdir()
    shutil.copy(ROOT / "android_demo" / "AndroidManifest.xml", tmp_path / "android_demo")
    write_people(tmp_path / "found.json", tmp_path / "found", samples)
    for line in PYTHON:
        if module(line).startswith(("calib_data.", "edge.")) and not re.search("ssh://|--device adb", line):
            small = [word.format(program=tiny_program) for word in SMALLER.get(module(line), [])]
            small += ["--data", "found.json", "--images", "found"] if "--max-drop" in line else []
            answer = run(line.replace("distilpose_edge-", "tiny-"), tmp_path, *small)
            assert answer.returncode == 0, f"{line}: {answer.stderr}"
    assert "<svg" in (tmp_path / "dist" / "report.html").read_text()
    assert json.loads((tmp_path / "out.json").read_text())["lowered"]["persons"] == 1
    assert json.loads((tmp_path / "dist" / "bench.json").read_text())["devices"][0]["int8"]["latency_ms"]["runs"] >= 200


def test_the_python_example_runs_as_written(tmp_path: Path) -> None:
    (example,) = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    assert len([line for line in example.splitlines() if line]) == 4
    cv2.imwrite(str(tmp_path / "photo.jpg"), np.full((80, 64, 3), 128, np.uint8))
    program = example + "print(poses.keypoints.shape, poses.scores.shape)"
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"}
    answer = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300
    )
    assert (answer.returncode, answer.stdout) == (0, "(1, 17, 2) (1, 17)\n"), answer.stderr
    assert cv2.imread(str(tmp_path / "drawn.jpg")).shape == (80, 64, 3)


def test_the_first_screen() -> None:
    screen = README.splitlines()[:40]
    first = screen[2 : screen.index("", 2)]
    assert " ".join(first).count(". ") == 0, "one sentence"
    for start in ("```sh", "make demo", "make test", "<!-- results:begin -->", "![", "```python"):
        assert any(line.startswith(start) for line in screen), start
    rows = region(README, "results").splitlines()[2:]
    assert 1 <= len(rows) <= 6


def region(text: str, name: str) -> str:
    """What is between the two marks of a region."""
    begin, end = f"<!-- {name}:begin -->\n", f"\n<!-- {name}:end -->"
    assert text.count(begin) == text.count(end) == 1
    return text.partition(begin)[2].partition(end)[0]


def test_the_results_are_those_of_the_files() -> None:
    made = tables(ROOT / "results")
    assert region(RESULTS, "results-all") == made["results-all"]
    assert region(RESULTS, "targets") == made["targets"]
    assert region(README, "results") == made["results"]
    assert {*made["results"].splitlines()} <= {*made["results-all"].splitlines()}
    render(ROOT / "results", [ROOT / name for name in DOCUMENTS], check=True)  # and every other region, and figure
