"""`trtexec`, TensorRT's own tool, builds an engine from an ONNX file on the device and times it: its command and its output.

Since TensorRT 8.4 its log has one line for each measure, in milliseconds: `[I] Latency: min = 1.1 ms, max = ..., mean = ...,
median = ..., percentile(90%) = ..., ...`, and ends with `&&&& PASSED TensorRT.trtexec [TensorRT v100300]` or `&&&& FAILED`.
Before TensorRT 8 these lines name no version: `&&&& FAILED TensorRT.trtexec # trtexec ...`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from pose.errors import BackendError

_NUMBER = r"(\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)"
_SPREAD = rf"\] {{}}: min = {_NUMBER} ms, max = {_NUMBER} ms, mean = {_NUMBER} ms, median = {_NUMBER} ms(.*)"
_PERCENTILE = re.compile(rf"percentile\({_NUMBER}%\) = {_NUMBER} ms")
_VERDICT = re.compile(r"^&&&& (PASSED|FAILED) TensorRT\.trtexec\b", re.MULTILINE)
_BANNER = re.compile(r"^&&&& \w+ TensorRT\.trtexec (?:\[TensorRT v(\d+)\]|#)", re.MULTILINE)
_UNNUMBERED = "before 8"  # the version of a banner without a number
OLDEST = 10  # of TensorRT: the first one that reads int8 weights in the file and keeps to the file's types
_ERROR = re.compile(r"\[E\] (.+)")


@dataclass(frozen=True)
class Spread:
    """Milliseconds of one inference over a run.

    Attributes:
        percentiles: 0..100 -> milliseconds, of those that the command named.
    """

    min: float
    max: float
    mean: float
    median: float
    percentiles: dict[float, float]


@dataclass(frozen=True)
class Timing:
    """The measurements of a run that passed.

    Attributes:
        version: of TensorRT, as 10.3.0.
        latency: of an inference, from the input's copy to the device to the output's copy back.
        gpu_compute: of the kernels alone.
        throughput: inferences per second.
        build_seconds: None when a finished engine was loaded.
        warnings: trtexec's own doubts about the figures, such as unstable clocks.
    """

    version: str
    latency: Spread
    gpu_compute: Spread
    throughput: float
    build_seconds: float | None
    warnings: tuple[str, ...]


def command(model: Path, engine: Path, *, seconds: int = 10, percentiles: tuple[int, ...] = (90, 99)) -> list[str]:
    """The argument list that builds `engine` from the ONNX file `model` on this device and times it; TensorRT 10 or later.

    The network is strongly typed: each operator keeps the type that it has in the file, with which accuracy was measured.

    Args:
        seconds: duration of the timing, after half a second of warming up.
    """
    return [
        "trtexec",
        f"--onnx={model}",
        f"--saveEngine={engine}",
        "--stronglyTyped",
        "--useCudaGraph",
        "--useSpinWait",
        "--warmUp=500",
        f"--duration={seconds}",
        f"--percentile={','.join(map(str, percentiles))}",
    ]


def version(output: str) -> str:
    """Of TensorRT, from whatever trtexec printed: 10.3.0, or "before 8"; "" where it does not say."""
    banner = _BANNER.search(output)
    if banner is None:
        return ""
    return _version(banner[1]) if banner[1] else _UNNUMBERED


def age_problem(version: str) -> tuple[str, str] | None:
    """Why our files are not built by that version of TensorRT, and how to fix it; None if they are, or it is unknown."""
    if not version or (version != _UNNUMBERED and int(version.partition(".")[0]) >= OLDEST):
        return None
    fix = "install JetPack 6.1 or later, or export for another target; edge.doctor names those that suit the board"
    return f"TensorRT {version} is too old: {OLDEST} is needed (JetPack 6.1)", fix


def has_failed(output: str) -> bool:
    """Whether trtexec's own verdict is that it failed; `parse` then raises its reason."""
    verdict = _VERDICT.search(output)
    return verdict is not None and verdict[1] == "FAILED"


def parse(output: str) -> Timing:
    """The measurements in trtexec's output, both streams together.

    Raises:
        BackendError: the engine was not built, the run failed, or the output is cut or of another format.
    """
    verdict = _VERDICT.search(output)
    if verdict is None:
        raise BackendError("trtexec's output has no verdict (&&&& PASSED or FAILED): it was cut short; run it again")
    release = version(output) or "of an unknown version"
    if verdict[1] == "FAILED":
        reason = _ERROR.search(output)
        raise BackendError(f"trtexec failed (TensorRT {release}): {reason[1].strip() if reason else 'it does not say why'}")
    throughput = re.search(rf"\] Throughput: {_NUMBER} qps", output)
    build = re.search(rf"\] Engine built in {_NUMBER} sec", output)
    if throughput is None:
        raise BackendError(f"trtexec passed (TensorRT {release}) but timed nothing; run it without --skipInference")
    return Timing(
        version=release,
        latency=_spread("Latency", output, release),
        gpu_compute=_spread("GPU Compute Time", output, release),
        throughput=float(throughput[1]),
        build_seconds=float(build[1]) if build else None,
        warnings=tuple(line.strip() for line in re.findall(r"\[W\] \* (.+)", output)),
    )


def _spread(name: str, output: str, version: str) -> Spread:
    line = re.search(_SPREAD.format(name), output)
    if line is None:
        raise BackendError(f"trtexec's output (TensorRT {version}) has no line '{name}: min = ...'; 8.4 or later writes it")
    percentiles = {float(rank): float(value) for rank, value in _PERCENTILE.findall(line[5])}
    low, high, mean, median = (float(value) for value in line.groups()[:4])
    return Spread(low, high, mean, median, percentiles)


def _version(number: str) -> str:
    """`8601` is 8.6.1 and `100300` is 10.3.0."""
    value = int(number)
    major = 10000 if value >= 100000 else 1000
    return f"{value // major}.{value % major // 100}.{value % 100}"
