"""The Python of a device that runs the agent, and whether wheels of a runtime exist for it and its system."""

from __future__ import annotations

import platform
import re
import sys
from dataclasses import dataclass

from edge.devices.base import Device, NoSuchProgram
from edge.evaluate.timings import Facts
from pose.errors import BackendError
from pose.installed import fits
from targets.spec import TargetSpec

SECONDS = 60.0
OLDEST, NEWEST = 9, 14  # of Python 3: what the agent needs, and the last one with wheels
SYSTEMS_32_BIT = ("armv6l", "armv7l", "armv8l", "i386", "i686")  # by `uname -m`
_NAMES = ["python3", *(f"python3.{minor}" for minor in range(NEWEST, OLDEST - 1, -1))]

# Any Python runs it, as old as it may be; its status is 0 for one that suits.
_PROBE = f"""
import sys
own = getattr(sys, "implementation", None)
words = "%d.%d.%d" % tuple(sys.version_info[:3]), getattr(own, "name", "cpython"), 64 if sys.maxsize > 2 ** 32 else 32
print("python %s %s %d %s %s" % (words + (getattr(own, "_multiarch", "") or "-", getattr(sys, "abiflags", "") or "-")))
sys.exit(0 if (3, {OLDEST}) <= sys.version_info[:2] <= (3, {NEWEST}) else 9)
"""
# A line '@@ PATH' precedes what each one says; the last one suits. Folder by folder, as the shell itself looks for programs,
# and then where Pythons are put that only a login shell finds: miniforge, miniconda, pyenv.
_SEARCH = """
probe=$1 own=$2; shift 2
suits() { [ -f "$1" ] && [ -x "$1" ] && printf '@@ %s\\n' "$1" && "$1" -c "$probe" 2>&1 </dev/null; }
suits "$own" && exit 0
PATH="$PATH:/usr/local/bin:$HOME/.local/bin:$HOME/mini*/bin:/opt/conda/bin:$HOME/.pyenv/versions/*/bin"; IFS=:
for folder in $PATH; do for name in "$@"; do suits "$folder/$name" && exit 0; done; done
exit 0
"""
_ANSWER = re.compile(r"^python (?P<version>3\.\d+\.\d+) (?P<kind>\w+) (?P<bits>32|64) (?P<system>\S+) (?P<flags>\S+)$", re.M)


@dataclass(frozen=True)
class Interpreter:
    """A Python.

    Attributes:
        version: such as 3.11.2. kind: `cpython`, `pypy`, ...
        bits: 32 or 64. system: such as `aarch64-linux-gnu`, "-" where it does not say.
        free_threaded: it has no global lock, and takes wheels of its own.
    """

    path: str
    version: str
    kind: str = "cpython"
    bits: int = 64
    system: str = "-"
    free_threaded: bool = False


def find_interpreter(device: Device, own: str = "") -> Interpreter:
    """The first Python there that suits the agent; on this machine, this one.

    Args:
        own: path of one that is preferred, where it exists. Then each folder of the search path counts, with `python3`
            before `python3.14`, ..., `python3.9`: an old system's `python3` often has a newer one beside it.

    Raises:
        BackendError: there is none, or only older ones; or as `Device.run`.
    """
    if device.here:
        bits = 64 if sys.maxsize > 2**32 else 32
        return Interpreter(sys.executable, platform.python_version(), sys.implementation.name, bits)
    lines = device.run(["sh", "-c", _SEARCH, "sh", _PROBE, own, *_NAMES], timeout=SECONDS)
    answers = dict(part.partition("\n")[::2] for part in re.split(r"^@@ ", "\n".join(lines), flags=re.MULTILINE)[1:])
    known = [_interpreter(path, match) for path, text in answers.items() if (match := _ANSWER.search(text))]
    suitable = [one for one in known if fits(one.version, f">=3.{OLDEST}")]
    if suitable:
        return suitable[-1] if fits(suitable[-1].version, f"<3.{NEWEST + 1}") else suitable[0]
    if not answers:
        raise BackendError(f"{device.name}: no Python there; {_advice(device, 'install it there')}")
    path, text = next(iter(answers.items()))
    name = path.rpartition("/")[2]
    if "Exec format error" in text or re.search(rf"{re.escape(name)}: \d+: ", text):
        raise NoSuchProgram(f"{device.name}: {name} is made for another architecture there ({text.strip()[:200]})", 126)
    old = f"{path} is {f'Python {known[0].version}, ' if known else ''}older than Python 3.{OLDEST}"
    fix = _advice(device, f"install one beside it that is called python3.{OLDEST} to python3.{NEWEST}")
    raise BackendError(f"{device.name}: {old}, and there is no other; {fix}")


def _interpreter(path: str, match: re.Match[str]) -> Interpreter:
    system, flags = match["system"], match["flags"]
    return Interpreter(path, match["version"], match["kind"], int(match["bits"]), system, "t" in flags)


def _advice(device: Device, linux: str) -> str:
    if device.name.startswith("adb"):
        build = "build the app with python -m android_demo.build --out demo.apk and give --apk demo.apk"
        return f"phones have none that adb may run; {build}, or run sshd in Termux and give --device ssh://PHONE:8022"
    return f"{linux}: sudo apt install python3 python3-venv" if linux == "install it there" else linux


def system_obstacle(facts: Facts) -> tuple[str, str] | None:
    """Why no runtime has wheels for a device's system, and how to fix it; None if there is no such reason."""
    if facts.architecture in SYSTEMS_32_BIT or facts.bits == 32:
        kernel = " under a 64-bit kernel" if facts.architecture not in ("", *SYSTEMS_32_BIT) else ""
        return f"a 32-bit system{kernel}, for which no runtime has wheels", "install a 64-bit system"
    if facts.libc.startswith("musl"):
        return (
            "its C library is musl, and the wheels of the runtimes need glibc",
            "install a system with glibc, such as Debian",
        )
    return None


def wheel_obstacle(facts: Facts, python: Interpreter, spec: TargetSpec) -> tuple[str, str] | None:
    """Why pip finds no wheels of a target's runtime for this Python, and how to fix it; None if there is no such reason."""
    system = facts.model_copy(update={"bits": 32} if python.bits == 32 else {})
    if "musl" in python.system:
        system = system.model_copy(update={"libc": "musl"})
    if reason := system_obstacle(system):
        return reason
    another = f"install a CPython of {spec.python} beside it, as python3.{NEWEST - 2}: it is found by that name"
    if python.kind != "cpython" or python.free_threaded:
        kind = "free-threaded" if python.free_threaded else python.kind
        return f"{python.path} is {kind}, for which there are no wheels of {spec.name}", another
    if not fits(python.version, spec.python):
        return f"{python.path} is Python {python.version}, and {spec.name} has wheels for {spec.python}", another
    return None
