"""The device's end of adb's protocol over TCP, as an Android 6 spoke it: no shell_v2, so no exit status and one stream.

`python adbd.py PORT CPU MOOD [JAVA ...]`, the mood being "" or "unauthorized", inside the board's namespaces; commands and
files are those of the user `shell`. JAVA is the command that runs the phone's app, see `android_app`.
"""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import struct
import subprocess
import sys
import threading
from pathlib import Path

import android_app

ROOT = "/mnt"
SHELL = 2000  # user and group
LARGEST = 4096  # bytes in a packet
BANNER = b"device::ro.product.name=emulated;ro.product.model=emulated;ro.product.device=emulated;features=\0"


def serve(port: int, cpu: str, mood: str) -> None:
    with socket.create_server(("127.0.0.1", port)) as server:
        while True:
            threading.Thread(target=Connection(server.accept()[0], cpu, mood).listen, daemon=True).start()


class Connection:
    """One adb server's connection, and the streams that it opens."""

    def __init__(self, link: socket.socket, cpu: str, mood: str) -> None:
        self.link, self.cpu, self.mood = link, cpu, mood
        self.sending = threading.Lock()
        self.streams: dict[int, Stream] = {}

    def send(self, command: bytes, first: int, second: int, data: bytes = b"") -> None:
        (number,) = struct.unpack("<I", command)
        head = struct.pack("<6I", number, first, second, len(data), sum(data) & 0xFFFFFFFF, number ^ 0xFFFFFFFF)
        with self.sending:
            self.link.sendall(head + data)

    def listen(self) -> None:
        with contextlib.suppress(OSError, EOFError), self.link, self.link.makefile("rb") as source:
            while head := source.read(24):
                command, first, second, size = struct.unpack("<4s3I", head[:16])
                self.take(command, first, second, source.read(size))
        for stream in list(self.streams.values()):
            stream.close()

    def take(self, command: bytes, first: int, second: int, data: bytes) -> None:
        if self.mood == "unauthorized":
            if command in (b"CNXN", b"AUTH") and first != 3:  # 3 brings a public key, for somebody to look at
                self.send(b"AUTH", 1, 0, os.urandom(20))
        elif command == b"CNXN":
            self.send(b"CNXN", 0x01000000, LARGEST, BANNER)
        elif command == b"OPEN":
            stream = self.streams[len(self.streams) + 1] = Stream(self, len(self.streams) + 1, first)
            threading.Thread(target=stream.serve, args=(data.rstrip(b"\0").decode(),), daemon=True).start()
        elif second in self.streams:
            stream = self.streams[second]
            if command == b"OKAY":
                stream.ready.release()
            elif command == b"WRTE":
                stream.feed(data)
                self.send(b"OKAY", second, first)
            elif command == b"CLSE":
                stream.close()


class Stream:
    """One service: a shell command, or the transfer of files."""

    def __init__(self, connection: Connection, here: int, there: int) -> None:
        self.connection, self.here, self.there = connection, here, there
        self.ready = threading.Semaphore(0)
        self.coming, self.going = os.pipe()
        self.source = os.fdopen(self.coming, "rb")
        self.closed = False

    def feed(self, data: bytes) -> None:
        os.write(self.going, data)

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            os.close(self.going)
            self.ready.release()

    def write(self, data: bytes) -> None:
        for start in range(0, len(data), LARGEST):
            self.connection.send(b"WRTE", self.here, self.there, data[start : start + LARGEST])
            self.ready.acquire()
            if self.closed:
                raise EOFError

    def serve(self, service: str) -> None:
        kind, _, command = service.partition(":")
        with contextlib.suppress(OSError, EOFError, struct.error):
            if kind in ("shell", "exec"):
                self.connection.send(b"OKAY", self.here, self.there)
                self.shell(command)
            elif kind == "sync":
                self.connection.send(b"OKAY", self.here, self.there)
                while self.sync(*struct.unpack("<4sI", self.source.read(8))):
                    pass
        with contextlib.suppress(OSError):
            self.connection.send(b"CLSE", self.here, self.there)

    def shell(self, command: str) -> None:
        inside = ["chroot", f"--userspec={SHELL}:{SHELL}", ROOT, "/bin/sh", "-c", command]
        environment = {"PATH": "/usr/bin:/usr/sbin", "HOME": "/", "QEMU_CPU": self.connection.cpu}
        with subprocess.Popen(
            inside, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        ) as process:
            assert process.stdout is not None
            while data := os.read(process.stdout.fileno(), LARGEST):
                self.write(data)

    def sync(self, request: bytes, size: int) -> bool:
        name = self.source.read(size).decode()
        if request == b"STAT":
            self.stat(ROOT + name)
        elif request == b"SEND":
            path, _, mode = name.rpartition(",")
            self.take(Path(ROOT + path), int(mode))
        elif request == b"RECV":
            content = Path(ROOT + name).read_bytes()
            for start in range(0, len(content), 1 << 16):
                chunk = content[start : start + (1 << 16)]
                self.write(struct.pack("<4sI", b"DATA", len(chunk)) + chunk)
            self.write(struct.pack("<4sI", b"DONE", 0))
        return request != b"QUIT"

    def stat(self, path: str) -> None:
        try:
            found = Path(path).stat()
            fields = found.st_mode, found.st_size, int(found.st_mtime)
        except OSError:
            fields = 0, 0, 0
        self.write(struct.pack("<4s3I", b"STAT", *fields))

    def take(self, path: Path, mode: int) -> None:
        complaint = ""
        try:
            target = open(path, "wb")  # noqa: SIM115 - what comes is read to its end even where nothing can be written
            os.chown(path, SHELL, SHELL)
        except OSError as error:
            complaint, target = str(error.strerror), open(os.devnull, "wb")  # noqa: SIM115
        while True:
            kind, size = struct.unpack("<4sI", self.source.read(8))
            if kind == b"DONE":
                break
            chunk = self.source.read(size)
            try:
                target.write(chunk)
                target.flush()
            except OSError as error:
                complaint = complaint or str(error.strerror)
        with contextlib.suppress(OSError):
            target.close()
        if complaint:
            self.write(struct.pack("<4sI", b"FAIL", len(complaint)) + complaint.encode())
            return
        path.chmod(stat.S_IMODE(mode))
        self.write(struct.pack("<4sI", b"OKAY", 0))


if __name__ == "__main__":
    if java := sys.argv[4:]:
        threading.Thread(target=android_app.serve, args=(Path(ROOT), java, SHELL), daemon=True).start()
    serve(int(sys.argv[1]), *sys.argv[2:4])
