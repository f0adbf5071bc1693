"""The Python that runs the agent on a device, and the installation of a runtime there."""

from __future__ import annotations

from edge.devices.base import CommandFailed, Device, DiskFull
from edge.devices.interpreter import Interpreter, find_interpreter, wheel_obstacle
from edge.evaluate.timings import Facts
from pose.errors import BackendError, InputError
from targets.base import SPECS, get_spec

LONG = 1800.0  # seconds, for installations on a board with a slow card


def all_wheels() -> list[str]:
    """Every distribution that some target needs on a device."""
    return sorted({wheel for spec in SPECS.values() for wheel in spec.wheels})


def python_of(device: Device) -> Interpreter:
    """The interpreter for the agent: that of the environment `setup` made, else one that suits; on this machine, this one.

    Raises:
        BackendError: see `find_interpreter`.
    """
    return find_interpreter(device, "" if device.here else f"{_environment(device)}/bin/python")


def setup(device: Device, target: str, facts: Facts) -> None:
    """Install numpy and the runtime of `target` into an environment of our own on the device, unless they can be imported.

    Args:
        facts: of the device.

    Raises:
        InputError: the device is this machine, where the environment is the user's.
        BackendError: there is no Python, no network or no wheel for it; or as `Device.run`.
    """
    spec = get_spec(target)
    wheels = spec.wheels
    if device.here:
        raise InputError(f"--setup is for other devices; here: {spec.install_hint()}")
    interpreter, environment = python_of(device), _environment(device)
    python = interpreter.path
    names = ", ".join(wheel.replace("-", "_") for wheel in wheels)
    if _succeeds(device, [python, "-c", f"import {names}"]):
        return
    failure, own = f"{device.name}: cannot install {', '.join(wheels)} there", f"{environment}/bin/python"
    if obstacle := wheel_obstacle(facts, interpreter, spec):
        raise BackendError(f"{failure}: {obstacle[0]}; {obstacle[1]}")
    if python != own or not _succeeds(
        device, [own, "-m", "pip", "--version"]
    ):  # an environment that was never finished has no pip
        base = find_interpreter(device) if python == own else interpreter
        printed: list[str] = []
        try:
            printed += device.run([base.path, "-m", "venv", "--clear", environment], timeout=LONG)
        except DiskFull:
            raise
        except CommandFailed as error:
            if error.complaint and "ensurepip is not" not in "\n".join(printed):  # Debian's Python says so on stdout
                raise BackendError(f"{failure} ({error.complaint})") from error
            # not python3-venv: that is for the system's own version, and base may be another
            package = f"python{base.version.rpartition('.')[0]}-venv"
            needs = f"{base.path} makes no environment; sudo apt install {package} there"
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
