"""The files of an emulated board: arm64 Debian, wheels of the runtimes, and the host's programs that it takes.

Nothing is installed: packages and wheels are fetched by the system's apt and pip as they are configured, unpacked into a
folder of the user's cache, and found there the next time.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

DEBIAN = (
    "base-files", "bash", "dash", "coreutils", "libc-bin", "grep", "sed", "tar", "gzip", "findutils", "procps", "util-linux",
    "hostname", "python3-minimal", "libpython3-stdlib", "libgomp1", "libstdc++6",
)  # fmt: skip
TOOLS = ("qemu-user-static", "openssh-server", "adb")
# the same as on the host, as the same answers are expected
NUMPY, *RUNTIMES = (f"{name}=={importlib.metadata.version(name)}" for name in ("numpy", "ai-edge-litert", "onnxruntime"))
WHEELS = {"numpy": [NUMPY], "runtimes": RUNTIMES, "tflite_runtime": ["numpy==1.26.4", "tflite-runtime==2.14.0"]}
PACKAGES = "usr/local/lib/python3.11/dist-packages"
UNUSED = [f"./usr/share/{name}" for name in ("doc", "man", "locale", "zoneinfo", "info")]
UNUSED += ["./usr/bin/qemu-[b-z]*", "./usr/bin/qemu-a[!a]*", "./usr/bin/qemu-*_be*"]
GLIBC = 36  # minor version of Debian 12's


class CannotBuildError(Exception):
    """One line: why this machine cannot build an emulated board."""


def image() -> Path:
    """A folder with `system`, one folder of `wheels` for each entry of `WHEELS`, and `tools`.

    Raises:
        CannotBuildError: not on Linux as root, no apt, no network.
    """
    if sys.platform != "linux" or platform.machine() != "x86_64":
        raise CannotBuildError("emulated boards need Linux on x86-64")
    if os.geteuid() != 0:
        raise CannotBuildError("emulated boards have namespaces and users of their own: needs root")
    if missing := [
        name for name in ("apt-get", "dpkg-deb", "tar", "mount", "chroot", "ssh-keygen") if not shutil.which(name)
    ]:
        raise CannotBuildError(f"emulated boards are made of Debian packages: needs {', '.join(missing)}")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "distilpose-edge"
    key = hashlib.sha256(Path(__file__).read_bytes() + repr(WHEELS).encode()).hexdigest()[:12]
    folder = cache / f"emulated-{key}"
    cache.mkdir(parents=True, exist_ok=True)
    with open(cache / "emulated.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # of several test processes one builds it
        if not folder.is_dir():
            with tempfile.TemporaryDirectory(dir=cache, prefix="emulated-part-", ignore_cleanup_errors=True) as part:
                _build(Path(part, "image"))
                Path(part, "image").rename(folder)
    return folder


def executorch(image: Path) -> Path:
    """One more layer, `wheels/executorch`: the host's version for arm64, without torch; fetched when first asked for.

    Raises:
        CannotBuildError: no network.
    """
    folder = image / "wheels" / "executorch"
    if not folder.is_dir():
        with tempfile.TemporaryDirectory(dir=image, ignore_cleanup_errors=True) as part:
            _wheels(Path(part, "layer"), [f"executorch=={importlib.metadata.version('executorch')}"])
            Path(part, "layer").rename(folder)
    return folder


def _build(folder: Path) -> None:
    with ThreadPoolExecutor() as pool:
        jobs = [pool.submit(_debian, folder)] + [
            pool.submit(_wheels, folder / "wheels" / name, WHEELS[name]) for name in WHEELS
        ]
        for job in jobs:
            job.result()


def _debian(folder: Path) -> None:
    apt = folder / "apt"
    for name in ("lists", "arm64", "amd64"):
        (apt / name / "partial").mkdir(parents=True)
    (apt / "none").touch()
    (apt / "conf").write_text(
        f'Dir::State "{apt}"; Dir::Cache "{apt}"; APT::Architectures {{ "amd64"; "arm64"; }}; APT::Sandbox::User "root";\n'
        'APT::Install-Recommends "false"; Acquire::Languages "none"; Debug::NoLocking "true";\n'
    )
    _run("apt-get", "update", APT_CONFIG=str(apt / "conf"))
    _unpack(apt, "arm64", apt / "none", DEBIAN, folder / "system")
    library = str(folder / "system/usr/lib/python3.11")
    _run(
        sys.executable, "-m", "compileall", "-qq", "-s", library, "-p", "/usr/lib/python3.11", library
    )  # the board's user cannot
    # what is installed on the host is used from there
    _unpack(apt, "amd64", Path("/var/lib/dpkg/status"), TOOLS, folder / "tools")
    shutil.rmtree(apt)


def _unpack(apt: Path, architecture: str, status: Path, packages: tuple[str, ...], to: Path) -> None:
    where = apt / architecture
    options = f"APT::Architecture={architecture}", f"Dir::State::status={status}", f"Dir::Cache::archives={where}"
    _run(
        "apt-get", "install", "--yes", "--download-only", *(f"-o{option}" for option in options), *packages,
        APT_CONFIG=str(apt / "conf"),
    )  # fmt: skip
    for name in ("bin", "sbin", "lib"):
        (to / "usr" / name).mkdir(parents=True)
        (to / name).symlink_to(f"usr/{name}")
    unused = [f"--exclude={name}" for name in UNUSED]
    for package in sorted(where.glob("*.deb")):
        archive = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", package], stdout=subprocess.PIPE)
        subprocess.run(["tar", "-x", "--keep-directory-symlink", *unused, "-C", to], stdin=archive.stdout, check=True)
        assert archive.stdout is not None
        archive.stdout.close()
        if archive.wait():
            raise CannotBuildError(f"{package.name} is damaged")


def _wheels(to: Path, wheels: list[str]) -> None:
    platforms = [f"--platform=manylinux_2_{minor}_aarch64" for minor in range(17, GLIBC + 1)]
    options = ["--no-deps", "--only-binary=:all:", "--python-version=3.11", "--implementation=cp"]
    command = [sys.executable, "-m", "pip", "install", "--quiet", *options, "--platform=manylinux2014_aarch64", *platforms]
    _run(*command, f"--target={to / PACKAGES}", *wheels)


def _run(*command: str, **environment: str) -> None:
    done = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise CannotBuildError(f"{' '.join(command[:3])} failed: {said[-1] if said else done.returncode}")
