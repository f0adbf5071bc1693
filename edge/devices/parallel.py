"""Actions on several devices at the same time: the slowest one is waited for, and Ctrl-C ends all of them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar, cast

from edge import devices
from edge.devices.base import Device
from pose.errors import InputError

Result = TypeVar("Result")

FAREWELL = 5.0  # seconds for devices to end after Ctrl-C


def open_all(specs: Sequence[str], apk: Path | None = None) -> list[Device]:
    """The devices that were named on a command line; no connection is made yet.

    Args:
        apk: the app to install on those that are reached over adb.

    Raises:
        InputError: one is no device, or was named twice; or the file is no apk, or no device takes it.
    """
    if len(set(specs)) < len(specs):
        raise InputError("the same --device was given twice; they would disturb each other")
    opened = [devices.open(spec, apk) for spec in specs]
    if apk is not None:
        from edge.devices.app import require_apk

        if not any(spec.partition(":")[0] == "adb" for spec in specs):
            raise InputError("--apk is for phones over adb; add --device adb, or leave it out")
        require_apk(apk)
    return opened


def together(actions: Sequence[Callable[[Callable[[], bool]], Result]]) -> list[Result]:
    """The results of the actions, each run in a thread of its own. The first exception is raised when all have ended.

    Args:
        actions: take a function that returns whether to stop.
    """
    results: list[Result | None] = [None] * len(actions)
    failures: list[BaseException] = []
    stop = threading.Event()

    def one(place: int) -> None:
        try:
            results[place] = actions[place](stop.is_set)
        except BaseException as error:
            failures.append(error)

    workers = [threading.Thread(target=one, args=(place,), daemon=True) for place in range(len(actions))]
    try:
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    except BaseException:
        stop.set()
        for worker in workers:
            worker.join(FAREWELL)
        raise
    if failures:
        raise failures[0]
    return cast("list[Result]", results)
