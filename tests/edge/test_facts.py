"""Facts of boards, from recorded outputs, and warnings about them."""

from __future__ import annotations

import time

import pytest

from edge.devices import facts
from edge.devices.local import Local
from edge.evaluate.timings import Facts

PI4 = """motd: welcome
@@ model
Raspberry Pi 4 Model B Rev 1.5
@@ compatible
raspberrypi,4-model-b brcm,bcm2711
@@ cpuinfo
processor\t: 0
BogoMIPS\t: 108.00
Features\t: fp asimd evtstrm crc32 cpuid
CPU implementer\t: 0x41
CPU part\t: 0xd08

processor\t: 1
Features\t: fp asimd evtstrm crc32 cpuid
CPU part\t: 0xd08

Hardware\t: BCM2835
@@ meminfo
MemTotal:        3884332 kB
@@ loadavg
0.15 0.10 0.09 1/180 2211
@@ os
PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"
NAME="Debian GNU/Linux"
@@ governor
ondemand
@@ governor
ondemand
@@ khz
600000
@@ khz
1500000
@@ max_khz
1800000
@@ zone
48199
@@ shell
sh -c t() { printf '@@ %s
@@ kernel
Linux 6.6.31+rpt-rpi-v8 aarch64
@@ emulated

@@ trtexec
"""
JETSON = """@@ model
NVIDIA Jetson Orin Nano Developer Kit
@@ cpuinfo
processor\t: 0
Features\t: fp asimd asimdhp asimddp
CPU part\t: 0xd42
@@ kernel
Linux 5.15.136-tegra aarch64
@@ trtexec
/usr/src/tensorrt/bin/trtexec
"""
PHONE = """@@ cpuinfo
processor\t: 0
Features\t: fp asimd asimdhp asimddp i8mm
CPU part\t: 0xd05
processor\t: 1
Features\t: fp asimd asimdhp asimddp i8mm
CPU part\t: 0xd41
@@ kernel
Linux 5.10.110-android12-9 aarch64
@@ properties
[ro.product.model]: [Pixel 6a]
[ro.build.version.release]: [14]
[ro.soc.model]: [GS101]
"""
QUIET = Facts(emulated=False, governor="performance", cores=4, load=0.1)


def with_fact(**fact: object) -> Facts:
    return QUIET.model_copy(update=fact)


def test_a_raspberry_pi() -> None:
    known = facts.parse(PI4)
    assert known.reported() == {
        "model": "Raspberry Pi 4 Model B Rev 1.5",
        "board": "pi4",
        "soc": "brcm,bcm2711",
        "cpu": "2 x Cortex-A72",
        "cores": 2,
        "features": ["asimd"],
        "architecture": "aarch64",
        "kernel": "Linux 6.6.31+rpt-rpi-v8 aarch64",
        "os": "Debian GNU/Linux 12 (bookworm)",
        "governor": "ondemand",
        "mhz": [600.0, 1500.0],
        "max_mhz": [1800.0],
        "celsius": [48.199],
        "memory_mb": 3793,
        "load": 0.15,
        "emulated": False,
    }


def test_a_jetson() -> None:
    known = facts.parse(JETSON)
    assert (known.board, known.cpu, known.trtexec) == (
        "jetson_orin_nano",
        "1 x Cortex-A78AE",
        "/usr/src/tensorrt/bin/trtexec",
    )
    more = facts.parse_board(
        "@@ power_mode\nNV Power Mode: 15W\n0\n@@ power\n"
        "11-22-2026 10:00:00 RAM 2437/7620MB (lfb 4x4MB) SWAP 0/3810MB CPU [3%@729,0%@729] GR3D_FREQ 0% cpu@47.2C "
        "VDD_IN 4954mW/4954mW VDD_CPU_GPU_CV 529mW/529mW VDD_SOC 1443mW/1443mW\n"
        "@@ l4t\n# R36 (release), REVISION: 3.0\n"
    )
    assert more.power_mode == "15W"
    assert more.power == {"VDD_IN": 4954.0, "VDD_CPU_GPU_CV": 529.0, "VDD_SOC": 1443.0}
    assert more.reported()["l4t"].startswith("# R36")


def test_an_old_jetson_reports_power_without_a_unit() -> None:
    line = "@@ power\nRAM 1500/3956MB (lfb 2x4MB) IRAM 0/252kB CPU [2%@102] POM_5V_IN 2466/2466 POM_5V_CPU 160/160\n"
    assert facts.parse_board(line).power == {"POM_5V_IN": 2466.0, "POM_5V_CPU": 160.0}


def test_a_phone() -> None:
    known = facts.parse(PHONE)
    assert (known.board, known.model, known.soc, known.os) == ("android", "Pixel 6a", "GS101", "Android 14")
    assert known.cpu == "1 x Cortex-A55 + 1 x Cortex-A78"
    assert known.features == ["asimd", "asimdhp", "asimddp", "i8mm"]
    more = facts.parse_board(
        "@@ thermal\nIsStatusOverride: false\nThermal Status: 2\nCached temperatures:\n"
        "@@ battery\nCurrent Battery Service state:\n  AC powered: false\n  USB powered: true\n"
        "  level: 87\n  temperature: 312\n"
    )
    assert more.reported() == {"thermal": "moderate", "battery": {"level": 87, "celsius": 31.2, "charging": True}}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (PI4.replace("Rev 1.5", "Rev 1.5 (emulated)"), "model"),
        (PI4.replace("BCM2835", "QEMU Virtual CPU"), "cpuinfo"),
        (PI4.replace("@@ shell\nsh", "@@ shell\n/usr/bin/qemu-aarch64-static /bin/sh"), "shell"),
        (PI4.replace("@@ emulated\n\n", "@@ emulated\n1\n"), "DISTILPOSE_EMULATED"),
        (PI4.replace("6.6.31+rpt-rpi-v8", "6.1.0-18-amd64"), "another machine"),
        (PI4.replace("Hardware\t: BCM2835", "vendor_id\t: AuthenticAMD"), "another machine"),
        (PHONE.replace("Pixel 6a", "sdk_gphone64_arm64"), "model"),
        (PHONE + "[ro.boot.qemu]: [1]\n", "emulator"),
    ],
)
def test_an_emulation_gives_itself_away(text: str, why: str) -> None:
    known = facts.parse(text).emulated
    assert why in str(known)
    assert any("emulated" in line for line in facts.warnings(with_fact(emulated=known), QUIET, [], 1))


def test_throttling_is_reported() -> None:
    def throttled(word: str) -> Facts:
        return QUIET.with_facts(facts.parse_board(f"@@ throttled\nthrottled={word}\n"))

    assert throttled("0x50005").throttled.as_json() == {
        "raw": "0x50005",
        "now": ["under-voltage", "throttled"],
        "since_boot": ["under-voltage", "throttled"],
    }
    assert facts.warnings(throttled("0x0"), throttled("0x0"), [], 1) == []
    (during,) = facts.warnings(throttled("0x0"), throttled("0x40000"), [], 1)
    assert "throttled during the run: throttled" in during
    (earlier,) = facts.warnings(throttled("0x10000"), throttled("0x10000"), [], 1)
    assert "before the run: under-voltage" in earlier
    (phone,) = facts.warnings(QUIET, with_fact(thermal="severe"), [], 1)
    assert "severe" in phone


def test_other_disturbances_of_a_run() -> None:
    clocks = [[600.0, 1500.0], [600.0, 1000.0]]
    (moved,) = facts.warnings(QUIET, QUIET, clocks, 1)
    assert "between 1000 and 1500 MHz" in moved
    assert facts.warnings(QUIET, QUIET, clocks[:1] * 2, 1) == []
    (governor,) = facts.warnings(with_fact(governor="ondemand"), QUIET, [], 1)
    assert "ondemand" in governor
    (busy,) = facts.warnings(with_fact(load=3.9), QUIET, [], 1)
    assert "load of 3.9 on 4 cores" in busy
    (mode,) = facts.warnings(with_fact(power_mode="MAXN"), with_fact(power_mode="15W"), [], 1)
    assert "MAXN to 15W" in mode


DENIED = "Can't open device file: /dev/vcio\nTry creating a device file with: sudo mknod /dev/vcio c 100 0\n"


def test_a_fact_that_cannot_be_read_is_said() -> None:
    """Where the user may not use the device of `vcgencmd`, its complaint is no temperature."""
    text = f"@@ unread throttled\n{DENIED}@@ unread temperature\n{DENIED}@@ core_clock\nfrequency(48)=600117184\n"
    known = facts.parse_board(text)
    reason = "Can't open device file: /dev/vcio"
    assert known.reported() == {
        "core_clock": "frequency(48)=600117184",
        "unread": {"throttled": reason, "temperature": reason},
    }
    (line,) = facts.warnings(QUIET.with_facts(known), QUIET, [], 1)
    assert line.startswith(f"not known, as it cannot be read: throttled, temperature ({reason}); let the user read it")


@pytest.mark.parametrize(
    "answer",
    [
        DENIED,
        "VCHI initialization failed",
        'error=1 error_msg="Command not registered"',
        "bash: /dev/vchiq: Permission denied",
    ],
)
@pytest.mark.parametrize("name", ["temperature", "throttled"])
def test_a_complaint_with_status_0_is_no_fact(name: str, answer: str) -> None:
    known = facts.parse_board(f"@@ {name}\n{answer}\n")
    assert known.reported() == {"unread": {name: answer.splitlines()[0]}}
    assert known.throttled.raw == ""


def test_the_script_tells_failures_from_facts() -> None:
    script = (
        facts._FUNCTIONS + "c good echo 1\nc bad sh -c 'echo no >&2; exit 3'\nc none no-such-program\nc long timeout 1 cat\n"
    )
    lines = list(Local().run(["sh", "-c", script.replace("timeout 1 cat", "sh -c 'echo 5; exit 124'")], timeout=30))
    assert facts.parse_board("\n".join(lines)).reported() == {"good": "1", "long": "5", "unread": {"bad": "no"}}


@pytest.mark.parametrize(
    ("text", "bits", "libc"),
    [
        ("@@ bits\n32\n@@ debian\narm64\n@@ libc\nldd (Debian GLIBC 2.36-9+rpt2+deb12u9) 2.36\n", 32, "glibc 2.36"),
        ("@@ debian\narmhf\n@@ libc\nldd (Ubuntu GLIBC 2.27-3ubuntu1.6) 2.27\nCopyright\n", 32, "glibc 2.27"),
        ("@@ debian\narm64\n@@ libc\nldd (GNU libc) 2.40\n", 64, "glibc 2.40"),
        ("@@ bits\n64\n@@ libc\nmusl libc (aarch64)\nVersion 1.2.5\n", 64, "musl"),
        ("@@ unread bits\ngetconf: no variable\n@@ libc\nsh: ldd: not found\n", 0, ""),
    ],
)
def test_the_system_under_the_kernel(text: str, bits: int, libc: str) -> None:
    known = facts.parse(text)
    assert (known.bits, known.libc) == (bits, libc)


def test_nonsense_is_no_fact() -> None:
    assert facts.parse("").reported() == {"board": "generic", "emulated": False}
    noise = "@@ khz\npermission denied\n@@ meminfo\n\n@@ loadavg\n\n@@ cpuinfo\n:::\n@@ kernel\n\n"
    assert facts.parse(noise).reported() == {"board": "generic", "emulated": False}
    digits = "9" * 5000
    for name in ("khz", "max_khz", "zone", "meminfo", "loadavg", "cpuinfo", "emulated", "properties"):
        for text in (digits, f"-{digits}", "nan", "1e999 x", "inf 0 0", f"MemTotal: {digits} kB", f"{digits} 1 2", "٣"):
            parsed = facts.parse(f"@@ {name}\n{text}\n").reported()
            assert parsed == {"board": "generic", "emulated": False}, (name, text)
    battery = f"level: {digits}\ntemperature: x"
    for part in (f"battery\n{battery}", f"thermal\nThermal Status: {digits}"):
        assert facts.parse_board(f"@@ {part}\n").reported() == {}
    assert "throttled" not in facts.parse_board(f"@@ throttled\nthrottled=0x{digits}\n").reported()
    assert len(facts.parse(f"@@ model\n{'x ' * 30_000}\n").model) <= 500
    assert facts.parse_board("@@ battery\n\n@@ thermal\nnothing\n").reported() == {}


def test_this_machine_reports_its_facts() -> None:
    known = facts.read(Local())
    assert known.cores >= 1
    assert known.kernel.startswith(("Linux", "Darwin"))


@pytest.mark.parametrize(
    "text",
    [
        "libc\nldd " + "GLIBC" * 20_000 + "1" * 20_000 + "x",
        "properties\n[" + "a]: [" * 50_000 + "x",
        "battery\nx" + "\n" * 50_000 + "x",
    ],
)
def test_an_answer_made_to_take_hours_takes_no_time(text: str) -> None:
    start = time.monotonic()
    facts.parse(f"@@ {text}")
    facts.parse_board(f"@@ {text}")
    assert time.monotonic() - start < 5
