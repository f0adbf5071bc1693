"""Devices over adb: the real client against an emulated device that is too old to tell exit statuses."""

from __future__ import annotations

from pathlib import Path

import pytest
from emulated.boards import Board, Lab
from emulated.tools import an_hour_later, failure, quiet, run, soon

from edge import devices
from edge.devices.base import CommandFailed, ConnectionCut, Device, DiskFull, NoSuchProgram, TimedOut, Unreachable
from pose.files import sha256

AWKWARD = 'it\'s a "phone" $HOME !; #1.bin'


@pytest.fixture
def device(phone: Board) -> Device:
    return devices.open(phone.spec)


def test_commands_and_files(device: Device, phone: Board, tmp_path: Path) -> None:
    assert device.folder == "/data/local/tmp/distilpose-edge"
    echo = ["sh", "-c", 'printf "%s\\n" "$@" ""; cat', "sh", AWKWARD, " two  spaces "]
    assert run(device, *echo, stdin=b"from\nhere") == [AWKWARD, " two  spaces ", "", "from", "here"]
    assert run(device, "getprop", "ro.product.model") == ["Android device (emulated)"]
    assert device.read("/nothing") is None

    file = tmp_path / AWKWARD
    file.write_bytes(bytes(range(256)) * 400)
    remote = device.push(file, sha256(file))
    device.pull(remote, tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == file.read_bytes()
    before = phone.console(f"ls -li --time-style=full-iso {device.folder}/{sha256(file)[:16]}")
    assert device.push(file, sha256(file)) == remote
    assert phone.console(f"ls -li --time-style=full-iso {device.folder}/{sha256(file)[:16]}") == before
    assert phone.console(f"ls -A {device.folder}/.part") == ""

    device.clean()
    assert "distilpose" not in phone.console("ls -a /data/local/tmp")
    quiet(phone)


def test_a_command_that_fails(device: Device) -> None:
    with pytest.raises(CommandFailed) as caught:
        run(device, "sh", "-c", "echo one; echo two >&2; exit 3")
    assert (caught.value.status, caught.value.complaint) == (3, "two")
    assert "not installed" in failure(lambda: run(device, "no-such-program"), NoSuchProgram)


def test_a_command_that_hangs_is_ended_there(device: Device, phone: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = device.run(["sh", "-c", "echo 1; sleep 5000 & sleep 5000"], timeout=600)
    assert next(lines) == "1"
    soon(lambda: sum(line.endswith("/sleep 5000") for line in phone.processes()) == 2)
    an_hour_later(monkeypatch)
    assert "took longer than 600 s and was ended there" in failure(lambda: list(lines), TimedOut)
    quiet(phone)


def test_a_command_that_is_no_longer_listened_to_is_ended_there(device: Device, phone: Board) -> None:
    lines = device.run(["sh", "-c", "while :; do echo again; done"], stdin=b"x" * 10_000, timeout=100)
    assert next(lines) == "again"
    lines.close()  # type: ignore[attr-defined]
    quiet(phone)
    assert phone.console(f"ls -A {device.folder}/.part") == ""


def test_a_disk_that_is_full(device: Device, phone: Board, tmp_path: Path) -> None:
    phone.small_disk(device.folder, 1)
    file = tmp_path / "file"
    file.write_bytes(b"\0" * 2_000_000)
    assert "disk is full" in failure(lambda: device.push(file, sha256(file)), DiskFull)
    assert phone.console(f"find {device.folder} -type f") == ""


def test_a_device_that_has_not_authorised_this_computer(lab: Lab, tmp_path: Path) -> None:
    device = devices.open(lab.android("unauthorized").spec)
    assert "device unauthorized; unlock it and allow" in failure(lambda: run(device, "true"), Unreachable)
    (tmp_path / "file").touch()
    failure(lambda: device.push(tmp_path / "file", "0" * 64), Unreachable)


def test_a_device_that_goes_away(device: Device, phone: Board) -> None:
    lines = device.run(["sh", "-c", "echo 1; sleep 1000"], timeout=100)
    assert next(lines) == "1"
    phone.stop()
    assert "was cut while sh ran" in failure(lambda: list(lines), ConnectionCut)
    text = failure(lambda: run(device, "true", timeout=10), Unreachable)
    assert "offline" in text or "not found" in text
    assert "adb reconnect" in text or "adb devices" in text


def test_which_device(lab: Lab, phone: Board) -> None:
    assert run(devices.open("adb"), "true") == []
    other = lab.android()
    with pytest.raises(Unreachable, match=r"more than one device.*adb:SERIAL"):
        run(devices.open("adb"), "true")
    assert run(devices.open(other.spec), "true") == []
    with pytest.raises(Unreachable, match="not found; adb devices"):
        run(devices.open("adb:0123456789"), "true")
    quiet(phone)


def test_no_adb_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(Unreachable, match="adb: adb is not installed on this machine; apt install adb"):
        run(devices.open("adb"), "true")
