"""What `pip install` of a built wheel gives, outside the checkout: sdist -> wheel -> an environment of its own."""

from __future__ import annotations

import json
import re
import shutil
import site
import subprocess
import sys
import tarfile
import tomllib
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
import yaml
from walking_person import WalkingPerson

from edge.predict.__main__ import main as predict
from pose import __version__

if TYPE_CHECKING:
    from emulated.boards import Lab

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PACKAGES = list(PROJECT["tool"]["importlinter"]["root_packages"])
SKIPPED = {".md"}  # pages for readers of the repository
BUILD = "import sys; from setuptools import build_meta; print(getattr(build_meta, 'build_' + sys.argv[1])(sys.argv[2]))"
# what the pip of a Raspberry Pi with Debian 12 takes; onnxruntime's and onnx's wheels need glibc 2.28
PI_PLATFORMS = [
    "--platform=manylinux2014_aarch64",
    *(f"--platform=manylinux_2_{minor}_aarch64" for minor in (17, 26, 27, 28)),
]


def files_of_packages() -> set[str]:
    """Every file of the packages that git knows or would add, relative to the repository."""
    listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *PACKAGES]
    names = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    return {name for name in names if (ROOT / name).is_file() and Path(name).suffix not in SKIPPED}


def build(what: str, source: Path, out: Path) -> Path:
    """The `sdist` or `wheel` of a source tree, made by its build backend as pip would."""
    command = [sys.executable, "-c", BUILD, what, str(out)]
    answer = subprocess.run(command, cwd=source, capture_output=True, text=True, timeout=300)
    assert answer.returncode == 0, answer.stderr
    return out / answer.stdout.splitlines()[-1]


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source = tmp_path_factory.mktemp("source")
    for name in {*files_of_packages(), "pyproject.toml", "README.md", "LICENSE"}:
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, source / name)
    return build("sdist", source, tmp_path_factory.mktemp("sdist"))


@pytest.fixture(scope="module")
def wheel(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made of the sdist alone: so that nothing that the sdist lacks can be in it."""
    unpacked = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(sdist) as archive:
        archive.extractall(unpacked, filter="data")
    return build("wheel", next(unpacked.iterdir()), tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of programs of a new environment that has the wheel, and every dependency from where the tests run.

    The dependencies are named by a .pth file, whose own .pth files (an editable install of this checkout) are not read.
    """
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False, symlinks=True)
    programs = folder / "bin"
    packages = folder / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
    (packages / "dependencies.pth").write_text("\n".join(site.getsitepackages()) + "\n")
    pip = [sys.executable, "-m", "pip", "--python", str(programs / "python"), "install", "--disable-pip-version-check"]
    options = ["--no-index", "--no-deps", "--ignore-installed", "--no-compile", str(wheel)]
    answer = subprocess.run([*pip, *options], capture_output=True, text=True, timeout=300)
    assert answer.returncode == 0, answer.stderr
    yield programs
    shutil.rmtree(folder)


def run(cwd: Path, *command: str | Path) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"}
    return subprocess.run([*map(str, command)], cwd=cwd, env=environment, capture_output=True, text=True, timeout=300)


def test_the_wheel_has_every_file_of_the_packages(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert files_of_packages() <= names
    weights = [name for name in names if name.startswith("pose/weights/")]
    assert len([name for name in weights if name.endswith((".safetensors", ".pt2", ".cut"))]) >= 5
    assert not [
        name for name in weights if name.endswith(("fp32.pt2", "fp32.tflite"))
    ]  # their weights are in a .safetensors
    assert wheel.stat().st_size < 40e6


def test_the_wheel_has_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    others = {name for name in names if not re.match(rf"(?:{'|'.join(PACKAGES)})/|distilpose_edge-[\d.]+\.dist-info/", name)}
    assert not others


def test_the_wheel_says_what_it_is(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    metadata = archive.read(f"distilpose_edge-{__version__}.dist-info/METADATA").decode()
    assert f"Version: {__version__}\n" in metadata
    assert "License-Expression: Apache-2.0\n" in metadata
    assert re.search(r"^Requires-Python: \S*>=3\.11", metadata, re.MULTILINE)
    assert (
        "distilpose = pose.console:main"
        in archive.read(f"distilpose_edge-{__version__}.dist-info/entry_points.txt").decode()
    )


def test_the_installed_packages_are_not_the_checkouts(installed: Path, tmp_path: Path) -> None:
    answer = run(tmp_path, installed / "python", "-c", f"import {', '.join(PACKAGES)}; print(pose.__file__, edge.__file__)")
    assert answer.returncode == 0, answer.stderr
    assert all(Path(path).is_relative_to(installed.parent) for path in answer.stdout.split())


def test_the_console_script_prints_the_version(installed: Path, tmp_path: Path) -> None:
    answer = run(tmp_path, installed / "distilpose", "--version")
    assert (answer.returncode, answer.stdout, answer.stderr) == (0, f"distilpose-edge {__version__}\n", "")


def test_the_bundled_student_is_exported_from_another_folder(installed: Path, tmp_path: Path) -> None:
    answer = run(tmp_path, installed / "python", "-m", "edge.export", "--target", "onnx", "--out", "models")
    assert answer.returncode == 0, answer.stderr
    cards = sorted((tmp_path / "models").glob("*-onnx-*.card.yaml"))
    assert {yaml.safe_load(card.read_text())["precision"] for card in cards} == {"fp32", "int8"}


def test_the_bundled_student_predicts_there_without_torch(installed: Path, tmp_path: Path) -> None:
    program = "import numpy, pose, sys; print(len(pose.load()(numpy.zeros((9, 9, 3), 'uint8'))), 'torch' in sys.modules)"
    answer = run(tmp_path, installed / "python", "-c", program)
    assert (answer.returncode, answer.stdout) == (0, "1 False\n"), answer.stderr


def test_the_base_install_needs_no_torch() -> None:
    heavy = {"torch", "torchao", "safetensors", "executorch", "litert-torch", "onnxscript", "coremltools", "scipy"}
    names = {re.split(r"[=<>\[~!;]", line)[0] for line in PROJECT["project"]["dependencies"]}
    assert not names & heavy
    assert {"ai-edge-litert", "onnxruntime"} <= names


def install_for_a_pi(wheel: Path, python: str, *options: str | Path) -> None:
    """Install the wheel and what it requires as a Pi's pip would, from built wheels alone; skip without an index."""
    what = ["--only-binary=:all:", "--implementation=cp", f"--python-version={python}", *PI_PLATFORMS, *map(str, options)]
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile", *what]
    answer = subprocess.run([*command, str(wheel)], capture_output=True, text=True, timeout=900)
    if "Failed to establish a new connection" in answer.stderr or "Could not fetch URL" in answer.stderr:
        pytest.skip("needs a package index")
    assert answer.returncode == 0, answer.stderr


@pytest.mark.minutes
@pytest.mark.parametrize("python", ["3.12", "3.13"])  # and 3.11 below
def test_every_requirement_has_a_wheel_for_a_pi(python: str, wheel: Path, tmp_path: Path) -> None:
    install_for_a_pi(wheel, python, "--dry-run", "--ignore-installed", "--target", tmp_path)


def test_the_base_install_predicts_on_a_pi(wheel: Path, lab: Lab, tmp_path: Path) -> None:
    """An emulated one: `pip install` of the wheel, then a photo as a user would try it over ssh."""
    from emulated.image import PACKAGES

    install_for_a_pi(wheel, "3.11", "--target", tmp_path / "layer" / PACKAGES)
    photo = tmp_path / "photo.png"
    cv2.imwrite(str(photo), cv2.cvtColor(WalkingPerson(3).frame(0, 160)[0], cv2.COLOR_RGB2BGR))
    board = lab.raspberry_pi(wheels=[str(tmp_path / "layer")])
    command = "cat > photo.png && python3 -m edge.predict photo.png --out drawn.png --json poses.json >&2 && cat poses.json"
    ssh = ["ssh", "-p", str(board.port), "pi@127.0.0.1", command]
    answer = subprocess.run(ssh, input=photo.read_bytes(), capture_output=True, timeout=900)
    assert answer.returncode == 0, answer.stderr.decode()
    assert board.console("head -c 8 /home/pi/drawn.png | od -An -c").split()[1:4] == ["P", "N", "G"]
    predict([str(photo)], json=tmp_path / "poses.json")
    (there,), (here,) = json.loads(answer.stdout), json.loads((tmp_path / "poses.json").read_text())
    assert there["score"] > 0.2
    apart = (np.array(there["keypoints"]) - here["keypoints"]).reshape(-1, 3)[:, :2]
    # not exact as on one given crop (tests/edge/test_on_device.py): each machine cuts the crops itself, over and over
    assert np.median(np.linalg.norm(apart, axis=1)) < 4, "pixels, of a person 170 tall"


def test_the_console_script_runs_a_command_there(installed: Path, tmp_path: Path) -> None:
    answer = run(tmp_path, installed / "distilpose", "edge", "doctor")
    assert "Traceback" not in answer.stderr
    assert answer.stdout


def test_the_version_is_the_same_everywhere() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == __version__
    assert f"## [{__version__}]" in (ROOT / "CHANGELOG.md").read_text()


def test_every_supported_python_is_in_the_workflow() -> None:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
    versions = workflow["jobs"]["test"]["strategy"]["matrix"]["python"]
    named = [line.rpartition(" ")[2] for line in PROJECT["project"]["classifiers"] if "Python :: 3." in line]
    assert versions == named == ["3.11", "3.12", "3.13"]
    commands = [step["run"] for step in workflow["jobs"]["test"]["steps"] if "run" in step]
    assert {"make demo", "make test"} <= set(commands)


def test_a_cpu_build_of_torch_satisfies_the_pin() -> None:
    """So `make` keeps one that was installed first: pip compares versions as `packaging` does."""
    from packaging.requirements import Requirement

    (pin,) = (line for line in PROJECT["project"]["optional-dependencies"]["torch"] if line.startswith("torch=="))
    assert Requirement(pin).specifier.contains("2.13.0+cpu")


def test_the_extra_of_each_target_is_one_of_the_project() -> None:
    from targets.base import SPECS

    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert {spec.extra for spec in SPECS.values() if spec.extra} <= set(extras)
