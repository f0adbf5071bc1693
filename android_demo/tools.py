"""The programs that the build runs, and which package brings a missing one."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from pose.errors import BackendError, one_line

JDK = 17
PACKAGES = {  # program -> Debian's and Ubuntu's package
    "javac": "openjdk-17-jdk-headless",
    "keytool": "openjdk-17-jre-headless",
    "mvn": "maven",
    "aapt2": "aapt",
    "zipalign": "zipalign",
    "apksigner": "apksigner",
    "dexdump": "dexdump",
    "npm": "npm",
}
FOR_TESTS = ("javac", "mvn", "aapt2")
FOR_BUILDS = ("javac", "keytool", "mvn", "aapt2", "zipalign", "apksigner", "dexdump")
SECONDS = 900.0  # for the longest step, a download


def require(programs: Sequence[str]) -> None:
    """Raises BackendError, with the packages that bring them, if a program is missing or the JDK is too old."""
    missing = [name for name in programs if shutil.which(name) is None]
    if missing:
        packages = " ".join(dict.fromkeys(PACKAGES[name] for name in missing))
        raise BackendError(
            f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not installed; apt install {packages}"
        )
    words = run("javac", "-version")
    version = re.search(r"javac (\d+)", words)
    if version is None or int(version[1]) < JDK:
        raise BackendError(f"the app needs JDK {JDK}, javac is {one_line(words)}; apt install {PACKAGES['javac']}")


def java_home() -> Path:
    """The folder of the JDK that `javac` belongs to."""
    return Path(shutil.which("javac") or "").resolve().parent.parent


def run(program: str, *arguments: str | Path, folder: Path | None = None) -> str:
    """What a program writes to both streams.

    Raises:
        BackendError: it failed; the message has its first line that names an error, or its last one.
    """
    try:
        done = subprocess.run(  # noqa: S603 - programs of `PACKAGES`, on our own files
            [program, *map(str, arguments)],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise BackendError(f"{program} took longer than {SECONDS:.0f} s; is the network slow? Run it again") from error
    except FileNotFoundError as error:
        raise BackendError(f"{program} is not installed; apt install {PACKAGES.get(program, program)}") from error
    if done.returncode:
        lines = [line.strip() for line in done.stdout.splitlines() if line.strip()] or ["it printed no reason"]
        reason = next((line for line in lines if re.search(r"\berror\b", line, re.IGNORECASE)), lines[-1])
        raise BackendError(f"{program} failed with status {done.returncode}: {reason[:300]}")
    return done.stdout
