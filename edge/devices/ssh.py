"""A board over ssh: the system's own client, so that its configuration, keys, agent and known_hosts hold."""

from __future__ import annotations

import functools
import shutil
import subprocess
import tempfile
import weakref
from pathlib import Path

from edge.devices.base import FOLDER, ConnectionCut, DeviceFailure, HostKeyRefused, Unreachable, last_line
from edge.devices.remote import SHORT, SLOWEST, Remote

_OPTIONS = {
    "BatchMode": "yes",  # no prompts
    "ConnectTimeout": "15",
    "ServerAliveInterval": "15",  # a board that has lost its network is noticed
    "ServerAliveCountMax": "3",
    "ClearAllForwardings": "yes",
    "RemoteCommand": "none",
    "LogLevel": "ERROR",
}
_SAVE = 'mkdir -p "${1%/*}" && cat >"$1" || { rm -f "$1"; exit 1; }'
_CUT = ("Broken pipe", "reset by peer", "closed by")


class Ssh(Remote):
    """A board at `host`, which may be an alias of ssh's configuration."""

    carries_stdin = True
    install = "apt install openssh-client"

    def __init__(self, name: str, host: str, user: str | None = None, port: int | None = None) -> None:
        super().__init__(name)
        self._host = host
        self._where = [*(["-p", str(port)] if port else []), *(["-l", user] if user else []), "--", host]
        self._options = [f"-o{key}={value}" for key, value in _OPTIONS.items()] + _shared(self)

    @functools.cached_property
    def folder(self) -> str:
        """Our own directory on the device, in the user's cache."""
        return self._shell('printf %s "${XDG_CACHE_HOME:-$HOME/.cache}/$1"', FOLDER)

    def _client(self, line: str) -> list[str]:
        return ["ssh", "-T", "-a", "-x", *self._options, *self._where, line]

    def _send(self, path: Path, remote: str) -> None:
        size = path.stat().st_size
        with open(path, "rb") as file:
            for _ in self._run(["sh", "-c", _SAVE, "sh", remote], file, size, SHORT + size / SLOWEST):
                pass

    def _unreachable(self, status: int, complaint: str) -> DeviceFailure:
        login, reason = " ".join(["ssh", *self._where]), last_line(complaint)
        if "IDENTIFICATION HAS CHANGED" in complaint:
            return HostKeyRefused(
                f"{self.name}: its host key is not the one in known_hosts: another board at this address, or "
                f"somebody between you and it; if you know why, remove the old key (ssh-keygen -R) and log in once: {login}"
            )
        if "Host key verification failed" in complaint:
            return HostKeyRefused(f"{self.name}: its host key is not in known_hosts; log in once and compare it: {login}")
        if "Permission denied" in complaint:
            return Unreachable(f"{self.name}: it takes none of your keys ({reason}); ssh-copy-id, then try: {login}")
        if not reason or any(word in complaint for word in _CUT):
            return ConnectionCut(
                f"{self.name}: the connection was cut while it was made ({reason or 'no reason given'}); try again"
            )
        if status == 255:
            return Unreachable(
                f"{self.name}: no connection ({reason or 'no reason given'}); is it on, is sshd running? Try: {login}"
            )
        return Unreachable(
            f"{self.name}: its login shell runs no commands (status {status}: {reason or 'no output'}); try: {login} true"
        )


def _shared(owner: Ssh) -> list[str]:
    """Options with which all commands share a connection, for as long as `owner` exists."""
    folder = tempfile.mkdtemp(prefix="dpe-")
    socket = f"{folder}/s"
    weakref.finalize(owner, _close, folder, socket)
    if len(socket) > 80 or "%" in socket:  # a socket's path has at most 104 bytes, and ssh appends some while it creates it
        return []
    return ["-oControlMaster=auto", "-oControlPersist=60", f"-oControlPath={socket}"]


def _close(folder: str, socket: str) -> None:
    if Path(socket).exists():
        subprocess.run(["ssh", "-Oexit", f"-oControlPath={socket}", "-"], capture_output=True, check=False)  # noqa: S603, S607
    shutil.rmtree(folder, ignore_errors=True)
