"""The command of trtexec, and the parsing of its output.

No Jetson was at hand: the outputs are written after NVIDIA's documentation of trtexec, in the formats of TensorRT 8.6 and
10.3 (JetPack 6.1), with made-up figures. They are not recordings of this student.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from pose.errors import BackendError
from targets.tensorrt import trtexec

V10 = """\
&&&& RUNNING TensorRT.trtexec [TensorRT v100300] [b30] # trtexec --onnx=a.onnx --saveEngine=a.engine --stronglyTyped
[01/15/2025-10:00:00] [I] === Model Options ===
[01/15/2025-10:00:00] [I] Format: ONNX
[01/15/2025-10:00:41] [I] Engine built in 40.5125 sec.
[01/15/2025-10:00:41] [I] Created engine with size: 6.71875 MiB
[01/15/2025-10:00:52] [I] === Trace details ===
[01/15/2025-10:00:52] [I] Trace averages of 10 runs:
[01/15/2025-10:00:52] [I] Average on 10 runs - GPU latency: 1.25 ms - Host latency: 1.5 ms (enqueue 0.0625 ms)
[01/15/2025-10:00:52] [I] === Performance summary ===
[01/15/2025-10:00:52] [I] Throughput: 790.5 qps
[01/15/2025-10:00:52] [I] Latency: min = 1.375 ms, max = 3.5 ms, mean = 1.5 ms, median = 1.4375 ms, \
percentile(90%) = 1.625 ms, percentile(99%) = 2.25 ms
[01/15/2025-10:00:52] [I] Enqueue Time: min = 0.03125 ms, max = 0.5 ms, mean = 0.0625 ms, median = 0.046875 ms, \
percentile(90%) = 0.09375 ms, percentile(99%) = 0.125 ms
[01/15/2025-10:00:52] [I] H2D Latency: min = 0.125 ms, max = 0.25 ms, mean = 0.15625 ms, median = 0.140625 ms, \
percentile(90%) = 0.1875 ms, percentile(99%) = 0.21875 ms
[01/15/2025-10:00:52] [I] GPU Compute Time: min = 1.1875 ms, max = 3.25 ms, mean = 1.25 ms, median = 1.21875 ms, \
percentile(90%) = 1.375 ms, percentile(99%) = 2 ms
[01/15/2025-10:00:52] [I] D2H Latency: min = 0.0078125 ms, max = 0.0625 ms, mean = 0.015625 ms, median = 0.015625 ms, \
percentile(90%) = 0.03125 ms, percentile(99%) = 0.046875 ms
[01/15/2025-10:00:52] [I] Total Host Walltime: 10.0025 s
[01/15/2025-10:00:52] [I] Total GPU Compute Time: 9.875 s
[01/15/2025-10:00:52] [W] * GPU compute time is unstable, with coefficient of variance = 9.5%.
[01/15/2025-10:00:52] [W]   If not already in use, locking GPU clock frequency may improve the stability.
&&&& PASSED TensorRT.trtexec [TensorRT v100300] [b30] # trtexec --onnx=a.onnx --saveEngine=a.engine --stronglyTyped
"""

V8_LOADED = """\
&&&& RUNNING TensorRT.trtexec [TensorRT v8601] # trtexec --loadEngine=a.engine
[11/02/2023-09:30:00] [I] Engine deserialized in 0.025 sec.
[11/02/2023-09:30:05] [I] === Performance summary ===
[11/02/2023-09:30:05] [I] Throughput: 64 qps
[11/02/2023-09:30:05] [I] Latency: min = 15 ms, max = 17.5 ms, mean = 16 ms, median = 15.75 ms, percentile(99%) = 17.25 ms
[11/02/2023-09:30:05] [I] GPU Compute Time: min = 14.5 ms, max = 17 ms, mean = 15.5 ms, median = 15.25 ms, \
percentile(99%) = 16.75 ms
&&&& PASSED TensorRT.trtexec [TensorRT v8601] # trtexec --loadEngine=a.engine
"""

FAILED = """\
&&&& RUNNING TensorRT.trtexec [TensorRT v100300] [b30] # trtexec --onnx=a.onnx
[01/15/2025-10:00:01] [E] [TRT] ModelImporter.cpp:949: While parsing node number 1 [QuantizeLinear -> "q"]:
[01/15/2025-10:00:01] [E] Failed to parse onnx file
[01/15/2025-10:00:01] [E] Engine set up failed
&&&& FAILED TensorRT.trtexec [TensorRT v100300] [b30] # trtexec --onnx=a.onnx
"""


FAILED_7 = """\
&&&& RUNNING TensorRT.trtexec # trtexec --onnx=a.onnx --stronglyTyped
[04/14/2020-22:02:18] [E] Unknown option: --stronglyTyped
&&&& FAILED TensorRT.trtexec # trtexec --onnx=a.onnx --stronglyTyped
"""


@pytest.mark.parametrize(
    ("output", "version", "is_old"),
    [(V10, "10.3.0", False), (V8_LOADED, "8.6.1", True), (FAILED_7, "before 8", True), ("no banner", "", False)],
)
def test_the_version_is_read_from_the_banner(output: str, version: str, is_old: bool) -> None:
    assert trtexec.version(output) == version
    problem = trtexec.age_problem(version)
    assert problem is None or f"TensorRT {version} is too old: 10 is needed" in problem[0]
    assert (problem is not None) == is_old


def test_a_run_of_tensorrt_10_is_read() -> None:
    timing = trtexec.parse(V10)
    assert timing.version == "10.3.0"
    assert timing.latency == trtexec.Spread(1.375, 3.5, 1.5, 1.4375, {90: 1.625, 99: 2.25})
    assert timing.gpu_compute == trtexec.Spread(1.1875, 3.25, 1.25, 1.21875, {90: 1.375, 99: 2.0})
    assert (timing.throughput, timing.build_seconds) == (790.5, 40.5125)
    assert timing.warnings == ("GPU compute time is unstable, with coefficient of variance = 9.5%.",)


def test_a_loaded_engine_of_tensorrt_8_is_read() -> None:
    timing = trtexec.parse(V8_LOADED.replace("\n", "\r\n"))
    assert timing.version == "8.6.1"
    assert timing.latency.percentiles == {99: 17.25}
    assert (timing.gpu_compute.median, timing.build_seconds, timing.warnings) == (15.25, None, ())


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        (FAILED, r"failed \(TensorRT 10.3.0\): \[TRT\] ModelImporter.cpp:949: While parsing node number 1"),
        (FAILED.replace("[E]", "[I]"), "does not say why"),
        (FAILED_7, r"failed \(TensorRT before 8\): Unknown option: --stronglyTyped"),
        (FAILED.replace("v100300", "20.1"), r"failed \(TensorRT of an unknown version\): \[TRT\] ModelImporter"),
        (V10[: len(V10) // 2], "no verdict"),
        ("", "no verdict"),
        ("".join(line for line in V10.splitlines(True) if "Throughput" not in line), "timed nothing"),
        (V10.replace("] Latency: min", "] Host Latency\nmin"), "no line 'Latency: min"),
        (V10.replace("min = 1.1875 ms", "min = ? ms"), "no line 'GPU Compute Time: min"),
    ],
)
def test_output_without_measurements_is_refused_in_one_line(output: str, expected: str) -> None:
    with pytest.raises(BackendError, match=expected) as error:
        trtexec.parse(output)
    assert "\n" not in str(error.value)


def test_the_command_builds_and_times_without_a_shell() -> None:
    arguments = trtexec.command(Path("my dist/a.onnx"), Path("a.engine"), seconds=5, percentiles=(50, 90, 99))
    assert arguments[0] == "trtexec"
    assert {"--onnx=my dist/a.onnx", "--saveEngine=a.engine", "--stronglyTyped", "--duration=5"} <= set(arguments)
    assert arguments[-1] == "--percentile=50,90,99"
    assert not {"--int8", "--fp16"} & set(arguments)  # the file says what is int8
