"""Emulated boards to test against: a Raspberry Pi 4 and 5 with a real sshd, and a device that speaks adb.

Their processors are emulated instruction by instruction: what is computed there is right, how long it takes means nothing.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from emulated import android_app
from emulated.image import CannotBuildError

HERE = Path(__file__).parent
PI, SHELL = 1000, 2000  # users
CORES = 4
HERTZ = "1500000"
RUNTIMES = ("runtimes", "numpy")  # layers of wheels


@dataclass(frozen=True)
class Machine:
    """What makes a board look like one.

    Attributes:
        cpu: as qemu names it.
        part, features: of /proc/cpuinfo.
        model: of its firmware.
    """

    cpu: str
    part: str
    features: str
    model: str


PI4 = Machine("cortex-a72", "0xd08", "fp asimd evtstrm crc32 cpuid", "Raspberry Pi 4 Model B Rev 1.4 (emulated)")
PI5 = Machine(
    "cortex-a76",
    "0xd0b",
    "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp",
    "Raspberry Pi 5 Model B Rev 1.0 (emulated)",
)
PHONE = Machine(PI5.cpu, PI5.part, PI5.features, "Android device (emulated)")


@dataclass
class Board:
    """A running one; `spec` is what `--device` takes."""

    spec: str
    port: int
    process: subprocess.Popen[bytes]

    def console(self, command: str) -> str:
        """What a root shell on the board answers, past ssh and adb."""
        return self._inside("chroot", "/mnt", "/bin/sh", "-c", command)

    def small_disk(self, folder: str, megabytes: int) -> None:
        """Make `folder` a file system of that size."""
        self._inside("mkdir", "-p", f"/mnt{folder}")
        self._inside("mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=777", "small", f"/mnt{folder}")

    def processes(self) -> list[str]:
        """Command lines of what runs there on behalf of a user."""
        listing = self.console(f"ps -ww -o args= -u {PI},{SHELL} || true").splitlines()
        return [line.partition("qemu-aarch64-static ")[2] for line in listing if not line.startswith("sshd: ")]

    def _inside(self, *command: str) -> str:
        init = _child(_child(self.process.pid))
        inside = ["nsenter", f"--target={init}", "--all", *command]
        done = subprocess.run(inside, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


class Lab:
    """Boards, and the keys, known hosts and adb server with which they are reached.

    Attributes:
        environment: in which ssh and adb reach these boards and nothing else of this machine is read.
    """

    def __init__(self, image: Path, folder: Path) -> None:
        self.image, self.folder = image, folder
        self.known_hosts = folder / "known_hosts"
        _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / "key")
        (folder / "ssh_config").write_text(
            f'IdentityFile "{folder}/key"\nIdentitiesOnly yes\nUserKnownHostsFile "{self.known_hosts}"\n'
            "GlobalKnownHostsFile none\n"
        )
        programs = folder / "bin"
        programs.mkdir()
        for name, options in {"ssh": f"-F '{folder}/ssh_config'", "adb": ""}.items():
            path = f"LD_LIBRARY_PATH='{_libraries(image)}' " if name == "adb" else ""
            (programs / name).write_text(f"#!/bin/sh\n{path}exec '{_tool(image, f'bin/{name}')}' {options} \"$@\"\n")
            (programs / name).chmod(0o755)
        self.environment = {
            "PATH": f"{programs}:{os.environ['PATH']}",
            "HOME": str(folder),
            "ANDROID_ADB_SERVER_PORT": str(_free_port()),
        }
        self._boards: list[Board] = []

    def raspberry_pi(self, machine: Machine = PI4, wheels: Sequence[str] = RUNTIMES, **files: str) -> Board:
        """A Raspberry Pi with a user `pi`, these layers of wheels, and more files by path.

        Raises:
            CannotBuildError: the kernel does not let it.
        """
        port = _free_port()
        folder = self._folder()
        _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / "host")
        kind, key = (folder / "host.pub").read_text().split()[:2]
        with open(self.known_hosts, "a") as known:
            known.write(f"[127.0.0.1]:{port} {kind} {key}\n")
        (folder / "sshd_config").write_text(
            f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nPidFile none\n"
            "AuthorizedKeysFile /mnt/etc/ssh/authorized_keys\nStrictModes no\nUsePAM no\nPasswordAuthentication no\n"
            f"KbdInteractiveAuthentication no\nChrootDirectory /mnt\nSetEnv QEMU_CPU={machine.cpu}\n"
        )
        files |= {
            "/etc/ssh/authorized_keys": (self.folder / "key.pub").read_text(),
            "/usr/bin/vcgencmd": "#!/bin/sh\ncat /run/throttled\n",
            "/run/throttled": "throttled=0x0\n",
        }
        sshd = [_tool(self.image, "sbin/sshd"), "-D", "-e", "-f", str(folder / "sshd_config")]
        process = _boot(self.image, folder, machine, wheels, files, {"pi": (PI, "/home/pi")}, sshd)
        return self._started(Board(f"ssh://pi@127.0.0.1:{port}", port, process), folder)

    def android(self, mood: str = "", wheels: Sequence[str] = RUNTIMES, app: Sequence[str] = ()) -> Board:
        """A device that adb is connected to; `mood` is what is wrong with it: "unauthorized".

        Args:
            app: the command that runs the app natively; without one the device has no `pm` and no `am`.

        Raises:
            CannotBuildError: the kernel does not let it.
        """
        port = _free_port()
        folder = self._folder()
        properties = {"ro.product.model": PHONE.model, "ro.product.cpu.abi": "arm64-v8a", "ro.build.version.release": "6.0"}
        cases = "".join(f"'{key}') echo '{value}';; " for key, value in properties.items())
        everything = " ".join(f"'[{key}]: [{value}]'" for key, value in properties.items())
        getprop = f"#!/bin/sh\ncase \"$1\" in {cases}'') printf '%s\\n' {everything};; *) echo;; esac\n"
        daemon = [sys.executable, str(HERE / "adbd.py"), str(port), PHONE.cpu, mood, *app]
        files = {"/usr/bin/getprop": getprop, **(android_app.FILES if app else {})}
        users = {"shell": (SHELL, "/data/local/tmp")}
        process = _boot(self.image, folder, PHONE, wheels, files, users, daemon)
        board = self._started(Board(f"adb:127.0.0.1:{port}", port, process), folder)
        self._adb("connect", f"127.0.0.1:{port}")
        return board

    def stop(self) -> None:
        """Switch everything off."""
        self.stop_boards()
        self._adb("kill-server")

    def stop_boards(self) -> None:
        """Switch the boards off, not what reaches them."""
        while self._boards:
            board = self._boards.pop()
            board.stop()
            if board.spec.startswith("adb:"):
                self._adb("disconnect", board.spec.removeprefix("adb:"))

    def _adb(self, *command: str) -> None:
        subprocess.run(["adb", *command], env=os.environ | self.environment, capture_output=True, timeout=60, check=False)

    def _folder(self) -> Path:
        return Path(tempfile.mkdtemp(dir=self.folder, prefix="board-"))

    def _started(self, board: Board, folder: Path) -> Board:
        self._boards.append(board)
        end = time.monotonic() + 120
        while True:
            try:
                socket.create_connection(("127.0.0.1", board.port), 1).close()
                return board
            except OSError:
                if board.process.poll() is not None or time.monotonic() > end:
                    board.stop()
                    log = (folder / "log").read_text().strip()
                    raise CannotBuildError(f"an emulated board does not start: {log.splitlines()[-1:]}") from None
                time.sleep(0.05)


def _boot(
    image: Path,
    folder: Path,
    machine: Machine,
    wheels: Sequence[str],
    files: dict[str, str],
    users: dict[str, tuple[int, str]],
    serve: list[str],
) -> subprocess.Popen[bytes]:
    core = f"Features\t: {machine.features}\nCPU implementer\t: 0x41\nCPU architecture: 8\nCPU part\t: {machine.part}\n"
    cores = "".join(f"processor\t: {number}\nBogoMIPS\t: 108.00\n{core}\n" for number in range(CORES))
    cpus = "/sys/devices/system/cpu"
    frequencies = {"scaling_governor": "ondemand", "scaling_cur_freq": HERTZ, "scaling_max_freq": HERTZ}
    files |= {
        "/proc/cpuinfo": f"{cores}Model\t\t: {machine.model}\n",
        "/sys/firmware/devicetree/base/model": f"{machine.model}\0",
        "/sys/class/thermal/thermal_zone0/type": "cpu-thermal\n",
        "/sys/class/thermal/thermal_zone0/temp": "48312\n",
        "/etc/os-release": 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n',
        **{f"{cpus}/{name}": f"0-{CORES - 1}\n" for name in ("possible", "present", "online")},
        **{f"{cpus}/cpu{n}/cpufreq/{name}": f"{value}\n" for n in range(CORES) for name, value in frequencies.items()},
    }
    board = {
        "name": "emulated",
        "layers": [*(str(image / "wheels" / name) for name in wheels), str(image / "system")],
        "qemu": _tool(image, "bin/qemu-aarch64-static"),
        "megabytes": 512,
        "files": files,
        "users": users,
        "serve": serve,
    }
    environment = {"PATH": os.environ["PATH"], "LD_LIBRARY_PATH": _libraries(image), "QEMU_CPU": machine.cpu}
    with open(folder / "log", "wb") as log:
        command = [sys.executable, str(HERE / "boot.py"), json.dumps(board)]
        return subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)


def _tool(image: Path, name: str) -> str:
    """A program that was fetched, or is installed."""
    ours = image / "tools" / "usr" / name
    if ours.exists():
        return str(ours)
    return shutil.which(Path(name).name, path=f"{os.environ['PATH']}:/usr/sbin") or name


def _libraries(image: Path) -> str:
    libraries = image / "tools/usr/lib/x86_64-linux-gnu"
    return f"{libraries}:{libraries}/android"


def _child(process: int) -> int:
    return int(Path(f"/proc/{process}/task/{process}/children").read_text().split()[0])


def _run(*command: str | Path) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=60)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])
