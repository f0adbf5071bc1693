"""Where artefacts are run: this machine, boards over ssh, phones and boards over adb."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from edge.devices.base import Device
from pose.errors import InputError

FORMS = "local, ssh://user@host[:port] or adb[:serial]"


def open(spec: str, apk: Path | None = None) -> Device:  # noqa: A001 - read as devices.open
    """The device that `spec` names; no connection is made yet.

    Args:
        apk: the app to install on it, where it is reached over adb.

    Raises:
        InputError: `spec` is none of `local`, `ssh://user@host[:port]`, `adb[:serial]`.
    """
    if spec == "local":
        from edge.devices.local import Local

        return Local()
    kind, _, serial = spec.partition(":")
    if kind == "adb" and (":" not in spec or _plain(serial)):
        from edge.devices.adb import Adb

        return Adb(spec, serial or None, apk)
    if spec.startswith("ssh://"):
        from edge.devices.ssh import Ssh

        user, host, port = _address(spec)
        return Ssh(spec, host, user, port)
    raise InputError(f"--device {spec!r} is not a device; write {FORMS}")


def _address(spec: str) -> tuple[str | None, str, int | None]:
    try:
        parts = urlsplit(spec)
        user, host, port = parts.username, parts.hostname, parts.port
    except ValueError as error:
        raise InputError(f"--device {spec!r}: {error}; write ssh://user@host[:port]") from error
    if parts.password is not None:
        raise InputError(
            f"--device ssh://{user}:…@{host}: no passwords are taken; give it your key: ssh-copy-id {user}@{host}"
        )
    if not host or not _plain(host) or (user is not None and not _plain(user)) or parts.path.strip("/") or parts.query:
        raise InputError(f"--device {spec!r} is not an address; write ssh://user@host[:port]")
    return user, parts.netloc.rpartition("@")[2].removesuffix(f":{port}").strip("[]"), port


def _plain(name: str) -> bool:
    """Whether ssh or adb takes it as a name, not as an option."""
    return bool(name) and not name.startswith("-") and not any(character.isspace() for character in name)
