"""The one file that runs on the device: Python 3.9 or later, numpy and one runtime; nothing of ours, nothing else.

    python3 agent.py < job.json

The job is a JSON object on standard input, made of the artefacts' cards by the host (`edge.devices.job`). The answer is one
event a line, JSON after the mark `@dpe `, so that whatever else is printed does no harm. No artefact is timed before it has
answered its card's golden crop as the host's copy did.

Jobs: `load` opens one artefact and runs it once; `time` times several in turns; `infer` answers a batch of crops.
"""

from __future__ import annotations

import base64
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
from typing import Any

started = time.perf_counter()
try:
    import numpy as np
except ImportError:
    np = None  # type: ignore[assignment] # told as an event
importing = time.perf_counter() - started  # seconds spent on importing numpy and the runtime
own = 0.0  # seconds from the start to the first artefact, imports aside

MARK = "@dpe "
BLOCK = 10  # inferences in a row of one artefact before the other's turn; the first, whose caches are cold, does not count
WARM_UP, WARM_UP_SECONDS = 10, 3.0  # whichever is over first, and one inference at least
STAGE_RUNS, STAGE_SECONDS = 50, 3.0
REPORT_SECONDS = 0.25  # what is measured leaves the device that often, and survives a cut
CLOCK_SECONDS = 1.0
TFLITE = ("ai_edge_litert.interpreter", "tflite_runtime.interpreter", "tensorflow.lite")
DISTRIBUTIONS = ("ai-edge-litert", "tflite-runtime", "tensorflow", "onnxruntime", "executorch", "torch", "numpy")

Call = Callable[[Any], Any]  # the input tensor -> [coords, scores]


class JobError(Exception):
    """What ends a job, in one line; its kind is one of python, runtime, artefact, golden, affinity, memory, agent."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def say(event: str, **fields: Any) -> None:
    """One event to the host."""
    out.write(MARK + json.dumps({"event": event, **fields}) + "\n")
    out.flush()


def module(*names: str) -> Any:
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


def open_tflite(path: str, threads: int) -> Call:
    interpreter = module(*TFLITE).Interpreter(model_path=path, num_threads=threads)
    interpreter.allocate_tensors()
    source = interpreter.get_input_details()[0]["index"]
    places = {each["name"]: each["index"] for each in interpreter.get_output_details()}
    coords, scores = places["coords"], places["scores"]

    def call(tensor: Any) -> Any:
        interpreter.set_tensor(source, tensor)
        interpreter.invoke()
        return interpreter.get_tensor(coords), interpreter.get_tensor(scores)

    return call


def open_onnx(path: str, threads: int) -> Call:
    runtime = module("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3
    session = runtime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    source = session.get_inputs()[0].name
    return lambda tensor: session.run(["coords", "scores"], {source: tensor})


def open_executorch(path: str, threads: int) -> Call:
    runtime, torch = module("executorch.extension.pybindings.portable_lib"), module("torch")
    if runtime._threadpool_get_thread_count() != threads:
        runtime._unsafe_reset_threadpool(threads)
    program = runtime._load_for_executorch(path)
    # the answers lie in the runtime's own memory, which the next call overwrites
    return lambda tensor: [each.numpy().copy() for each in program.forward([torch.from_numpy(tensor)])]


OPEN = {"tflite": open_tflite, "onnx": open_onnx, "tensorrt": open_onnx, "executorch": open_executorch}


class Model:
    """An opened artefact, in three stages: `prepare` a crop, `call`, `decode`."""

    def __init__(self, artefact: dict[str, Any], threads: int) -> None:
        self.name, self.path, self._artefact = artefact["name"], artefact["path"], artefact
        _, _, self.height, self.width = artefact["shape"]
        self._mean, self._std = (np.array(artefact[key], np.float32) for key in ("mean", "std"))
        self._size = np.array([self.width, self.height], np.float32)
        self._to_image = np.array([[0.5, 0.0, 10.0], [0.0, 0.5, 20.0]], np.float32)
        try:
            found = hashlib.sha256(Path(self.path).read_bytes()).hexdigest()
            if found != artefact["sha256"]:
                raise JobError("artefact", f"{self.path} is not what was sent (sha256 differs); run again with --clean")
            self.call = OPEN[artefact["target"]](self.path, threads)
        except (JobError, MemoryError):
            raise
        except Exception as error:  # every runtime has its own kinds
            raise JobError("artefact", f"the runtime refuses {self.path}: {one_line(error)}") from error
        pixels = zlib.decompress(base64.b64decode(artefact["golden"]["crop"]))
        self.crop = np.frombuffer(pixels, np.uint8).reshape(self.height, self.width, 3)
        self.tensor = self.prepare(self.crop)

    def prepare(self, crop: Any) -> Any:
        """The network's input of a crop uint8 [H, W, 3]."""
        planes = crop if self._artefact["dtype"] == "uint8" else (crop.astype(np.float32) - self._mean) / self._std
        return np.ascontiguousarray(planes.transpose(2, 0, 1) if self._artefact["layout"] == "NCHW" else planes)[None]

    def decode(self, answer: Any) -> Any:
        """Keypoints in image pixels; which image does not matter to the time."""
        return answer[0][0] * self._size @ self._to_image[:, :2].T + self._to_image[:, 2]

    def replay(self) -> float:
        """Milliseconds of one inference of the golden crop, whose answer has to be the card's."""
        start = time.perf_counter()
        try:
            coords, scores = self.call(self.tensor)
        except RuntimeError as error:
            raise JobError("artefact", f"{self.path} does not run: {one_line(error)}") from error
        elapsed = 1e3 * (time.perf_counter() - start)
        pixels, score = off_card(self.path, coords, scores, self._artefact["golden"], self._size)
        say("golden", artefact=self.name, max_px=pixels, max_score=score)
        return elapsed


def off_card(path: str, coords: Any, scores: Any, golden: dict[str, Any], size: Any) -> tuple[float, float]:
    """Pixels and score by which an answer to the golden crop is off the card's, at the joint where it is most.

    Args:
        coords, scores: [1, K, 2] in 0..1 and [1, K]. golden: of the job's artefact. size: width and height of the crop.
    """
    expected = np.array(golden["coords"], np.float32), np.array(golden["scores"], np.float32)
    if (coords[0].shape, scores[0].shape) != (expected[0].shape, expected[1].shape):
        raise JobError("golden", f"{path} answers {coords.shape} and {scores.shape}, which its card does not say")
    pixels = np.sqrt((((coords[0] - expected[0]) * size) ** 2).sum(-1))
    middle, score = float(np.median(pixels)), float(np.abs(scores[0] - expected[1]).max())
    if not (middle <= golden["tolerance_px"] and score <= golden["tolerance_score"]):
        raise JobError(
            "golden",
            f"{path} answers the golden crop {middle:.2f} px (median) and {score:.2f} of score off its card, which "
            f"allows {golden['tolerance_px']:.2f} px and {golden['tolerance_score']:g}: a wrong model is not timed",
        )
    return float(pixels.max()), score


def load(job: dict[str, Any]) -> None:
    """Load time, first inference and memory of one artefact alone in a process."""
    (artefact,) = job["artefacts"]
    module(*{"tflite": TFLITE, "executorch": ("executorch.extension.pybindings.portable_lib",)}.get(
        artefact["target"], ("onnxruntime",)))  # fmt: skip
    before, start = peak_mb(), time.perf_counter()
    model = Model(artefact, job["threads"])
    loaded = 1e3 * (time.perf_counter() - start)
    first = model.replay()
    say_runtime()
    say("result", load_ms=loaded, first_ms=first, runtime_memory_mb=before, peak_memory_mb=peak_mb())


def measure(job: dict[str, Any]) -> None:
    """Times of every artefact, in turns; `runs` counted inferences of each at least, over `seconds` of each at least."""
    models = [Model(artefact, job["threads"]) for artefact in job["artefacts"]]
    for model in models:
        model.replay()
        warm_up(model)
    say_runtime()
    clocks = clock_files()
    block = max(1, min(BLOCK, job["runs"]))
    done: list[int] = [0] * len(models)
    waiting: list[list[float]] = [[] for _ in models]
    start = reported = clocked = time.perf_counter()
    end = start + job["seconds"] * len(models)
    going = True
    while going:
        for place, model in enumerate(models):
            times = waiting[place]
            for nth in range(block + 1):
                begin = time.perf_counter_ns()
                model.call(model.tensor)
                if nth:
                    times.append((time.perf_counter_ns() - begin) / 1e6)
            done[place] += block
        now = time.perf_counter()
        going = done[-1] < job["runs"] or now < end
        if not going or now - reported >= REPORT_SECONDS:
            for place, model in enumerate(models):
                say("times", artefact=model.name, s=now - start, ms=[round(each, 4) for each in waiting[place]])
                waiting[place] = []
            reported = now
        if clocks and (not going or now - clocked >= CLOCK_SECONDS):
            say("clock", s=now - start, **{name: read_numbers(files, unit) for name, files, unit in clocks})
            clocked = now
    for model in models:
        say("stages", artefact=model.name, ms=stages(model, job["runs"]))
    say("result", runs=done)


def warm_up(model: Model) -> None:
    end = time.perf_counter() + WARM_UP_SECONDS
    for _ in range(WARM_UP):
        model.call(model.tensor)
        if time.perf_counter() > end:
            break


def stages(model: Model, runs: int) -> dict[str, list[float]]:
    """Milliseconds of each stage, of a crop's bytes to keypoints in the image."""
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


def infer(job: dict[str, Any]) -> None:
    """Answers `crops`, an .npy of uint8 [N, H, W, 3], into `answers`, an .npz of coords [N, K, 2] and scores [N, K]."""
    (artefact,) = job["artefacts"]
    model = Model(artefact, job["threads"])
    model.replay()
    say_runtime()
    crops = np.load(job["crops"], mmap_mode="r", allow_pickle=False)
    if crops.dtype != np.uint8 or crops.shape[1:] != (model.height, model.width, 3):
        raise JobError("artefact", f"{job['crops']} holds {crops.dtype} {crops.shape}, not crops of {artefact['name']}")
    coords, scores, reported = [], [], time.perf_counter()
    for number, crop in enumerate(crops):
        answer = model.call(model.prepare(np.asarray(crop)))
        coords.append(answer[0][0])
        scores.append(answer[1][0])
        if time.perf_counter() - reported >= REPORT_SECONDS:
            reported = time.perf_counter()
            say("progress", done=number + 1)
    part = f"{job['answers']}.part.npz"
    np.savez(part, coords=np.array(coords, np.float32), scores=np.array(scores, np.float32))
    os.replace(part, job["answers"])  # noqa: PTH105
    say("result", done=len(crops))


def say_runtime() -> None:
    """What runs here, and how long the agent took for itself until it opened the first artefact."""
    versions = {}
    for name in DISTRIBUTIONS:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    emulated = os.environ.get("DISTILPOSE_EMULATED") == "1"
    say("runtime", python=platform.python_version(), versions=versions, emulated=emulated, own_s=own)


def clock_files() -> list[tuple[str, list[Path], float]]:
    """What says the clock in MHz and the temperature in degrees Celsius, where there is such a thing."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    speeds = [Path(f"/sys/devices/system/cpu/cpu{core}/cpufreq/scaling_cur_freq") for core in cores[:8]]
    found = [
        ("mhz", [file for file in speeds if file.exists()], 1e3),
        ("celsius", sorted(Path("/sys/class/thermal").glob("thermal_zone*/temp"))[:8], 1e3),
    ]
    return [each for each in found if each[1]]


def read_numbers(files: list[Path], unit: float) -> list[float]:
    numbers = []
    for file in files:
        try:
            numbers.append(int(file.read_text()) / unit)
        except (OSError, ValueError):
            continue  # a zone that is switched off
    return numbers


def peak_mb() -> float:
    """Peak resident memory so far; of this program alone, where getrusage also counts the one that started it."""
    status = Path("/proc/self/status")
    if status.is_file():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)


def pin(cores: list[int]) -> None:
    """Run on these cores only, every thread that is started later included."""
    try:
        os.sched_setaffinity(0, cores)
    except AttributeError as error:
        raise JobError("affinity", f"{platform.system()} lets no program choose its cores; leave --affinity out") from error
    except (OSError, ValueError) as error:
        raise JobError("affinity", f"cores {cores} cannot be had ({one_line(error)}); there are {os.cpu_count()}") from error


def one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__


def main() -> int:
    global own
    try:
        job = json.load(sys.stdin)
        if np is None:
            raise JobError("runtime", f"no numpy in {sys.executable}")
        if job["affinity"]:
            pin(job["affinity"])
        own = time.perf_counter() - started - importing
        {"load": load, "time": measure, "infer": infer}[job["job"]](job)
    except BrokenPipeError:
        os._exit(1)  # nobody listens any more
    except JobError as failure:
        say("error", kind=failure.kind, message=str(failure))
    except MemoryError:
        say("error", kind="memory", message="out of memory on the device")
    except Exception as error:
        say("error", kind="agent", message=f"{type(error).__name__}: {one_line(error)}")
    else:
        return 0
    return 1


if __name__ == "__main__":
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what native libraries print does not get between the events
    sys.exit(main())
