"""The one file that runs on a device. It needs Python 3.9 or later, numpy and one runtime, and nothing else of this project.

    python3 agent.py < job.json

The host writes a `Job` to standard input, made from the cards of the artefacts (`edge.devices.job`). The agent answers with
events, one a line: JSON after the mark `@dpe `, so that other output does no harm. Before an artefact is timed, its answer
to the golden crop of its card is compared with the answer that the host's copy gave.

Jobs: `load` opens one artefact and runs it once; `time` times several in turns; `infer` answers a batch of crops.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import importlib
import importlib.metadata
import json
import os
import platform
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypedDict

started = time.perf_counter()
try:
    import numpy as np
except ImportError:
    np = None  # type: ignore[assignment] # reported as an event by main
importing = time.perf_counter() - started  # seconds spent on importing numpy and the runtime
own_seconds = 0.0  # from the start to the first artefact, without imports

MARK = "@dpe "
BLOCK = 10  # inferences of one artefact before the next one's turn; one more before them, with cold caches, is not counted
WARM_UP, WARM_UP_SECONDS = 10, 3.0  # inferences and seconds, whichever ends first; at least one inference
STAGE_RUNS, STAGE_SECONDS = 50, 3.0
REPORT_SECONDS = 0.25  # measurements are sent this often, so that a cut connection loses few of them
CLOCK_SECONDS = 1.0
# runtime -> modules, of which the first that is installed is used
MODULES = {
    "tflite": ("ai_edge_litert.interpreter", "tflite_runtime.interpreter", "tensorflow.lite"),
    "onnx": ("onnxruntime",),
    "executorch": ("executorch.extension.pybindings.portable_lib",),
}
DISTRIBUTIONS = ("ai-edge-litert", "tflite-runtime", "tensorflow", "onnxruntime", "executorch", "torch", "numpy")

Call = Callable[[Any], Any]  # the input tensor -> [coords, scores]
Opened = tuple[Call, Callable[[], str]]  # and what runs the graph: not what was asked for, but what the runtime took


class Golden(TypedDict):
    """A crop (uint8 [H, W, 3], deflated, in base64), the card's answer, and tolerances: median px and largest score."""

    crop: str
    coords: list[tuple[float, float]]
    scores: list[float]
    tolerance_px: float
    tolerance_score: float


class ArtefactJob(TypedDict):
    """An artefact on the device: `runtime` is a key of `OPENERS`; `shape` is N, C, H, W, `mean` and `std` R, G, B always."""

    name: str
    path: str
    sha256: str
    runtime: str
    shape: list[int]
    layout: str
    dtype: str
    colour: str
    mean: list[float]
    std: list[float]
    golden: Golden


class Job(TypedDict, total=False):
    """What the host asks for. `crops` and `answers` are paths on the device, of the job `infer`."""

    job: str
    artefacts: list[ArtefactJob]
    threads: int
    affinity: list[int]
    runs: int
    seconds: float
    crops: str
    answers: str


class JobError(Exception):
    """Ends a job, with one line; its kind is python, runtime, artefact, golden, affinity, memory or agent."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def send(event: str, **fields: Any) -> None:
    """Write one event."""
    out.write(MARK + json.dumps({"event": event, **fields}) + "\n")
    out.flush()


def import_first(*names: str) -> Any:
    """The first of these modules that is installed."""
    global importing
    start, reason = time.perf_counter(), ""
    for name in names:
        try:
            return importlib.import_module(name)
        except ImportError as error:
            reason = reason or one_line(error)
        finally:
            importing += time.perf_counter() - start
            start = time.perf_counter()
    raise JobError("runtime", f"no {' or '.join(name.split('.')[0] for name in names)} in {sys.executable} ({reason})")


def open_tflite(path: str, threads: int) -> Opened:
    interpreter = import_first(*MODULES["tflite"]).Interpreter(model_path=path, num_threads=threads)
    interpreter.allocate_tensors()
    source = interpreter.get_input_details()[0]["index"]
    outputs = {output["name"]: output["index"] for output in interpreter.get_output_details()}

    def call(tensor: Any) -> Any:
        interpreter.set_tensor(source, tensor)
        interpreter.invoke()
        return interpreter.get_tensor(outputs["coords"]), interpreter.get_tensor(outputs["scores"])

    return call, lambda: "XNNPACK" if "'DELEGATE'" in str(interpreter._get_ops_details()) else "built-in kernels"


def open_onnx(path: str, threads: int) -> Opened:
    runtime = import_first(*MODULES["onnx"])
    options = runtime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads, options.log_severity_level = threads, 1, 3
    options.add_session_config_entry("session.x64quantprecision", "1")  # `targets.onnx.EXACT`
    session = runtime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    source = session.get_inputs()[0].name
    return (lambda tensor: session.run(["coords", "scores"], {source: tensor})), lambda: session.get_providers()[0]


def open_executorch(path: str, threads: int) -> Opened:
    runtime, torch = import_first(*MODULES["executorch"]), import_first("torch")
    if runtime._threadpool_get_thread_count() != threads:
        runtime._unsafe_reset_threadpool(threads)
    program = runtime._load_for_executorch(path)
    names: Any = getattr(runtime, "_get_registered_backend_names", list)()
    backends = [name for name in names if name.encode() in Path(path).read_bytes()] or ["portable kernels"]
    # outputs are in the runtime's own memory, which the next call overwrites
    call: Call = lambda tensor: [part.numpy().copy() for part in program.forward([torch.from_numpy(tensor)])]  # noqa: E731
    return call, lambda: ", ".join(backends)


OPENERS = {"tflite": open_tflite, "onnx": open_onnx, "executorch": open_executorch}


class Model:
    """An opened artefact. One inference has three stages: `prepare` a crop, `call`, `decode`."""

    def __init__(self, artefact: ArtefactJob, threads: int) -> None:
        self.name, self.path, self._artefact = artefact["name"], artefact["path"], artefact
        _, _, self.height, self.width = artefact["shape"]
        self._mean, self._std = np.array(artefact["mean"], np.float32), np.array(artefact["std"], np.float32)
        self._size = np.array([self.width, self.height], np.float32)
        self._to_image = np.array([[0.5, 0.0, 10.0], [0.0, 0.5, 20.0]], np.float32)
        try:
            digest = hashlib.sha256(Path(self.path).read_bytes()).hexdigest()
            if digest != artefact["sha256"]:
                raise JobError("artefact", f"{self.path} is not what was sent (sha256 differs); run again with --clean")
            self.call, self._accelerator = OPENERS[artefact["runtime"]](self.path, threads)
        except (JobError, MemoryError):
            raise
        except Exception as error:  # every runtime has exceptions of its own
            raise JobError("artefact", f"the runtime refuses {self.path}: {one_line(error)}") from error
        pixels = zlib.decompress(base64.b64decode(artefact["golden"]["crop"]))
        self.crop = np.frombuffer(pixels, np.uint8).reshape(self.height, self.width, 3)
        self.tensor = self.prepare(self.crop)

    def prepare(self, crop: Any) -> Any:
        """The network's input for a crop uint8 [H, W, 3], RGB."""
        planes = crop if self._artefact["dtype"] == "uint8" else (crop.astype(np.float32) - self._mean) / self._std
        planes = planes[..., :: -1 if self._artefact["colour"] == "BGR" else 1]
        return np.ascontiguousarray(planes.transpose(2, 0, 1) if self._artefact["layout"] == "NCHW" else planes)[None]

    def decode(self, answer: Any) -> Any:
        """Keypoints in pixels of an invented image: the time does not depend on the image."""
        return answer[0][0] * self._size @ self._to_image[:, :2].T + self._to_image[:, 2]

    def replay(self) -> float:
        """Milliseconds of one inference of the golden crop, once its answer is close enough to the card's."""
        start = time.perf_counter()
        try:
            coords, scores = self.call(self.tensor)
        except MemoryError:
            raise
        except Exception as error:  # see __init__
            raise JobError("artefact", f"{self.path} does not run: {one_line(error)}") from error
        elapsed = 1e3 * (time.perf_counter() - start)
        pixels, score = golden_error(self.path, coords, scores, self._artefact["golden"], self._size)
        send("golden", artefact=self.name, max_px=pixels, max_score=score, accelerator=self._accelerator())
        return elapsed


def golden_error(path: str, coords: Any, scores: Any, golden: Golden, size: Any) -> tuple[float, float]:
    """Pixels and score by which coords [1, K, 2] in 0..1 and scores [1, K] differ most from the card's, at one joint."""
    expected = np.array(golden["coords"], np.float32), np.array(golden["scores"], np.float32)
    if (coords[0].shape, scores[0].shape) != (expected[0].shape, expected[1].shape):
        raise JobError("golden", f"{path} answers {coords.shape} and {scores.shape}, which its card does not say")
    pixels = np.sqrt((((coords[0] - expected[0]) * size) ** 2).sum(-1))
    median, score = float(np.median(pixels)), float(np.abs(scores[0] - expected[1]).max())
    allowed_px, allowed_score = golden["tolerance_px"], golden["tolerance_score"]
    wrong = int((~np.isfinite(coords)).sum() + (~np.isfinite(scores)).sum())
    if not wrong and median <= allowed_px and score <= allowed_score:
        return float(pixels.max()), score
    problem = f"{median:.2f} px (median) and {score:.2f} of score off its card, which allows {allowed_px:.2f} px"
    if wrong:
        problem = f"with {wrong} of {coords.size + scores.size} values NaN or infinite; its card allows {allowed_px:.2f} px"
    raise JobError("golden", f"{path} answers the golden crop {problem} and {allowed_score:g}: another model or input")


def load(job: Job) -> None:
    """Load time, first inference and memory of one artefact alone in a process."""
    (artefact,) = job["artefacts"]
    import_first(*MODULES[artefact["runtime"]])
    before, start = peak_mb(), time.perf_counter()
    model = Model(artefact, job["threads"])
    loaded = 1e3 * (time.perf_counter() - start)
    first = model.replay()
    send_runtime()
    send("result", load_ms=loaded, first_ms=first, runtime_memory_mb=before, peak_memory_mb=peak_mb())


def measure(job: Job) -> None:
    """Times of every artefact, in turns: at least `runs` counted inferences and `seconds` of each."""
    models = [Model(artefact, job["threads"]) for artefact in job["artefacts"]]
    for model in models:
        model.replay()
        warm_up(model)
    send_runtime()
    clocks, block = clock_files(), max(1, min(BLOCK, job["runs"]))
    done: list[int] = [0] * len(models)
    unsent: list[list[float]] = [[] for _ in models]
    start = sent = clocked = time.perf_counter()
    end, running = start + job["seconds"] * len(models), True
    while running:
        for place, model in enumerate(models):
            times = unsent[place]
            for nth in range(block + 1):
                begin = time.perf_counter_ns()
                model.call(model.tensor)
                if nth:
                    times.append((time.perf_counter_ns() - begin) / 1e6)
            done[place] += block
        now = time.perf_counter()
        running = done[-1] < job["runs"] or now < end
        if not running or now - sent >= REPORT_SECONDS:
            for place, model in enumerate(models):
                send("times", artefact=model.name, s=now - start, ms=[round(ms, 4) for ms in unsent[place]])
                unsent[place] = []
            sent = now
        if clocks and (not running or now - clocked >= CLOCK_SECONDS):
            send("clock", s=now - start, mhz=read_mhz(clocks))
            clocked = now
    for model in models:
        send("stages", artefact=model.name, ms=stages(model, job["runs"]))
    send("result", runs=done)


def warm_up(model: Model) -> None:
    end = time.perf_counter() + WARM_UP_SECONDS
    for _ in range(WARM_UP):
        model.call(model.tensor)
        if time.perf_counter() > end:
            break


def stages(model: Model, runs: int) -> dict[str, list[float]]:
    """Stage -> milliseconds of each run, from a crop's bytes to keypoints in the image."""
    times: dict[str, list[float]] = {"preprocess": [], "model": [], "decode": []}
    end = time.perf_counter() + STAGE_SECONDS
    for _ in range(max(1, min(STAGE_RUNS, runs))):
        marks = [time.perf_counter_ns()]
        tensor = model.prepare(model.crop)
        marks.append(time.perf_counter_ns())
        answer = model.call(tensor)
        marks.append(time.perf_counter_ns())
        model.decode(answer)
        marks.append(time.perf_counter_ns())
        for nth, name in enumerate(times):
            times[name].append((marks[nth + 1] - marks[nth]) / 1e6)
        if marks[-1] / 1e9 > end:
            break
    return times


def infer(job: Job) -> None:
    """Write the answers to `crops`, .npy of uint8 [N, H, W, 3], to `answers`: .npz of coords [N, K, 2], scores [N, K]."""
    (artefact,) = job["artefacts"]
    model = Model(artefact, job["threads"])
    model.replay()
    send_runtime()
    crops = np.load(job["crops"], mmap_mode="r", allow_pickle=False)
    if crops.dtype != np.uint8 or crops.shape[1:] != (model.height, model.width, 3):
        raise JobError("artefact", f"{job['crops']} holds {crops.dtype} {crops.shape}, not crops of {artefact['name']}")
    coords, scores, sent = [], [], time.perf_counter()
    for number, crop in enumerate(crops):
        answer = model.call(model.prepare(np.asarray(crop)))
        coords.append(answer[0][0])
        scores.append(answer[1][0])
        if time.perf_counter() - sent >= REPORT_SECONDS:
            sent = time.perf_counter()
            send("progress", done=number + 1)
    part = f"{job['answers']}.part.npz"
    np.savez(part, coords=np.array(coords, np.float32), scores=np.array(scores, np.float32))
    os.replace(part, job["answers"])  # noqa: PTH105
    send("result", done=len(crops))


def send_runtime() -> None:
    """Versions of what runs here, and the seconds that the agent itself took before the first artefact was opened."""
    versions = {}
    for name in DISTRIBUTIONS:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    emulated = os.environ.get("DISTILPOSE_EMULATED") == "1"
    send("runtime", python=platform.python_version(), versions=versions, emulated=emulated, own_s=own_seconds)


def clock_files() -> list[Path]:
    """The files that hold the clock of each core in kHz, if there are any."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    files = [Path(f"/sys/devices/system/cpu/cpu{core}/cpufreq/scaling_cur_freq") for core in cores[:8]]
    return [file for file in files if file.exists()]


def read_mhz(files: list[Path]) -> list[float]:
    speeds = []
    for file in files:
        with contextlib.suppress(OSError, ValueError):  # a core may be switched off
            speeds.append(int(file.read_text()) / 1e3)
    return speeds


def peak_mb() -> float:
    """Peak resident memory of this process so far. On Linux getrusage would count the parent process, too."""
    status = Path("/proc/self/status")
    if status.is_file():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10)


def pin(cores: list[int]) -> None:
    """Run on these cores only; threads that are started later inherit this."""
    try:
        os.sched_setaffinity(0, cores)
    except AttributeError as error:
        raise JobError("affinity", f"{platform.system()} lets no program choose its cores; leave --affinity out") from error
    except (OSError, ValueError) as error:
        raise JobError("affinity", f"cores {cores} cannot be had ({one_line(error)}); there are {os.cpu_count()}") from error


def one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__


def main() -> int:
    global own_seconds
    try:
        job = json.load(sys.stdin)
        if np is None:
            raise JobError("runtime", f"no numpy in {sys.executable}")
        if job["affinity"]:
            pin(job["affinity"])
        own_seconds = time.perf_counter() - started - importing
        {"load": load, "time": measure, "infer": infer}[job["job"]](job)
        return 0
    except BrokenPipeError:
        os._exit(1)  # the host has closed the connection
    except JobError as failure:
        send("error", kind=failure.kind, message=str(failure))
    except MemoryError:
        send("error", kind="memory", message="out of memory on the device")
    except Exception as error:
        send("error", kind="agent", message=f"{type(error).__name__}: {one_line(error)}")
    return 1


if __name__ == "__main__":
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # keeps the output of native libraries apart from the events
    sys.exit(main())
