"""A TensorRT artefact where there is a `trtexec`: it builds the engine, answers the golden crop, and times."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from edge import agent
from edge.devices import job as jobs
from edge.devices.base import CommandFailed
from edge.devices.session import Session
from pose.card import Card, digest
from pose.crop import normalise
from pose.errors import BackendError
from pose.files import read_json, sha256
from targets.tensorrt import trtexec

BUILD = 1800.0  # seconds for an engine to be built


def measure(session: Session, artefact: Path, card: Card, seconds: int, timeout: float | None) -> dict[str, Any]:
    """`latency_ms`, `times_ms`, `stages_ms` (kernels), `load_ms` (building), `golden_px`, `version`, `warnings`.

    Raises:
        BackendError: trtexec failed, or its engine answers something else than the card; or as `Device.run`.
    """
    device, folder = session.device, session.device.folder
    remote = session.again(lambda: device.push(artefact, digest(artefact)))
    with tempfile.TemporaryDirectory() as scratch:
        crop = Path(scratch) / "golden.bin"
        crop.write_bytes(normalise(card.golden.pixels(card.spec.width, card.spec.height), card.spec).tobytes())
        golden = session.again(lambda: device.push(crop, sha256(crop)))
        engine, answer, times = (f"{folder}/{artefact.stem}.{kind}" for kind in ("engine", "answer.json", "times.json"))
        command = trtexec.command(Path(remote), Path(engine), seconds=seconds)
        command[0] = session.facts["trtexec"]
        command += [f"--loadInputs={card.input.name}:{golden}", f"--exportOutput={answer}", f"--exportTimes={times}"]
        timing = trtexec.parse(_output(session, command, timeout or BUILD + 2 * seconds))
        pixels = _apart(device.read(answer), card, f"{device.name}: {artefact.name}")
        kept = Path(scratch) / "times.json"
        device.pull(times, kept)
        runs = [float(each["latencyMs"]) for each in read_json(kept)]
    latency, compute = timing.latency, timing.gpu_compute
    return {
        "latency_ms": {
            "p50": latency.median,
            "p90": latency.percentiles[90],
            "p99": latency.percentiles[99],
            "mean": latency.mean,
            "runs": len(runs),
        },
        "times_ms": runs,
        "stages_ms": {"model": compute.median},
        "load_ms": 1e3 * timing.build_seconds if timing.build_seconds is not None else None,
        "golden_px": pixels,
        "version": timing.version,
        "warnings": timing.warnings,
    }


def _output(session: Session, command: list[str], timeout: float) -> str:
    lines = []
    try:
        for line in session.device.run(["sh", "-c", '"$@" 2>&1', "sh", *command], timeout=timeout):
            lines.append(line)
    except CommandFailed:
        if not any(line.startswith("&&&& FAILED") for line in lines):  # else its own words are told
            raise
    return "\n".join(lines)


def _apart(text: str | None, card: Card, where: str) -> float:
    """Pixels between the engine's answer to the golden crop and the card's, at the joint where it is most."""
    try:
        answers = {each["name"]: np.array(each["values"], np.float64) for each in json.loads(text or "")}
        coords, scores = answers["coords"].reshape(1, -1, 2), answers["scores"].reshape(1, -1)
    except (ValueError, KeyError, TypeError) as error:
        raise BackendError(
            f"{where}: trtexec wrote no answer to the golden crop; it must be of TensorRT 10 or later"
        ) from error
    try:
        return agent.off_card(where, coords, scores, jobs.golden(card), np.array(card.spec.size, np.float32))[0]
    except agent.JobError as error:
        raise BackendError(str(error)) from error
