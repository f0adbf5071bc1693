"""A TensorRT artefact on a device with `trtexec`: it builds the engine, answers the golden crop, and times the engine."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge import agent
from edge.devices.base import CommandFailed, command_failed
from edge.devices.session import Session
from edge.evaluate.timings import Percentiles, Timing
from edge.golden import golden
from pose.card import Card, digest
from pose.crop import normalise
from pose.errors import BackendError
from pose.files import read_json, sha256
from targets.tensorrt import trtexec

BUILD = 1800.0  # seconds for an engine to be built
SHORT = 120.0  # seconds for trtexec to say its version: it loads the libraries of CUDA first
COMPLAINT = 4096  # characters at the end of trtexec's output that are searched for the reason of a failure


@dataclass(frozen=True)
class EngineTiming:
    """What trtexec measured, the version of TensorRT, and trtexec's warnings."""

    timing: Timing
    version: str
    warnings: list[str]


def read_version(session: Session) -> str:
    """The version of TensorRT on a device that has `trtexec`; "" where it does not say.

    Raises:
        CommandFailed: trtexec does not start there.
        DeviceFailure: as `Device.run`.
    """
    output, failure = _run(session, [session.facts.trtexec, "--help"], SHORT)
    version = trtexec.version(output)
    if failure and not version:
        raise failure
    return version


def require_supported(session: Session) -> None:
    """Raises BackendError where the TensorRT of the device is too old for our files, or does not start."""
    if problem := trtexec.age_problem(read_version(session)):
        raise BackendError(f"{session.device.name}: {'; '.join(problem)}")


def measure(session: Session, artefact: Path, card: Card, seconds: int, timeout: float | None) -> EngineTiming:
    """Timing of an engine: `stages_ms` has the kernels alone, `load_ms` is the time to build the engine.

    Raises:
        BackendError: trtexec failed, or its engine's answer differs from the card's; or as `Device.run`.
    """
    device, folder = session.device, session.device.folder
    remote = session.retry(lambda: device.push(artefact, digest(artefact)))
    with tempfile.TemporaryDirectory() as scratch:
        crop = Path(scratch) / "golden.bin"
        crop.write_bytes(normalise(card.golden.pixels(card.spec.width, card.spec.height), card.spec).tobytes())
        golden = session.retry(lambda: device.push(crop, sha256(crop)))
        engine, answer, times = (f"{folder}/{artefact.stem}.{kind}" for kind in ("engine", "answer.json", "times.json"))
        command = trtexec.command(Path(remote), Path(engine), seconds=seconds)
        command[0] = session.facts.trtexec
        command += [f"--loadInputs={card.input.name}:{golden}", f"--exportOutput={answer}", f"--exportTimes={times}"]
        output, failure = _run(session, command, timeout or BUILD + 2 * seconds)
        if failure and not trtexec.has_failed(output):  # else `parse` reports trtexec's own message
            raise failure
        parsed = trtexec.parse(output)
        golden_px = _golden_error(device.read(answer), card, f"{device.name}: {artefact.name}")
        local = Path(scratch) / "times.json"
        device.pull(times, local)
        runs = [float(run["latencyMs"]) for run in read_json(local)]
    latency, compute = parsed.latency, parsed.gpu_compute
    timing = Timing(
        latency_ms=Percentiles(
            p50=latency.median,
            p90=latency.percentiles[90],
            p99=latency.percentiles[99],
            mean=latency.mean,
            runs=len(runs),
        ),
        times_ms=runs,
        stages_ms={"model": compute.median},
        load_ms=1e3 * parsed.build_seconds if parsed.build_seconds is not None else None,
        golden_px=golden_px,
        accelerator=f"TensorRT {parsed.version}",
    )
    return EngineTiming(timing, parsed.version, list(parsed.warnings))


def _run(session: Session, command: list[str], timeout: float) -> tuple[str, CommandFailed | None]:
    """What trtexec printed, on both streams, and the error for its exit status, None if that is 0.

    Raises:
        DeviceFailure: as `Device.run`, but for an exit status.
    """
    lines = []
    try:
        for line in session.device.run(["sh", "-c", '"$@" 2>&1', "sh", *command], timeout=timeout):
            lines.append(line)
    except CommandFailed as error:  # it names the shell, and what trtexec said is in the output
        complaint = "\n".join([error.complaint, *lines])[-COMPLAINT:]
        return "\n".join(lines), command_failed(session.device, "trtexec", error.status, complaint)
    return "\n".join(lines), None


def _golden_error(text: str | None, card: Card, where: str) -> float:
    """Pixels between the engine's answer to the golden crop and the card's, at the joint with the largest distance."""
    try:
        answers = {output["name"]: np.array(output["values"], np.float64) for output in json.loads(text or "")}
        coords, scores = answers["coords"].reshape(1, -1, 2), answers["scores"].reshape(1, -1)
    except (ValueError, KeyError, TypeError) as error:
        raise BackendError(
            f"{where}: trtexec wrote no answer to the golden crop; it must be of TensorRT 10 or later"
        ) from error
    try:
        return agent.golden_error(where, coords, scores, golden(card), np.array(card.spec.size, np.float32))[0]
    except agent.JobError as error:
        raise BackendError(str(error)) from error
