"""`python -m edge.doctor`: what is installed here and on each device, what mends what is missing, and what runs there."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from pose import cli
from pose.errors import BackendError, InputError, UserError

if TYPE_CHECKING:
    from edge.devices.session import Session
    from pose.card import Card

LEAST_MB = 300  # free on a device's disk: a runtime's wheel and its environment
SECONDS = 120.0  # for a first inference on a slow board
CLIENTS = {"ssh": ("ssh", "sudo apt install openssh-client"), "adb": ("adb", "sudo apt install adb")}
# prints the version of each distribution among its arguments that is installed
_VERSIONS = (
    "import importlib.metadata as m, sys\n"
    "for each in sys.argv[1:]:\n"
    "    try: print(each, m.version(each))\n"
    "    except m.PackageNotFoundError: pass"
)


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        severity: an `error` keeps the artefact, or every artefact, from running there.
        mend: the command or the deed that mends it, "" where there is nothing to mend.
    """

    severity: Literal["ok", "warn", "error"]
    what: str
    mend: str = ""


def host(target: str | None, device_specs: Sequence[str]) -> Iterator[Finding]:
    """What the commands need here: each extra's packages in the versions that are tested, and the clients of the devices.

    Args:
        target: whose packages are needed, not just of use.
    """
    from edge import installed

    yield _python()
    for extra, packages in installed.extras().items():
        wrong = [package for package in packages if not package.fits]
        if not wrong:
            yield Finding("ok", f"{extra}: {', '.join(f'{package.name} {package.version}' for package in packages)}")
            continue
        told = ", ".join(
            f"{package.name} {package.version} is not {package.wanted}" if package.version else f"{package.name} is missing"
            for package in wrong
        )
        yield Finding("error" if extra == target else "warn", f"{extra}: {told}", f"pip install 'distilpose-edge[{extra}]'")
    for kind, (program, mend) in CLIENTS.items():
        found, asked = shutil.which(program), any(spec.startswith(kind) for spec in device_specs)
        if found:
            yield Finding("ok", f"{kind}: {found}")
        else:
            yield Finding("error" if asked else "warn", f"no {program} here: devices over {kind} are out of reach", mend)


def _python() -> Finding:
    import platform

    from edge import installed

    version, wanted = platform.python_version(), installed.python()
    if installed.fits(version, wanted):
        return Finding("ok", f"Python {version}")
    return Finding("error", f"Python {version} is not {wanted}: executorch and litert have no wheels for it", "make test")


def examine(spec: str, artefact: Path | None, card: Card | None) -> Iterator[Finding]:
    """What a device is, what it lacks, and whether the artefact answers its golden crop there."""
    from edge import facts
    from edge.devices import open as open_device
    from edge.devices.session import Session

    session = Session(open_device(spec))
    try:
        session.open()
        yield from _described(session.facts)
        for text in facts.warnings(session.facts, session.facts, [], 1):
            yield _split("warn", text)
        yield from _room(session)
        if session.facts.get("trtexec"):
            yield Finding("ok", f"TensorRT: {session.facts['trtexec']}")
        runtimes = list(_runtimes(session, card))
        yield from runtimes
        if artefact is not None and card is not None and all(each.severity != "error" for each in runtimes):
            yield from _runs(session, artefact, card)
    except UserError as error:
        yield _split("error", str(error).removeprefix(f"{spec}: "))


def _described(facts: dict[str, Any]) -> Iterator[Finding]:
    from targets import boards

    told = (facts.get(name) for name in ("model", "cpu", "architecture", "os"))
    board = boards.get(facts["board"])
    yield Finding("ok", f"{', '.join(str(each) for each in told if each)}; board {board.name}: {board.title}")
    features = facts.get("features", [])
    if facts.get("architecture") in ("aarch64", "arm64") and "asimddp" not in features:
        text = "no dot-product instruction: int8 may be no faster than float"
        yield Finding("warn", text, "compare the two, as edge.bench does")
    elif features:
        yield Finding("ok", f"instructions: {', '.join(features)}")
    if facts.get("architecture") in ("armv7l", "armv6l", "i686"):
        yield Finding("error", "a 32-bit system, for which no runtime has wheels", "install a 64-bit system")


def _room(session: Session) -> Iterator[Finding]:
    folder = Path(session.device.folder)
    line = 'd="$1"; while [ ! -d "$d" ]; do d=$(dirname "$d"); done; df -Pk "$d"'
    fields = list(session.device.run(["sh", "-c", line, "sh", str(folder)], timeout=SECONDS))[-1].split()
    free = int(fields[3]) / 1000 if len(fields) > 3 and fields[3].isdigit() else None
    if free is None:
        yield Finding("warn", f"cannot tell how much room {folder} has", "look with df")
    elif free < LEAST_MB:
        yield Finding("error", f"{free:.0f} MB free for {folder}", f"free {LEAST_MB} MB there")
    else:
        yield Finding("ok", f"{free / 1000:.1f} GB free for {folder}")


def _runtimes(session: Session, card: Card | None) -> Iterator[Finding]:
    """The interpreter and the runtimes in it."""
    from edge.devices.python import WHEELS, python_of

    target = card.target if card else None
    if target == "tensorrt" and session.facts.get("trtexec"):
        return
    python, local = python_of(session.device), session.device.here
    every = sorted({wheel for wheels in WHEELS.values() for wheel in wheels} | {"tflite-runtime"})
    lines = session.device.run([python, "-c", _VERSIONS, *every], timeout=SECONDS)
    there = dict(line.split() for line in lines if len(line.split()) == 2)
    told = ", ".join(f"{name} {version}" for name, version in there.items()) or "none of the runtimes"
    yield Finding("ok" if there else "warn", f"{python}: {told}")
    if "tflite-runtime" in there:  # takes the other's place
        there.setdefault("ai-edge-litert", there["tflite-runtime"])
    missing = [wheel for wheel in WHEELS.get(target or "", ()) if wheel not in there]
    if missing:
        mend = f"pip install 'distilpose-edge[{target}]'" if local else ""
        mend = mend or f"python -m edge.bench --device {session.device.name} --setup"
        large = " (427 MB for arm64; or call its C++ runtime, which needs no torch)" if "torch" in missing else ""
        yield Finding("error", f"{target} needs {', '.join(missing)} there{large}", mend)


def _runs(session: Session, artefact: Path, card: Card) -> Iterator[Finding]:
    """What the board's file says of the target, and what the artefact says to the golden crop."""
    from targets import boards

    board = boards.get(session.facts["board"])
    choice = board.choice(card.target)
    if choice is None:
        better = ", ".join(each.target for each in board.runs)
        yield Finding("warn", f"{card.target} is no choice for {board.title}; it has {better}", "edge.export another target")
    else:
        yield Finding("ok", f"{card.target} through {choice.delegate}: {choice.why}")
    aim = f"; for video, p90 below {board.latency_budget_ms:g} ms" if board.latency_budget_ms else ""
    yield Finding("ok", f"begin with --threads {board.threads}{aim}")
    if card.target == "tensorrt" and session.facts.get("trtexec"):
        mend = f"python -m edge.bench --device {session.device.name}"
        yield Finding("ok", f"{artefact.name}: trtexec builds and times it there", mend)
        return
    told = session.push(card.precision or "artefact", artefact, card)
    apart = None
    for event in session.run({"job": "load", "artefacts": [told]}, SECONDS):
        apart = event["max_px"] if event["event"] == "golden" else apart
    if apart is None:
        yield Finding("error", f"{artefact.name} did not answer its golden crop there", "export it again")
    else:
        yield Finding("ok", f"{artefact.name} runs there: {apart:.3f} px from its card's answer to the golden crop")


def _split(severity: Literal["warn", "error"], text: str) -> Finding:
    what, _, mend = text.partition("; ")
    return Finding(severity, what, mend)


def doctor(artefact: Path | None, specs: Sequence[str], seen: Callable[[str, Finding], None]) -> dict[str, Any]:
    """Look at the host, then at each device.

    Args:
        seen: is told each finding when it is there.

    Returns:
        What `--json` writes: {"devices": [{"device": ..., "findings": [...]}]}, the first of them the host.

    Raises:
        InputError: the artefact does not match its card; a device's name is none.
    """
    from edge import devices
    from edge.devices.job import card_of

    for spec in specs:
        devices.open(spec)
    card = card_of(artefact) if artefact else None
    looks = [("host", host(card.target if card else None, specs))]
    looks += [(spec, examine(spec, artefact, card)) for spec in specs]
    told = []
    for name, findings in looks:
        each = []
        for finding in findings:
            seen(name, finding)
            each.append(asdict(finding))
        told.append({"device": name, "findings": each})
    return {"devices": told}


def main(
    device: Annotated[
        list[str], typer.Option(metavar="DEVICE", help="local, ssh://user@host[:port] or adb[:serial]; more than one, too.")
    ] = ["local"],  # noqa: B006 - typer copies it
    artefact: Annotated[Path | None, typer.Option(metavar="FILE", help="[default: the latest int8 one in dist]")] = None,
    json: cli.Json = None,
) -> None:
    """Say what is installed, what is missing, what mends it, and whether the artefact runs on each device."""
    from edge import run
    from edge.devices.job import TARGETS
    from pose.files import write_json

    chosen = artefact
    if chosen is None:
        try:
            chosen = run.latest(targets=TARGETS)
        except InputError as error:
            cli.note(f"no artefact is tried: {error}")
    out, names = cli.console(), list[str]()

    def seen(name: str, finding: Finding) -> None:
        if names[-1:] != [name]:
            names.append(name)
            out.print(name, style="bold")
        colour = {"ok": "green", "warn": "yellow", "error": "red"}[finding.severity]
        out.print(f"  [{colour}]{finding.severity:5}[/]", end=" ")
        out.print(finding.what, markup=False, soft_wrap=True)
        if finding.mend:
            out.print(f"        -> {finding.mend}", markup=False, soft_wrap=True)

    result = doctor(chosen, device, seen)
    if json:
        write_json(json, {"artefact": str(chosen) if chosen else None, **result})
    errors = [each for place in result["devices"] for each in place["findings"] if each["severity"] == "error"]
    if errors:
        raise BackendError(f"{len(errors)} error{'s' * (len(errors) > 1)} found; the first: {errors[0]['what']}")


if __name__ == "__main__":
    cli.run(main, "edge.doctor", "python -m edge.doctor --device ssh://pi@raspberrypi.local")
