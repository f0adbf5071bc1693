"""Where ExecuTorch spends its time: an ETDump of the runs, which holds XNNPACK's operators too."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

import torch
from executorch.devtools import Inspector
from executorch.extension.pybindings import portable_lib

from pose.card import Card
from targets.base import OperatorTime
from targets.common import network_input

_NATIVE = "native_call_"  # the beginning of the name of an operator outside the delegates


def profile(path: Path, card: Card, threads: int, runs: int) -> list[OperatorTime]:
    """Milliseconds of each operator of a `.pte` on the golden crop; see `targets.base.profiler`."""
    tensor = torch.from_numpy(network_input(card.golden.pixels(card.spec.width, card.spec.height), card))
    if portable_lib._threadpool_get_thread_count() != threads:
        portable_lib._unsafe_reset_threadpool(threads)
    program = portable_lib._load_for_executorch(str(path), enable_etdump=True)
    for _ in range(runs):
        program.forward([tensor])
    with tempfile.TemporaryDirectory() as folder:
        dump = Path(folder) / "runs.etdp"
        program.write_etdump_result_to_file(str(dump))
        blocks = Inspector(etdump_path=str(dump)).event_blocks
    return [
        OperatorTime(event.name.removeprefix(_NATIVE), _kind(event.name), float(event.perf_data.avg))
        for block in blocks
        for event in block.events
        if event.perf_data is not None and (event.is_delegated_op or event.name.startswith(_NATIVE))
    ]


def _kind(name: str) -> str:
    """`Convolution (NHWC, QC8) IGEMM #12` -> `Convolution (NHWC, QC8) IGEMM`."""
    return re.sub(r" #\d+$", "", name.removeprefix(_NATIVE))
