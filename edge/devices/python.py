"""The Python that runs the agent on a device, and the installation of a runtime there."""

from __future__ import annotations

import sys

from edge.devices.base import CommandFailed, Device, DiskFull, NoSuchProgram
from pose.errors import BackendError, InputError
from targets.base import SPECS, get_spec

SHORT, LONG = 60.0, 1800.0  # seconds; the long one for installations on a board with a slow card

_FIRST = 'for program in "$@"; do command -v "$program" && exit; done; exit 9'
_OLD = "import sys; sys.exit(0 if sys.version_info >= (3, 9) else 9)"


def all_wheels() -> list[str]:
    """Every distribution that some target needs on a device."""
    return sorted({wheel for spec in SPECS.values() for wheel in spec.wheels})


def python_of(device: Device) -> str:
    """The interpreter for the agent: that of the environment `setup` made, else `python3`; on this machine, this one.

    Raises:
        BackendError: there is none, or it is older than 3.9; or as `Device.run`.
    """
    if device.here:
        return sys.executable
    try:
        (python, *_) = device.run(["sh", "-c", _FIRST, "sh", f"{_environment(device)}/bin/python", "python3"], timeout=SHORT)
    except CommandFailed as error:
        raise BackendError(f"{device.name}: no Python there; {_get_python(device)}") from error
    try:
        list(device.run([python, "-c", _OLD], timeout=SHORT))
    except NoSuchProgram:  # of another architecture
        raise
    except CommandFailed as error:
        raise BackendError(f"{device.name}: {python} is older than Python 3.9; {_get_python(device)}") from error
    return python


def setup(device: Device, target: str) -> None:
    """Install numpy and the runtime of `target` into an environment of our own on the device, unless they can be imported.

    Raises:
        InputError: the device is this machine, where the environment is the user's.
        BackendError: there is no Python, no network or no wheel for it; or as `Device.run`.
    """
    spec = get_spec(target)
    wheels = spec.wheels
    if device.here:
        raise InputError(f"--setup is for other devices; here: {spec.install_hint()}")
    python, environment = python_of(device), _environment(device)
    names = ", ".join(wheel.replace("-", "_") for wheel in wheels)
    if _succeeds(device, [python, "-c", f"import {names}"]):
        return
    failure, own = f"{device.name}: cannot install {', '.join(wheels)} there", f"{environment}/bin/python"
    if python != own or not _succeeds(
        device, [own, "-m", "pip", "--version"]
    ):  # an environment that was never finished has no pip
        try:
            base = "python3" if python == own else python
            list(device.run([base, "-m", "venv", "--clear", environment], timeout=LONG))
        except DiskFull:
            raise
        except CommandFailed as error:
            if error.complaint:
                raise BackendError(f"{failure} ({error.complaint})") from error
            needs = (
                "its Python makes no environment; sudo apt install python3-venv there"  # Debian's python3 says so on stdout
            )
            raise BackendError(f"{failure}: {needs}") from error
    try:
        list(device.run([own, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *wheels], timeout=LONG))
    except CommandFailed as error:
        raise BackendError(f"{failure} ({error.complaint or error})") from error


def _succeeds(device: Device, command: list[str]) -> bool:
    try:
        list(device.run(command, timeout=LONG))
    except CommandFailed:
        return False
    return True


def _environment(device: Device) -> str:
    return f"{device.folder}/venv"


def _get_python(device: Device) -> str:
    if device.name.startswith("adb"):
        return "phones have none that adb may run; put one on its PATH, or run sshd in Termux and give --device ssh://PHONE:8022"
    return "install it there: sudo apt install python3 python3-venv"
