"""A phone or a board over adb: the real client, so that its server's port and your authorisation hold.

A phone has no Python: with the app of `android_demo` on it, the app runs the jobs (`edge.devices.app`).

Devices older than Android 7 return no exit status, mix stderr into stdout and take no input: none of these is needed here.
"""

from __future__ import annotations

import contextlib
import subprocess
from functools import cached_property
from pathlib import Path

from edge.devices import app as apps
from edge.devices.base import FOLDER, DeviceFailure, Unreachable, command_failed, last_line
from edge.devices.client import Client
from edge.devices.remote import SHORT, SLOWEST, Remote

_FIXES = {
    "unauthorized": "unlock it and allow debugging from this computer",
    "offline": "unplug it and plug it in again, then: adb reconnect",
    "no permissions": "your user may not open it on USB; install the udev rules (Debian: android-sdk-platform-tools-common)",
    "more than one": "name one, as adb:SERIAL; adb devices -l lists them",
    "no devices": "plug it in and switch on USB debugging; adb devices -l lists the devices",
    "not found": "adb devices -l lists the devices",
    "cannot connect to daemon": "start adb's server: adb start-server",
}


class Adb(Remote):
    """The device with this serial; without one, the only one (or the one that ANDROID_SERIAL names).

    Args:
        apk: the app, which is installed before anything else.
    """

    carries_stdin = False
    install = "apt install adb"

    def __init__(self, name: str, serial: str | None = None, apk: Path | None = None) -> None:
        super().__init__(name)
        self._adb = ["adb", *(["-s", serial] if serial else [])]
        self._apk = apk

    @cached_property
    def app(self) -> apps.App | None:
        """The app that runs jobs there; None where there is none, and Python does.

        Raises:
            DeviceFailure: the app cannot be installed or has no folder; or as `run`.
        """
        if self._apk:
            apps.install(self, self._adb, self._apk)
        if not apps.is_installed(self):
            return None
        app = apps.App(self)
        app.make_folder()
        return app

    @property
    def folder(self) -> str:
        """The app's own; without an app the one place where adb's shell may write and execute."""
        return apps.FOLDER if self.app else f"/data/local/tmp/{FOLDER}"

    def _client(self, line: str) -> list[str]:
        return [*self._adb, "shell", line]

    def _send(self, path: Path, remote: str) -> None:
        self._shell('mkdir -p "${1%/*}"', remote)
        timeout = SHORT + path.stat().st_size / SLOWEST
        try:
            done = subprocess.run(  # noqa: S603
                [*self._adb, "push", str(path), remote], capture_output=True, text=True, timeout=timeout, errors="replace"
            )
        except subprocess.TimeoutExpired:
            raise self._unreachable(1, f"adb push took longer than {timeout:.0f} s") from None
        if done.returncode:
            with contextlib.suppress(DeviceFailure):
                self._shell('rm -f "$1"', remote)
            complaint = done.stderr + done.stdout
            if "No space left" in complaint:
                raise command_failed(self, "adb", 1, complaint)
            raise self._unreachable(done.returncode, complaint)

    def _end(self, client: Client) -> None:
        with contextlib.suppress(DeviceFailure):
            self._shell('kill -s KILL -- "-$1"', client.group or "", timeout=SHORT / 4)
        client.hang_up()

    def _unreachable(self, status: int, complaint: str) -> DeviceFailure:
        return self.unreachable(status, complaint)

    def unreachable(self, status: int, complaint: str) -> DeviceFailure:
        """The error for a client that did not reach the device."""
        reason = last_line(complaint) or "no reason given"
        for word, fix in _FIXES.items():
            if word in complaint:
                reason = next(line for line in complaint.splitlines() if word in line)
                return Unreachable(f"{self.name}: {_plain(reason)}; {fix}")
        return Unreachable(f"{self.name}: no connection (status {status}: {_plain(reason)}); see: adb devices -l")


def _plain(line: str) -> str:
    return line.strip().removeprefix("error: ").removeprefix("adb: ").rstrip(".")
