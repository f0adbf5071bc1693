"""ExecuTorch on emulated boards: the runtime of its arm64 wheel, called by a few lines of C++.

From Python it needs torch, too, whose arm64 wheel is 427 MB: too large to be fetched for a test.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge import devices, run
from pose.crop import normalise
from pose.files import sha256

COMPILER = "aarch64-linux-gnu-g++"
SOURCE = Path(__file__).parents[1] / "emulated" / "executorch_runner.cpp"
LIBRARIES = ("executorch", "executorch_backend_xnnpack", "executorch_kernels_optimized", "executorch_kernels_quantized")


@pytest.fixture
def runner(lab: Any, tmp_path: Path) -> Path:
    from emulated.image import PACKAGES, executorch

    if not shutil.which(COMPILER):
        pytest.skip(f"needs {COMPILER}: apt-get install g++-aarch64-linux-gnu")
    on_board = f"/{PACKAGES}/executorch"
    library, program = f"{executorch(lab.image)}{on_board}", tmp_path / "runner"
    options = ["-std=c++17", "-w", "-DC10_USING_CUSTOM_GENERATED_MACROS", f"-I{library}/include"]
    options += [f"-I{library}/include/executorch/runtime/core/portable_type/c10", f"-L{library}/lib", "-Wl,--no-as-needed"]
    options += [*(f"-l{name}" for name in LIBRARIES), "-Wl,--allow-shlib-undefined", f"-Wl,-rpath,{on_board}/lib"]
    subprocess.run([COMPILER, str(SOURCE), "-o", str(program), *options], check=True)
    return program


def test_boards_answer_as_this_machine(runner: Path, lab: Any, exported: Path, tmp_path: Path) -> None:
    from emulated.boards import PI4, PI5

    crops = np.random.default_rng(0).integers(0, 256, (3, 64, 48, 3), np.uint8)
    for machine, precisions in ((PI4, ["int8"]), (PI5, ["fp32", "int8"])):
        board = devices.open(lab.raspberry_pi(machine, ("executorch",)).spec)
        program = board.push(runner, sha256(runner))
        for precision in precisions:
            artefact = exported / f"tiny-executorch-{precision}.pte"
            host = run.open(artefact)
            images = np.stack([normalise(crop, host.card.spec) for crop in crops])
            (tmp_path / "images").write_bytes(images.tobytes())
            files = [board.push(path, sha256(path)) for path in (artefact, tmp_path / "images")]
            answers = f"{board.folder}/answers"
            assert list(board.run(["sh", "-c", 'chmod +x "$1" && "$@"', "sh", program, *files, answers], timeout=300)) == []
            board.pull(answers, tmp_path / "answers")
            on_board = np.fromfile(tmp_path / "answers", np.float32).reshape(3, -1)
            coords, _ = host.predict(crops)
            pixels = (on_board[:, : coords[0].size].reshape(coords.shape) - coords) * host.card.spec.size
            assert np.abs(pixels).max() < 1e-3, (machine.cpu, precision)
