"""Boards over ssh: an emulated Raspberry Pi behind a real sshd, and what can go wrong on the way to it."""

from __future__ import annotations

import socket
import stat
import threading
from pathlib import Path

import pytest
from emulated.boards import Board, Lab
from emulated.tools import Cable, an_hour_later, failure, quiet, run, soon

from edge import devices
from edge.devices.base import (
    CommandFailed,
    ConnectionCut,
    Device,
    DiskFull,
    HostKeyRefused,
    NoSuchProgram,
    TimedOut,
    Unreachable,
)
from pose.errors import InputError
from pose.files import sha256

AWKWARD = 'it\'s a "board" $HOME !; #1.bin'


@pytest.fixture
def device(pi: Board) -> Device:
    return devices.open(pi.spec)


@pytest.mark.parametrize(
    "spec",
    [
        "", "locally", "ssh:pi@host", "ssh://", "ssh://-oProxyCommand=id", "ssh://pi@host/tmp", "ssh://pi@host:99999",
        "ssh://a b@host", "ssh://pi:raspberry@host", "adb:", "adb:-d", "adb:a b", "http://host",
    ],
)  # fmt: skip
def test_what_is_no_device_is_refused(spec: str) -> None:
    with pytest.raises(InputError) as caught:
        devices.open(spec)
    assert "raspberry" not in str(caught.value)


def test_a_board_that_is_not_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    device = devices.open(f"ssh://pi@127.0.0.1:{port}")
    assert "Connection refused" in failure(lambda: device.folder, Unreachable)
    assert "nowhere.invalid" in failure(lambda: devices.open("ssh://nowhere.invalid").folder, Unreachable)


def test_a_board_that_does_not_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        device = devices.open(f"ssh://pi@127.0.0.1:{server.getsockname()[1]}")
        assert "no answer within 1 s" in failure(lambda: run(device, "true", timeout=1), Unreachable)


def test_no_ssh_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert "apt install" in failure(lambda: devices.open("ssh://pi@host").folder, Unreachable)


def test_commands_and_files(device: Device, pi: Board, tmp_path: Path) -> None:
    assert device.folder == "/home/pi/.cache/distilpose-edge"
    echo = ["sh", "-c", 'printf "%s\\n" "$@" ""; cat; echo noise >&2', "sh", AWKWARD, " two  spaces "]
    assert run(device, *echo, stdin=b"from\nhere") == [AWKWARD, " two  spaces ", "", "from", "here"]
    assert run(device, "uname", "-m") == ["aarch64"]
    assert "(emulated)" in (device.read("/sys/firmware/devicetree/base/model") or "")
    assert device.read("/nothing") is None

    file = tmp_path / AWKWARD
    file.write_bytes(bytes(range(256)) * 400)
    remote = device.push(file, sha256(file))
    assert remote == f"{device.folder}/{sha256(file)[:16]}/{AWKWARD}"
    device.pull(remote, tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == file.read_bytes()
    assert stat.S_IMODE((tmp_path / "back").stat().st_mode) == 0o644

    before = pi.console(f"ls -li --time-style=full-iso {device.folder}/{sha256(file)[:16]}")
    assert device.push(file, sha256(file)) == remote
    assert pi.console(f"ls -li --time-style=full-iso {device.folder}/{sha256(file)[:16]}") == before
    pi.console(f"cd {device.folder}/{sha256(file)[:16]} && echo >*.bin")  # a bad card
    device.push(file, sha256(file))
    device.pull(remote, tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == file.read_bytes()

    folder = tmp_path / "a folder"
    (folder / "in it").mkdir(parents=True)
    (folder / "in it" / AWKWARD).write_text("deep")
    remote = device.push(folder, "f" * 64)
    assert run(device, "cat", f"{remote}/in it/{AWKWARD}") == ["deep"]
    with pytest.raises(InputError, match="cannot read"):
        device.push(tmp_path / "nothing", "0" * 64)

    device.clean()
    assert "distilpose" not in pi.console("ls -a /home/pi/.cache")
    quiet(pi)


def test_a_command_that_fails(device: Device) -> None:
    with pytest.raises(CommandFailed) as caught:
        run(device, "sh", "-c", "echo one; echo two >&2; exit 3")
    assert (caught.value.status, caught.value.complaint) == (3, "two")
    assert "not installed" in failure(lambda: run(device, "no-such-program"), NoSuchProgram)
    assert "not installed" in failure(lambda: run(device, "/etc/passwd"), NoSuchProgram)
    assert "signal 9; is there enough memory?" in failure(lambda: run(device, "sh", "-c", "kill -9 $$"), CommandFailed)


def test_a_command_that_hangs_is_ended_there(device: Device, pi: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = device.run(["sh", "-c", "echo 1; sleep 5000 & sleep 5000"], timeout=600)
    assert next(lines) == "1"
    soon(lambda: sum(line.endswith("/sleep 5000") for line in pi.processes()) == 2)
    an_hour_later(monkeypatch)
    assert "took longer than 600 s and was ended there" in failure(lambda: list(lines), TimedOut)
    quiet(pi)


def test_a_command_that_is_no_longer_listened_to_is_ended_there(device: Device, pi: Board) -> None:
    lines = device.run(["sh", "-c", "while :; do echo again; done"], stdin=b"x" * 10_000, timeout=100)
    assert next(lines) == "again"
    lines.close()  # type: ignore[attr-defined]
    quiet(pi)


def test_what_a_command_leaves_behind_is_ended(device: Device, pi: Board) -> None:
    assert run(device, "sh", "-c", "sleep 1000 & echo done") == ["done"]
    quiet(pi)


def test_noise_of_the_login_shell_is_no_output(device: Device, pi: Board) -> None:
    noisy = '#!/bin/sh\necho Welcome; echo It is hot. >&2; exec /bin/sh "$@"\n'
    pi.console(f"cat >/usr/bin/noisy <<'E'\n{noisy}E\nchmod 755 /usr/bin/noisy")
    pi.console('all=$(sed "s,/home/pi:/bin/sh,/home/pi:/usr/bin/noisy," /etc/passwd); echo "$all" >/etc/passwd')
    assert run(device, "cat", stdin=b"quiet") == ["quiet"]


def test_another_host_key(pi: Board, lab: Lab) -> None:
    known = lab.known_hosts.read_text()
    host, kind, key = next(line for line in known.splitlines() if f":{pi.port} " in line).split()
    try:
        lab.known_hosts.write_text(f"{host} {kind} {(lab.folder / 'key.pub').read_text().split()[1]}\n")
        message = failure(lambda: devices.open(pi.spec).folder, HostKeyRefused)
        assert "is not the one in known_hosts" in message
        lab.known_hosts.write_text("")
        assert "is not in known_hosts; log in once" in failure(lambda: devices.open(pi.spec).folder, HostKeyRefused)
        assert lab.known_hosts.read_text() == ""
    finally:
        lab.known_hosts.write_text(known)
    assert key


def test_a_board_that_takes_no_key(pi: Board) -> None:
    pi.console("echo >/etc/ssh/authorized_keys")
    assert "ssh-copy-id" in failure(lambda: devices.open(pi.spec).folder, Unreachable)


def test_a_connection_that_is_cut(cable: Cable, pi: Board, tmp_path: Path) -> None:
    device = devices.open(cable.spec)
    folder = device.folder
    lines = device.run(["sh", "-c", "echo 1; echo 2; sleep 1000"], timeout=100)
    got = [next(lines), next(lines)]
    assert len(cable.ends) == 2  # one connection for both commands
    cable.cut()
    assert "was cut while sh ran" in failure(lambda: got.extend(lines), ConnectionCut)
    assert got == ["1", "2"]
    quiet(pi)

    file = tmp_path / "file"
    file.write_bytes(b"0123456789" * 1_000_000)
    start = cable.carried
    caught: list[BaseException] = []

    def push() -> None:
        try:
            device.push(file, sha256(file))
        except ConnectionCut as error:
            caught.append(error)

    pushing = threading.Thread(target=push)
    pushing.start()
    soon(lambda: cable.carried > start + 1_000_000)
    cable.cut()
    pushing.join()
    assert caught
    assert "file" not in pi.console(f"ls -R {folder} | sed s/^.*:$//")
    remote = device.push(file, sha256(file))  # resumed
    assert pi.console(f"sha256sum {remote}").startswith(sha256(file))
    assert pi.console(f"ls -A {folder}/.part") == ""


def test_a_disk_that_is_full(device: Device, pi: Board, tmp_path: Path) -> None:
    pi.small_disk(device.folder, 1)
    file = tmp_path / "file"
    file.write_bytes(b"\0" * 2_000_000)
    assert "disk is full" in failure(lambda: device.push(file, sha256(file)), DiskFull)
    assert pi.console(f"find {device.folder} -type f") == ""
    small = tmp_path / "small"
    small.write_bytes(b"\1" * 500_000)
    assert run(device, "wc", "-c", device.push(small, sha256(small)))[0].startswith("500000 ")


def test_the_users_configuration_holds(pi: Board, lab: Lab) -> None:
    config = lab.folder / "ssh_config"
    before = config.read_text()
    alias = f"\nHost kitchen\nHostName 127.0.0.1\nPort {pi.port}\nUser pi\nRemoteCommand echo mine\nRequestTTY force\n"
    try:
        config.write_text(before + alias)
        assert run(devices.open("ssh://kitchen"), "id", "-un") == ["pi"]
    finally:
        config.write_text(before)
