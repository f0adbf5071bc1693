"""Small invented files of `edge.check` and `edge.bench`, with every field that reports read."""

from __future__ import annotations

from typing import Any

import numpy as np

JOINTS = ["nose", *(f"{side}_{part}" for part in ("eye", "ear", "shoulder", "elbow", "wrist", "hip", "knee", "ankle")
                    for side in ("left", "right"))]  # fmt: skip


def column(ap: float | None, pck: float, px: float | None = None, **more: Any) -> dict[str, Any]:
    far = {"median": px or 0.0, "p99": 8 * (px or 0.0), "median_95": [0, 1], "p99_95": [0, 1]}
    ends = [None, None] if ap is None else [max(ap - 3, 0), min(ap + 3, 100)]
    scored = {
        "ap": ap,
        "ap_95": ends,
        "pck": pck,
        "pck_95": [max(pck - 2, 0), min(pck + 2, 100)],
        "persons": 300,
        "keypoint_px": far,
    }
    per_joint = {joint: (px or 0) * (0.6 + 0.1 * i) for i, joint in enumerate(JOINTS)}
    return scored | ({"per_joint_px": per_joint} if px else {}) | more


def check(target: str = "tflite", ap: float = 83.4, **more: Any) -> dict[str, Any]:
    rng, people = np.random.default_rng(0), {"persons": more.get("persons", 300)}
    pose = rng.uniform(20, 200, (17, 2))
    worst = [
        {"index": i, "px": 9.0 - i, "fp32": pose.tolist(), "lowered": (pose + rng.normal(0, 5, pose.shape)).tolist()}
        for i in range(2)
    ]
    return {
        "artefact": f"dist/tiny-{target}-int8.{target}", "student": "tiny", "target": target, "precision": "int8",
        "bytes": 4_600_000, "float_twin": {"artefact": f"dist/tiny-{target}-fp32.{target}", "bytes": 15_900_000},
        **people, "joints": JOINTS, "crop": [192, 256], "data": "synthetic validation",
        "fp32": column(84.0, 88.4, **people), "fake_quant": column(83.6, 88.3, 0.7, **people),
        "lowered": column(ap, 88.2, 0.8, **people),
        "worst": worst,
    } | more  # fmt: skip


def percentiles(times: np.ndarray) -> dict[str, float]:
    p50, p90, p99 = np.percentile(times, [50, 90, 99]).tolist()
    return {"p50": p50, "p90": p90, "p99": p99, "mean": float(times.mean()), "runs": len(times)}


def timing(about: float, seed: int = 0, *, emulated: bool = False) -> dict[str, Any]:
    times = about * (1 + np.random.default_rng(seed).gamma(2.0, 0.03, 400))
    measured = percentiles(times)
    return {
        "latency_ms": None if emulated else measured,
        **({"emulated_ms": measured} if emulated else {}),
        "times_ms": times.tolist(),
        "stages_ms": {"preprocess": about / 9, "model": about, "decode": about / 40},
        "first_ms": 3 * about, "load_ms": 4 * about, "peak_memory_mb": 55.0, "runtime_memory_mb": 40.0, "golden_px": 0.0,
    }  # fmt: skip


def device(name: str = "local", fp32: float | None = 13.0, int8: float | None = 7.0, **more: Any) -> dict[str, Any]:
    emulated = bool(more.get("emulated"))
    facts = {"model": "A board", "cpu": "Cortex", "governor": "ondemand", "temperature_c": 41.0}
    return {
        "device": name, "board": "generic", "emulated": False, "error": None,
        "facts": {"before": facts, "after": {**facts, "temperature_c": 52.0}}, "warnings": [],
        "fp32": timing(fp32, 1, emulated=emulated) if fp32 else None,
        "int8": timing(int8, 2, emulated=emulated) if int8 else None,
    } | more  # fmt: skip


def bench(*devices: dict[str, Any], target: str = "tflite", mode: str = "rigorous", **more: Any) -> dict[str, Any]:
    files = {
        name: {"path": f"dist/tiny-{target}-{name}.{target}", "sha256": None, "bytes": size, "target": target}
        for name, size in (("fp32", 15_900_000), ("int8", 4_600_000))
    }
    return {
        "schema_version": 1, "command": f"python -m edge.bench --artefact dist/tiny-{target}-int8.{target}", "mode": mode,
        "threads": 1, "created": "2026-01-01T00:00:00+00:00", "artefacts": files, "devices": list(devices or [device()]),
    } | more  # fmt: skip
