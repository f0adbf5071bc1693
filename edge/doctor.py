"""`python -m edge.doctor`: what is installed here and on each device, how to fix what is missing, and what runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pose import cli
from pose.errors import BackendError, InputError

if TYPE_CHECKING:
    from edge.evaluate.diagnoses import Diagnosis


def main(
    device: Annotated[
        list[str], typer.Option(metavar="DEVICE", help="local, ssh://user@host[:port] or adb[:serial]; more than one, too.")
    ] = ["local"],  # noqa: B006 - typer copies it
    artefact: Annotated[Path | None, typer.Option(metavar="FILE", help="[default: the latest int8 one in dist]")] = None,
    json: cli.Json = None,
) -> None:
    """Say what is installed, what is missing, how to fix it, and whether the artefact runs on each device."""
    from edge import dist
    from edge.devices.diagnose import diagnose
    from edge.devices.job import device_targets
    from edge.evaluate.diagnoses import Doctor
    from pose.files import write_json

    chosen = dist.find(artefact) if artefact else None
    if chosen is None:
        try:
            chosen = dist.Dist(dist.DEFAULT).latest(device_targets())
        except InputError as error:
            cli.note(f"no artefact is tried: {error}")
    out, names = cli.console(), list[str]()

    def show(name: str, diagnosis: Diagnosis) -> None:
        if names[-1:] != [name]:
            names.append(name)
            out.print(name, style="bold")
        colour = {"ok": "green", "warn": "yellow", "error": "red"}[diagnosis.severity]
        out.print(f"  {diagnosis.severity:5}", style=colour, end=" ")
        out.print(diagnosis.what, soft_wrap=True)
        if diagnosis.fix:
            out.print(f"        -> {diagnosis.fix}", soft_wrap=True)

    diagnosed = diagnose(chosen, device, show)
    if json:
        write_json(json, Doctor(artefact=str(chosen.path) if chosen else None, devices=diagnosed).as_json())
    errors = [one for place in diagnosed for one in place.findings if one.severity == "error"]
    if errors:
        raise BackendError(f"{len(errors)} error{'s' * (len(errors) > 1)} found; the first: {errors[0].what}")


if __name__ == "__main__":
    cli.run(main, "edge.doctor", "python -m edge.doctor --device ssh://pi@raspberrypi.local")
