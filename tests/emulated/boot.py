"""Start an emulated board: a file system, a /proc, a /sys, processes and users of its own, arm64 programs run by qemu.

`python boot.py JSON`, as root: the board runs for as long as this process does, or whoever started it. Nothing on the host
changes: binfmt_misc belongs to the board's own user namespace (Linux 6.7).
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

ROOT = Path("/mnt")  # of the board, as seen by what runs natively in its namespaces
NEW = 0x10000000 | 0x20000 | 0x4000000 | 0x8000000 | 0x20000000  # user, mount, UTS, IPC and PID namespaces
ELF = rb"\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00"
MASK = rb"\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff"
libc = ctypes.CDLL(None, use_errno=True)


def main(board: dict) -> int:
    libc.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    apart, mapped = os.pipe(), os.pipe()
    child = os.fork()
    if not child:
        if libc.unshare(NEW):
            sys.exit(f"unshare: {os.strerror(ctypes.get_errno())}")
        os.write(apart[1], b".")
        os.read(mapped[0], 1)
        os.setresgid(0, 0, 0)
        os.setresuid(0, 0, 0)
        libc.prctl(1, signal.SIGKILL)
        init = os.fork()
        if not init:
            libc.prctl(1, signal.SIGKILL)
            serve(board)
        os._exit(os.waitstatus_to_exitcode(os.waitpid(init, 0)[1]) & 255)
    os.close(apart[1])
    os.read(apart[0], 1)
    for name in ("uid_map", "gid_map"):
        Path(f"/proc/{child}/{name}").write_text("0 0 4294967295\n")
    os.write(mapped[1], b".")
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) & 255


def serve(board: dict) -> None:
    """Be the board's init."""
    prepare(board)
    server = subprocess.Popen(board["serve"], stdin=subprocess.DEVNULL)
    while os.wait()[0] != server.pid:
        pass
    os._exit(1)


def prepare(board: dict) -> None:
    mount("--make-rprivate", "/")
    mount("-t", "proc", "proc", "/proc")
    mount("-t", "binfmt_misc", "binfmt_misc", "/proc/sys/fs/binfmt_misc")
    entry = b":qemu-aarch64:M:0:" + ELF + b":" + MASK + b":" + os.fsencode(board["qemu"]) + b":F"
    Path("/proc/sys/fs/binfmt_misc/register").write_bytes(entry)

    mount("-t", "tmpfs", "-o", f"size={board['megabytes']}m,mode=755", "tmpfs", "/media")
    for name in ("upper", "work"):
        Path("/media", name).mkdir()
    layers = ":".join(board["layers"])
    mount("-t", "overlay", "-o", f"lowerdir={layers},upperdir=/media/upper,workdir=/media/work,userxattr", "board", ROOT)
    for name in ("proc", "sys", "dev", "run", "tmp"):
        (ROOT / name).mkdir(exist_ok=True)
    mount("-t", "proc", "proc", ROOT / "proc")
    for name in ("sys", "dev", "run"):
        mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", ROOT / name)
    for name in ("null", "zero", "full", "random", "urandom", "tty"):
        (ROOT / "dev" / name).touch()
        mount("--bind", f"/dev/{name}", ROOT / "dev" / name)
    for name, target in {"fd": "/proc/self/fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2"}.items():
        (ROOT / "dev" / name).symlink_to(target)
    (ROOT / "dev" / "shm").mkdir()
    for folder in ("dev/shm", "tmp"):
        (ROOT / folder).chmod(0o1777)

    for user, (number, home) in board["users"].items():
        for folder in (ROOT / home.lstrip("/"),):
            folder.mkdir(parents=True, exist_ok=True)
            os.chown(folder, number, number)
        accounts = (
            f"root:x:0:0::/root:/bin/sh\nsshd:*:74:65534::/run/sshd:/bin/false\n{user}:*:{number}:{number}::{home}:/bin/sh\n"
        )
        (ROOT / "etc/passwd").write_text(accounts)
        (ROOT / "etc/group").write_text(f"root:x:0:\n{user}:x:{number}:\n")
        for name in ("passwd", "group"):
            mount("--bind", ROOT / "etc" / name, f"/etc/{name}")
    for name, text in board["files"].items():
        path = ROOT / name.lstrip("/")
        if path.is_relative_to(ROOT / "proc"):  # not a file system to write to
            kept = Path("/media") / path.name
            kept.write_text(text)
            mount("--bind", kept, path)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755 if text.startswith("#!") else 0o644)
    mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run")
    Path("/run/sshd").mkdir()
    socket.sethostname(board["name"])


def mount(*arguments: str | Path) -> None:
    done = subprocess.run(["mount", *map(str, arguments)], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"mount {' '.join(map(str, arguments))}: {done.stderr.strip()}")


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1])))
