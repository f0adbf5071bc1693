"""Where ONNX Runtime spends its time: its own profiler, summed over the runs."""

from __future__ import annotations

import tempfile
from pathlib import Path

import onnx

from pose.card import Card
from pose.files import read_json
from targets.base import OperatorTime
from targets.common import network_input
from targets.onnx import INPUT, OUTPUTS
from targets.onnx.backend import session

_KERNEL = "_kernel_time"  # the end of an event's name; other events of a node are its fences


def profile(path: Path, card: Card, threads: int, runs: int) -> list[OperatorTime]:
    """Milliseconds of each node of an `.onnx` on the golden crop, as the runtime fused them; see `targets.base.profiler`."""
    tensor = network_input(card.golden.pixels(card.spec.width, card.spec.height), card)
    with tempfile.TemporaryDirectory() as folder:
        opened = session(onnx.load(path), path, threads, profile=Path(folder) / "profile")
        for _ in range(runs + 1):
            opened.run(OUTPUTS, {INPUT: tensor})
        events = read_json(Path(opened.end_profiling()))
    kernels = [event for event in events if event.get("cat") == "Node" and event["name"].endswith(_KERNEL)]
    nodes = len(kernels) // (runs + 1)
    total: dict[tuple[str, str], float] = {}
    for event in kernels[nodes:]:  # the first run allocates
        key = event["name"].removesuffix(_KERNEL), event["args"]["op_name"]
        total[key] = total.get(key, 0.0) + event["dur"] / 1e3
    return [OperatorTime(name, kind, ms / runs) for (name, kind), ms in total.items()]
