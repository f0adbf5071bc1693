"""What is installed here and on each device, how to fix what is missing, and whether an artefact runs there."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal

from edge import devices
from edge.devices import facts, trt
from edge.devices.base import CommandFailed, failure_line
from edge.devices.interpreter import system_obstacle, wheel_obstacle
from edge.devices.job import device_tool, require_runnable
from edge.devices.python import all_wheels, python_of
from edge.devices.session import Session
from edge.dist import Artefact
from edge.evaluate.diagnoses import Diagnosed, Diagnosis
from edge.evaluate.timings import Facts
from pose import installed
from pose.card import Card
from targets import boards
from targets.base import SPECS, get_spec
from targets.tensorrt import trtexec

LEAST_MB = 300  # free on a device's disk: a runtime's wheel and its environment
SECONDS = 120.0  # for a first inference on a slow board
CLIENTS = {"ssh": ("ssh", "sudo apt install openssh-client"), "adb": ("adb", "sudo apt install adb")}
# prints the version of each distribution among its arguments that is installed
_VERSIONS = (
    "import importlib.metadata as m, sys\n"
    "for name in sys.argv[1:]:\n"
    "    try: print(name, m.version(name))\n"
    "    except m.PackageNotFoundError: pass"
)


def host(target: str | None, device_specs: Sequence[str]) -> Iterator[Diagnosis]:
    """What the commands need here: each extra's packages in the versions that are tested, and the clients of the devices.

    Args:
        target: a missing package is an error for this target, and a warning for the others.
    """
    extra_of_target = SPECS[target].extra if target in SPECS else target
    yield _python()
    for extra, packages in installed.extras().items():
        wrong = [package for package in packages if not package.fits]
        if not wrong:
            versions = ", ".join(f"{package.name} {package.version}" for package in packages)
            yield Diagnosis(severity="ok", what=f"{extra}: {versions}")
            continue
        problems = ", ".join(
            f"{package.name} {package.version} is not {package.wanted}" if package.version else f"{package.name} is missing"
            for package in wrong
        )
        severity: Literal["warn", "error"] = "error" if extra == extra_of_target else "warn"
        yield Diagnosis(severity=severity, what=f"{extra}: {problems}", fix=f"pip install 'distilpose-edge[{extra}]'")
    for kind, (program, fix) in CLIENTS.items():
        path, needed = shutil.which(program), any(spec.startswith(kind) for spec in device_specs)
        if path:
            yield Diagnosis(severity="ok", what=f"{kind}: {path}")
        else:
            what = f"no {program} here: devices over {kind} are out of reach"
            yield Diagnosis(severity="error" if needed else "warn", what=what, fix=fix)


def _python() -> Diagnosis:
    version, wanted = platform.python_version(), installed.python()
    if installed.fits(version, wanted):
        return Diagnosis(severity="ok", what=f"Python {version}")
    what = f"Python {version} is not {wanted}: executorch and litert have no wheels for it"
    return Diagnosis(severity="error", what=what, fix="make test")


def examine(spec: str, artefact: Artefact | None) -> Iterator[Diagnosis]:
    """What a device is, what it lacks, and whether the artefact answers its golden crop there."""
    session = Session(devices.open(spec))
    card = artefact.card if artefact else None
    try:
        session.open()
        yield from _description(session.facts)
        for text in facts.warnings(session.facts, session.facts, [], 1):
            yield _split("warn", text)
        yield from _free_space(session)
        runtimes = [*_tensorrt(session, card), *_runtimes(session, card)]
        yield from runtimes
        if artefact is not None and all(diagnosis.severity != "error" for diagnosis in runtimes):
            yield from _trial(session, artefact)
    except Exception as error:  # whatever a device sends, the others are examined
        yield _split("error", failure_line(session.device, error).removeprefix(f"{spec}: "))


def _description(device: Facts) -> Iterator[Diagnosis]:
    known = ", ".join(fact for fact in (device.model, device.cpu, device.architecture, device.os) if fact)
    board = boards.get(device.board)
    yield Diagnosis(severity="ok", what=f"{known}; board {board.name}: {board.title}")
    if device.architecture in ("aarch64", "arm64") and "asimddp" not in device.features:
        what = "no dot-product instruction: int8 may be no faster than float"
        yield Diagnosis(severity="warn", what=what, fix="compare the two, as edge.bench does")
    elif device.features:
        yield Diagnosis(severity="ok", what=f"instructions: {', '.join(device.features)}")
    if device.architecture in ("aarch64", "arm64") and device.features and "atomics" not in device.features:
        what = "no atomics (LSE) instructions: a wheel that is built for Armv8.1 or later ends there with SIGILL (signal 4)"
        yield Diagnosis(severity="warn", what=what, fix="where one does, install an older version of it")
    if obstacle := system_obstacle(device):
        yield Diagnosis(severity="error", what=obstacle[0], fix=obstacle[1])


def _free_space(session: Session) -> Iterator[Diagnosis]:
    folder = Path(session.device.folder)
    line = 'd="$1"; while [ ! -d "$d" ]; do d=$(dirname "$d"); done; df -Pk "$d"'
    fields = list(session.device.run(["sh", "-c", line, "sh", str(folder)], timeout=SECONDS))[-1].split()
    free = int(fields[3]) / 1000 if len(fields) > 3 and fields[3].isdigit() else None
    if free is None:
        yield Diagnosis(severity="warn", what=f"the free space of {folder} is unknown", fix="look with df")
    elif free < LEAST_MB:
        yield Diagnosis(severity="error", what=f"{free:.0f} MB free for {folder}", fix=f"free {LEAST_MB} MB there")
    else:
        yield Diagnosis(severity="ok", what=f"{free / 1000:.1f} GB free for {folder}")


def _tensorrt(session: Session, card: Card | None) -> Iterator[Diagnosis]:
    """The version of TensorRT; one that is too old or does not start is an error for the artefact that needs it."""
    if not session.facts.trtexec:
        return
    severity: Literal["warn", "error"] = "error" if card and device_tool(card) else "warn"
    try:
        version = trt.read_version(session)
    except CommandFailed as error:
        yield _split(severity, failure_line(session.device, error).removeprefix(f"{session.device.name}: "))
        return
    if problem := trtexec.age_problem(version):
        yield Diagnosis(severity=severity, what=problem[0], fix=problem[1])
    else:
        yield Diagnosis(severity="ok", what=f"TensorRT {version or 'of an unknown version'}: {session.facts.trtexec}")


def _runtimes(session: Session, card: Card | None) -> Iterator[Diagnosis]:
    """The interpreter and the runtimes in it."""
    if card and device_tool(card) and session.facts.trtexec:
        return
    if session.app:
        yield Diagnosis(severity="ok", what="the app runs jobs there; no Python is needed")
        return
    python = python_of(session.device)
    distributions = sorted({*all_wheels(), "tflite-runtime"})
    lines = session.device.run([python.path, "-c", _VERSIONS, *distributions], timeout=SECONDS)
    versions = dict(line.split() for line in lines if len(line.split()) == 2)
    listed = ", ".join(f"{name} {version}" for name, version in versions.items()) or "none of the runtimes"
    yield Diagnosis(severity="ok" if versions else "warn", what=f"{python.path} (Python {python.version}): {listed}")
    if "tflite-runtime" in versions:  # the agent takes either
        versions.setdefault("ai-edge-litert", versions["tflite-runtime"])
    specs = [get_spec(card.target)] if card else [spec for spec in SPECS.values() if spec.wheels]
    missing = [wheel for wheel in specs[0].wheels if wheel not in versions] if card else []
    obstacles = [wheel_obstacle(session.facts, python, spec) for spec in specs]
    obstacle = obstacles[0] if all(obstacles) and not session.device.here else None
    if obstacle and not system_obstacle(session.facts) and (missing or not versions):
        yield Diagnosis(severity="error" if missing else "warn", what=f"no wheels: {obstacle[0]}", fix=obstacle[1])
    if missing:
        fix = f"python -m edge.bench --device {session.device.name} --setup"
        fix = obstacle[1] if obstacle else specs[0].install_hint() if session.device.here else fix
        large = " (427 MB for arm64; or call its C++ runtime, which needs no torch)" if "torch" in missing else ""
        yield Diagnosis(severity="error", what=f"{specs[0].name} needs {', '.join(missing)} there{large}", fix=fix)


def _trial(session: Session, artefact: Artefact) -> Iterator[Diagnosis]:
    """What the board's file says about the target, and how the artefact answers the golden crop."""
    card, name = artefact.card, artefact.path.name
    board = boards.get(session.facts.board)
    choice = board.choice(card.target)
    if choice is None and board.name == boards.GENERIC:
        yield Diagnosis(severity="ok", what=f"{card.target}: nothing is recorded about it on {board.title}")
    elif choice is None:
        better = ", ".join(other.target for other in board.runs)
        what = f"{card.target} is no choice for {board.title}; it has {better}"
        yield Diagnosis(severity="warn", what=what, fix="edge.export another target")
    else:
        yield Diagnosis(severity="ok", what=f"{card.target} through {choice.delegate}: {choice.why}")
    aim = f"; for video, p90 below {board.latency_budget_ms:g} ms" if board.latency_budget_ms else ""
    yield Diagnosis(severity="ok", what=f"begin with --threads {board.threads}{aim}")
    if device_tool(card) and session.facts.trtexec:
        fix = f"python -m edge.bench --device {session.device.name}"
        yield Diagnosis(severity="ok", what=f"{name}: trtexec builds and times it there", fix=fix)
        return
    described = session.push(card.precision or "artefact", artefact.path, card)
    golden_px, ran_on = None, ""
    for event in session.run({"job": "load", "artefacts": [described]}, SECONDS):
        if event["event"] == "golden":
            golden_px, ran_on = event["max_px"], event.get("accelerator", "")
    if golden_px is None:
        yield Diagnosis(severity="error", what=f"{name} did not answer its golden crop there", fix="export it again")
    else:
        what = f"{name} runs there: {golden_px:.3f} px from its card's answer to the golden crop"
        what += f", on {ran_on}" if ran_on else ""
        yield Diagnosis(severity="ok", what=what)


def _split(severity: Literal["warn", "error"], text: str) -> Diagnosis:
    what, _, fix = text.partition("; ")
    return Diagnosis(severity=severity, what=what, fix=fix)


def diagnose(
    artefact: Artefact | None, specs: Sequence[str], on_diagnosis: Callable[[str, Diagnosis], None]
) -> list[Diagnosed]:
    """Examine the host, then each device.

    Args:
        on_diagnosis: is called with the device's name and each diagnosis as it is made.

    Raises:
        InputError: the artefact does not match its card; a name is no device's.
    """
    for spec in specs:
        devices.open(spec)
    card = require_runnable(artefact) if artefact else None
    examinations = [("host", host(card.target if card else None, specs))]
    examinations += [(spec, examine(spec, artefact)) for spec in specs]
    results = []
    for name, diagnoses in examinations:
        made = []
        for diagnosis in diagnoses:
            on_diagnosis(name, diagnosis)
            made.append(diagnosis)
        results.append(Diagnosed(device=name, findings=made))
    return results
