"""The processes of one run: alone, or those that torchrun started."""

from __future__ import annotations

from datetime import timedelta

import torch
from accelerate import PartialState

from pose import cli

_PATIENCE = timedelta(days=7)  # the others wait while one asks a teacher, calibrates or saves


def state() -> PartialState:
    """Who this process is among them; the first call joins them."""
    # left to itself, accelerate takes the processes of torchrun for strangers on a machine without an accelerator
    return PartialState(cpu=not torch.accelerator.is_available(), timeout=_PATIENCE)


def note(text: str) -> None:
    """A line for the user, from one of them."""
    if state().is_main_process:
        cli.note(text)
