"""Time artefacts on this machine, in child processes that do nothing else.

`python -m edge.devices.local` is such a child: one job as json on standard input, one json object a line on standard output,
the last one the result. Only the artefact's target and its runtime are imported.
"""

from __future__ import annotations

import json
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from pose.errors import BackendError, InputError, UserError

BLOCK = 10  # inferences in a row of one artefact before the other's turn; the first, whose caches are cold, does not count
WARM_UP = 10


def load(artefact: Path, threads: int) -> dict[str, float]:
    """Load time and first inference in ms, and memory in MB, of one artefact alone in a process.

    `peak_memory_mb` is the process's peak resident memory, `runtime_memory_mb` what it was with the runtime loaded and no
    artefact yet.

    Raises:
        InputError, BackendError: as the child says.
    """
    return _child({"job": "load", "artefacts": [str(artefact)], "threads": threads})


def time_interleaved(
    artefacts: list[Path], threads: int, runs: int, seconds: float, step: Callable[[int], None]
) -> list[list[float]]:
    """Milliseconds of each inference of each artefact, taking turns in one process.

    Args:
        runs, seconds: every artefact gets at least so many counted inferences, over at least so long.
        step: is told the number of counted inferences so far.

    Raises:
        InputError, BackendError: as the child says.
    """
    job = {"job": "time", "artefacts": [str(a) for a in artefacts], "threads": threads, "runs": runs, "seconds": seconds}
    return _child(job, step)["times"]


def describe() -> dict[str, Any]:
    """The machine, as far as its times depend on it."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        models = [line.partition(":")[2].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
        cpu = models[0] if models else cpu
    return {"cpu": cpu, "architecture": platform.machine(), "system": platform.system(), "python": platform.python_version()}


def _child(job: dict[str, Any], step: Callable[[int], None] = lambda done: None) -> Any:
    command = [sys.executable, "-m", "edge.devices.local"]
    with subprocess.Popen(  # noqa: S603 - this very module
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stderr is not None
        try:
            child.stdin.write(json.dumps(job))
            child.stdin.close()
            answer: dict[str, Any] = {}
            for line in child.stdout:
                answer = json.loads(line)
                step(answer.get("done", 0))
            complaint = child.stderr.read().strip().splitlines()
        except BaseException:
            child.kill()
            raise
    if "error" in answer:
        raise (InputError if answer["exit_code"] == InputError.exit_code else BackendError)(answer["error"])
    if child.returncode or not answer:
        raise BackendError(
            f"the timing process ended with code {child.returncode}: {complaint[-1] if complaint else 'silent'}"
        )
    return answer


def _peak_mb() -> float:
    """Peak resident memory so far; of this program alone, where getrusage also counts the one that started it."""
    status = Path("/proc/self/status")
    if status.is_file():
        fields = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
        return int(fields["VmHWM"].split()[0]) / 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20)  # bytes on a Mac


def _load(job: dict[str, Any]) -> dict[str, Any]:
    from edge import run
    from pose import card as cards
    from targets import base

    path = Path(job["artefacts"][0])
    base.get(cards.read(cards.card_path(path)).target)  # imports the runtime
    before, start = _peak_mb(), time.perf_counter()
    runner = run.open(path, job["threads"])
    loaded = time.perf_counter()
    runner.run(np.zeros(runner.card.input.shape, np.float32))
    first = time.perf_counter()
    return {
        "load_ms": 1e3 * (loaded - start),
        "first_ms": 1e3 * (first - loaded),
        "peak_memory_mb": _peak_mb(),
        "runtime_memory_mb": before,
    }


def _time(job: dict[str, Any]) -> dict[str, Any]:
    from edge import run

    runners = [run.open(Path(path), job["threads"]) for path in job["artefacts"]]
    images = [np.random.default_rng(0).normal(size=runner.card.input.shape).astype(np.float32) for runner in runners]
    times: list[list[float]] = [[] for _ in runners]
    for runner, image in zip(runners, images, strict=True):
        for _ in range(WARM_UP):
            runner.run(image)
    end = time.perf_counter() + job["seconds"] * len(runners)
    while len(times[-1]) < job["runs"] or time.perf_counter() < end:
        for runner, image, mine in zip(runners, images, times, strict=True):
            for nth in range(BLOCK + 1):
                start = time.perf_counter_ns()
                runner.run(image)
                if nth:
                    mine.append((time.perf_counter_ns() - start) / 1e6)
        print(json.dumps({"done": len(times[-1])}), flush=True)
    return {"times": times}


def main() -> None:
    """The child."""
    job = json.load(sys.stdin)
    try:
        answer: dict[str, Any] = _load(job) if job["job"] == "load" else _time(job)
    except UserError as error:
        answer = {"error": str(error), "exit_code": error.exit_code}
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
