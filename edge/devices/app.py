"""The Android app of `android_demo` as the agent of a phone: it takes the jobs and reports the events of `edge/agent.py`.

A job and its events are files in the app's own folder on the shared storage, where adb's shell may write and the app may
read: neither may enter the other's private folder. A shell script on the phone starts the app and follows the events.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from edge import agent
from edge.devices.base import CommandFailed, DeviceFailure, DiskFull, Unreachable, last_line
from pose.errors import InputError

if TYPE_CHECKING:
    from edge.devices.adb import Adb

PACKAGE = "org.distilpose.demo"
FOLDER = f"/sdcard/Android/data/{PACKAGE}/files/jobs"
INSTALLATION = 600.0  # seconds, on an old phone that compiles the app
SHORT = 60.0
_NOT_STARTED, _ENDED = 41, 42  # exit statuses of the script

# The app makes its folder; one that the shell made would not be the app's.
_MAKE_FOLDER = '[ -d "$1" ] || am start -W -n "$2/.JobActivity"; n=0; until [ -d "$1" ]; do sleep 0.2; n=$((n + 1)); '
_MAKE_FOLDER += "[ $n -lt 100 ] || exit 1; done"
# Standard input is the job. Every job has a process of its own, as with Python: memory and load time are its alone.
_RUN = r"""
folder=$1 name=$2 app=$3
job="$folder/$name.json" events="$folder/$name.events"
cat >"$job" || exit 1
am force-stop "$app"
am start -W -n "$app/.JobActivity" --es job "$name" 2>&1
[ $? = 0 ] || exit 41
seen=0 quiet=0
while :; do
  last=; [ -f "$events" ] && last=$(tail -n 1 "$events")
  pidof "$app" >/dev/null && quiet=0 || quiet=$((quiet + 1))
  size=0; [ -f "$events" ] && size=$(($(wc -c <"$events")))
  if [ "$size" -gt "$seen" ]; then tail -c +$((seen + 1)) "$events" | head -c $((size - seen)); seen=$size; fi
  case $last in *'"event":"result"'*'}'|*'"event":"error"'*'}') break ;; esac
  if [ $quiet -ge 15 ]; then
    echo; logcat -d -t 500 2>/dev/null | grep "$app" | tail -n 1; exit 42
  fi
  sleep 0.2
done
rm -f "$job" "$events"
"""
_REFUSALS = {  # of `pm install` -> what it means and how to fix it
    "NO_MATCHING_ABIS": "the app has libraries for arm64-v8a only, and this phone has another processor",
    "UPDATE_INCOMPATIBLE": f"it is installed from another computer, signed with another key; adb uninstall {PACKAGE}",
    "VERSION_DOWNGRADE": f"a newer version is installed; adb uninstall {PACKAGE}",
    "OLDER_SDK": "it needs Android 8 or later",
    "USER_RESTRICTED": "allow the installation of apps over USB in the phone's developer options",
    "INVALID_APK": "the file is damaged; build it again with python -m android_demo.build",
}


class App:
    """The installed app of one phone."""

    def __init__(self, device: Adb) -> None:
        self._device = device

    def make_folder(self) -> None:
        """Let the app make its folder for jobs.

        Raises:
            DeviceFailure: it does not; or as `Device.run`.
        """
        try:
            list(self._device.run(["sh", "-c", _MAKE_FOLDER, "sh", FOLDER, PACKAGE], timeout=SHORT))
        except CommandFailed as error:
            raise self._failure(
                error, f"the app makes no folder {FOLDER}", "unlock the phone, and open the app once"
            ) from error

    def run(self, job: agent.Job, timeout: float) -> Iterator[str]:
        """Lines of the app for one job, as they come; its paths are those that `push` returned.

        Raises:
            DeviceFailure: the app could not be started, or Android ended it; or as `Device.run`.
        """
        name, text = secrets.token_hex(8), json.dumps(_relative(job)).encode()
        try:
            yield from self._device.run(["sh", "-c", _RUN, "sh", FOLDER, name, PACKAGE], stdin=text, timeout=timeout)
        except DiskFull:
            raise
        except CommandFailed as error:
            if error.status == _NOT_STARTED:
                fix = "unlock the phone, or install the app again with --apk"
                raise self._failure(error, "the app does not start", fix) from error
            if error.status == _ENDED:
                fix = "close other apps, leave the phone unlocked, and run it again"
                raise self._failure(error, "Android ended the app in the middle", fix) from error
            raise
        finally:
            with contextlib.suppress(DeviceFailure):
                list(self._device.run(["am", "force-stop", PACKAGE], timeout=SHORT))

    def _failure(self, error: CommandFailed, problem: str, fix: str) -> DeviceFailure:
        return DeviceFailure(f"{self._device.name}: {problem} ({error.complaint or 'no reason given'}); {fix}")


def is_installed(device: Adb) -> bool:
    """Whether the phone has the app; False on a device without Android's package manager."""
    try:
        return any(line.startswith("package:") for line in device.run(["pm", "path", PACKAGE], timeout=SHORT))
    except CommandFailed:
        return False


def require_apk(path: Path) -> None:
    """Raises InputError unless it is an apk."""
    try:
        with zipfile.ZipFile(path) as archive:
            archive.getinfo("AndroidManifest.xml")
    except (OSError, zipfile.BadZipFile, KeyError) as error:
        reason = "it is no apk" if not isinstance(error, OSError) else error.strerror
        raise InputError(f"--apk {path}: {reason}; make one with python -m android_demo.build --out demo.apk") from error


def install(device: Adb, adb: list[str], apk: Path) -> None:
    """Install the app, in the place of an older one.

    Args:
        adb: the client's command line.

    Raises:
        DeviceFailure: the phone refuses it, has no space, or is out of reach.
    """
    try:
        done = subprocess.run(  # noqa: S603 - adb, with a file of the user
            [*adb, "install", "-r", str(apk)], capture_output=True, text=True, errors="replace", timeout=INSTALLATION
        )
    except FileNotFoundError as error:
        raise Unreachable(f"{device.name}: adb is not installed on this machine; {device.install}") from error
    except subprocess.TimeoutExpired as error:
        raise DeviceFailure(f"{device.name}: adb install took longer than {INSTALLATION:.0f} s; try again") from error
    output = done.stdout + done.stderr
    if "Success" in done.stdout and not done.returncode:
        return
    if "INSUFFICIENT_STORAGE" in output or "No space left" in output:
        raise DiskFull(f"{device.name}: no space for the app there; free some storage", 1, last_line(output))
    for word, fix in _REFUSALS.items():
        if word in output:
            raise DeviceFailure(f"{device.name}: the app cannot be installed: {fix}")
    if "INSTALL_" in output or "Failure" in output:
        raise DeviceFailure(f"{device.name}: the app cannot be installed: {last_line(output)}; see adb install -r {apk}")
    raise device.unreachable(done.returncode, done.stderr + done.stdout)


def _relative(job: agent.Job) -> agent.Job:
    """The job with paths in the app's folder, which is all that the app opens."""
    relative = agent.Job(**job)
    relative["artefacts"] = [{**one, "path": _in_folder(one["path"])} for one in job["artefacts"]]
    if "crops" in job:
        relative["crops"], relative["answers"] = _in_folder(job["crops"]), _in_folder(job["answers"])
    return relative


def _in_folder(path: str) -> str:
    return path.removeprefix(f"{FOLDER}/")
