"""Facts of a device: one shell script reads them before a run and after it, and `warnings` tells what disturbed the run.

Everything is read in one round trip, through `sh` and files that every Linux and Android has; missing ones are left out.
What only some boards have (`vcgencmd`, `nvpmodel`, `dumpsys`) is named in `targets/boards/*.yaml`.
"""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from pydantic import JsonValue

from edge.devices.base import Device
from edge.evaluate.timings import Facts
from pose.errors import one_line
from targets import boards

SECONDS = 60.0
_LONGEST = 500  # characters of a fact
_LONGEST_TEXT = 1 << 20  # characters of all facts of a device
_KHZ, _MILLICELSIUS = (1, 10**8), (-(10**5), 3 * 10**5)  # what a clock and a thermal zone may report

# f NAME FILE...: prints the files; c NAME COMMAND...: prints the command's output. A line '@@ NAME' precedes each part, or
# '@@ unread NAME' where the command failed. 124 is the status of `timeout`, which ends a command that ends never.
_FUNCTIONS = r"""
t() { printf '@@ %s\n' "$1"; head -c 65536 | tr '\000' ' '; echo; }
f() { n=$1; shift; for i in "$@"; do [ -r "$i" ] && t "$n" <"$i"; done; }
c() { n=$1; shift; command -v "$1" >/dev/null 2>&1 || return 0; o=$("$@" </dev/null 2>&1)
case $? in 0|124) ;; *) n="unread $n" ;; esac; printf '%s\n' "$o" | t "$n"; }
"""
# The shell's own /proc entry, read by another process, names the emulator that runs the shell.
_GENERIC = r"""
f model /proc/device-tree/model /sys/firmware/devicetree/base/model
f compatible /proc/device-tree/compatible
f product /sys/class/dmi/id/product_name
f cpuinfo /proc/cpuinfo
f meminfo /proc/meminfo
f loadavg /proc/loadavg
f os /etc/os-release
f cores /sys/devices/system/cpu/online
f governor /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor
f khz /sys/devices/system/cpu/cpu*/cpufreq/scaling_cur_freq
f max_khz /sys/devices/system/cpu/cpu*/cpufreq/scaling_max_freq
f zone /sys/class/thermal/thermal_zone*/temp
f shell /proc/$$/cmdline
c kernel uname -srm
c bits getconf LONG_BIT
c debian dpkg --print-architecture
printf '@@ libc\n'; ldd --version 2>&1 | head -n 2
c properties getprop
[ "$(uname)" = Darwin ] && c mac sysctl -n hw.model machdep.cpu.brand_string
printf '@@ emulated\n%s\n' "$DISTILPOSE_EMULATED"
printf '@@ trtexec\n'
PATH="$PATH:/usr/src/tensorrt/bin" command -v trtexec
"""

_ARM_CORES = {
    "0xd03": "Cortex-A53", "0xd04": "Cortex-A35", "0xd05": "Cortex-A55", "0xd07": "Cortex-A57", "0xd08": "Cortex-A72",
    "0xd09": "Cortex-A73", "0xd0a": "Cortex-A75", "0xd0b": "Cortex-A76", "0xd0c": "Neoverse-N1", "0xd0d": "Cortex-A77",
    "0xd40": "Neoverse-V1", "0xd41": "Cortex-A78", "0xd42": "Cortex-A78AE", "0xd44": "Cortex-X1", "0xd46": "Cortex-A510",
    "0xd47": "Cortex-A710", "0xd48": "Cortex-X2", "0xd4b": "Cortex-A78C", "0xd4d": "Cortex-A715", "0xd4e": "Cortex-X3",
    "0xd80": "Cortex-A520", "0xd81": "Cortex-A720", "0xd82": "Cortex-X4",
    "0xd83": "Neoverse-V3AE", "0xd85": "Cortex-X925", "0xd87": "Cortex-A725", "0x004": "Carmel",
}  # fmt: skip
_FEATURES = (
    "atomics", "asimd", "asimdhp", "asimddp", "i8mm", "sve", "avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8",
)  # fmt: skip
# https://www.raspberrypi.com/documentation/computers/os.html#get_throttled: bits for now; 16 bits higher: since boot
_THROTTLED = ("under-voltage", "clock capped", "throttled", "soft temperature limit")
# what programs print in the place of a fact, some of them with status 0
_REFUSAL = re.compile(
    r"^error=|initiali[sz]ation failed|can(no|')t open|no such file|not permitted|denied|not registered", re.I
)
# android.os.PowerManager.THERMAL_STATUS_*
_THERMAL = ("none", "light", "moderate", "severe", "critical", "emergency", "shutdown")


def read(device: Device) -> Facts:
    """The facts of a device and of its board; see `parse`.

    Raises:
        DeviceFailure: it cannot be reached, or has no `sh`.
    """
    facts = parse(_run(device, _FUNCTIONS + _GENERIC))
    board = boards.get(facts.board).facts
    calls = [["f", name, file] for name, file in board.files.items()]
    calls += [["c", name, *command] for name, command in board.commands.items()]
    lines = [shlex.join(call) for call in calls]
    return facts.with_facts(parse_board(_run(device, _FUNCTIONS + "\n".join(lines)))) if lines else facts


def parse(text: str) -> Facts:
    """The facts that every Linux, Android or Mac reports; missing ones are not set. The board and `emulated` always are."""
    parts = _parts(text)
    first = {name: values[0] for name, values in parts.items() if values[0]}
    properties = dict(re.findall(r"^\[([^\]\n]+)\]: \[(.*)\]$", first.get("properties", ""), re.MULTILINE))
    android = "ro.build.version.release" in properties
    mac_model, _, mac_cpu = first.get("mac", "").partition("\n")
    model = first.get("model") or properties.get("ro.product.model") or first.get("product") or mac_model
    kernel = first.get("kernel", "")
    memory = re.search(r"MemTotal:\s+([0-9]{1,12}) kB", first.get("meminfo", ""))
    load = re.match(r"[0-9]{1,6}(\.[0-9]{1,3})?(?=\s)", first.get("loadavg", ""))
    facts: dict[str, JsonValue] = {
        "model": model,
        "board": boards.find(model, "Android" if android else kernel.partition(" ")[0] or "Linux").name,
        "soc": properties.get("ro.soc.model") or first.get("compatible", "").split(" ")[-1].strip(),
        **_processor(first.get("cpuinfo", "")),
        "architecture": kernel.rpartition(" ")[2],
        "bits": _bits(first),
        "libc": _libc(first.get("libc", "")),
        "kernel": kernel,
        "os": f"Android {properties['ro.build.version.release']}" if android else _system(first.get("os", "")),
        "governor": ", ".join(sorted(set(parts.get("governor", [])))),
        "mhz": [value / 1e3 for value in _numbers(parts.get("khz", []), *_KHZ)],
        "max_mhz": [value / 1e3 for value in _numbers(parts.get("max_khz", []), *_KHZ)],
        "celsius": [value / 1e3 for value in _numbers(parts.get("zone", []), *_MILLICELSIUS)],
        "trtexec": first.get("trtexec", ""),
        "memory_mb": int(memory[1]) // 1024 if memory else 0,
    }
    if "mac" in first:
        facts["cpu"] = mac_cpu
    short = {name: one_line(value, _LONGEST) if isinstance(value, str) else value for name, value in facts.items()}
    known = {name: value for name, value in short.items() if value not in ("", [], 0)}
    if load:
        known["load"] = float(load[0])
    return Facts.model_validate({**known, "emulated": _emulated(first, model)})


def parse_board(text: str) -> Facts:
    """The facts that one kind of board reports; a name without a parser here keeps its text."""
    parsers: dict[str, Callable[[str], JsonValue]] = {
        "throttled": _get_throttled,
        "power_mode": _power_mode,
        "power": _power,
        "thermal": _thermal,
        "battery": _battery,
    }
    facts: dict[str, JsonValue] = {}
    unread: dict[str, JsonValue] = {}
    for name, values in _parts(text).items():
        plain = one_line(values[0], _LONGEST)
        if name.startswith("unread ") or _REFUSAL.search(plain):
            unread[name.removeprefix("unread ")] = one_line((values[0].splitlines() or ["no reason given"])[0], 200)
        elif value := parsers[name](values[0]) if name in parsers else plain:
            facts[name] = value
        elif name == "throttled":
            unread[name] = plain or "no answer"
    return Facts.model_validate(facts | ({"unread": unread} if unread else {}))


def warnings(before: Facts, after: Facts, clocks: Sequence[Sequence[float]], threads: int) -> list[str]:
    """What disturbed a measurement that was made between `before` and `after`.

    Args:
        clocks: MHz of each core, each time the agent read them during the run.
    """
    problems = []
    if after.emulated or before.emulated:
        problems.append(f"emulated ({before.emulated or after.emulated}): its times say nothing about a device")
    problems += _throttling(before, after)
    problems += _unread(before)
    speeds = [max(mhz) for mhz in clocks if mhz]
    if speeds and min(speeds) < 0.95 * max(speeds):
        problems.append(f"the clock varied between {min(speeds):.0f} and {max(speeds):.0f} MHz during the run")
    if before.power_mode != after.power_mode:
        problems.append(f"the power mode changed during the run, {before.power_mode} to {after.power_mode}")
    governor = before.governor or "performance"
    if governor != "performance":
        problems.append(f"the governor is {governor}, which changes the clock; sudo cpupower frequency-set -g performance")
    if before.load > (before.cores or 1) - threads + 0.5:
        problems.append(f"busy before the run: a load of {before.load:.1f} on {before.cores} cores, {threads} to be timed")
    return problems


def _throttling(before: Facts, after: Facts) -> list[str]:
    once, now = before.throttled, after.throttled
    during = sorted({*now.now, *once.now} | ({*now.since_boot} - {*once.since_boot}))
    lines = []
    if during:
        lines.append(f"throttled during the run: {', '.join(during)}; give it its own supply and a heat sink, and run again")
    elif once.since_boot:
        lines.append(f"throttled since it was started, before the run: {', '.join(once.since_boot)}")
    hot = [facts.thermal for facts in (before, after) if facts.thermal != "none"]
    if hot:
        lines.append(f"throttled: Android's thermal status was {hot[-1]}; let it cool and run again")
    return lines


def _unread(before: Facts) -> list[str]:
    """One warning for all facts that could not be read for the same reason."""
    reasons: dict[str, list[str]] = {}
    for name, reason in before.unread.items():
        reasons.setdefault(reason, []).append(name.replace("_", " "))
    fix = "let the user read it, with a group or sudo (a Raspberry Pi: sudo usermod -aG video $USER)"
    return [f"not known, as it cannot be read: {', '.join(names)} ({reason}); {fix}" for reason, names in reasons.items()]


def _run(device: Device, script: str) -> str:
    return "\n".join(device.run(["sh", "-c", script + "\n:"], timeout=SECONDS))[:_LONGEST_TEXT]


def _parts(text: str) -> dict[str, list[str]]:
    """Name -> the texts after each line '@@ name'; noise before the first is dropped."""
    parts: dict[str, list[str]] = {}
    for part in re.split(r"^@@ ", text.replace("\r", ""), flags=re.MULTILINE)[1:]:
        name, _, value = part.partition("\n")
        parts.setdefault(name.strip(), []).append(value.strip())
    return parts


def _numbers(values: Iterable[str], low: int, high: int) -> list[int]:
    numbers = (int(value) for value in values if re.fullmatch(r"-?[0-9]{1,12}", value))
    return [number for number in numbers if low <= number <= high]


def _processor(cpuinfo: str) -> dict[str, JsonValue]:
    fields: dict[str, list[str]] = {}
    for line in cpuinfo.splitlines():
        name, colon, value = line.partition(":")
        if colon:
            fields.setdefault(name.strip(), []).append(value.strip())
    parts = Counter(_ARM_CORES.get(part, part) for part in fields.get("CPU part", []))
    arm = " + ".join(f"{count} x {name}" for name, count in parts.items())
    flags = {flag for name in ("Features", "flags") for value in fields.get(name, [])[:1] for flag in value.split()}
    return {
        "cpu": arm or fields.get("model name", [""])[0],
        "cores": len(fields.get("processor", [])),
        "features": [flag for flag in _FEATURES if flag in flags],
    }


def _system(release: str) -> str:
    name = re.search(r'^PRETTY_NAME="?([^"\n]*)', release, re.MULTILINE)
    return name[1] if name else ""


def _bits(first: dict[str, str]) -> int:
    """Of the programs there: a 64-bit kernel also runs a 32-bit system."""
    if first.get("bits") in ("32", "64"):
        return int(first["bits"])
    architecture = first.get("debian", "")
    return 0 if not architecture else 32 if architecture in ("armhf", "armel", "i386") else 64


def _libc(text: str) -> str:
    """From `ldd --version`: ldd (Debian GLIBC 2.36-9+deb12u9) 2.36, or musl libc (aarch64)."""
    if "musl" in text:
        return "musl"
    for line in text.splitlines():  # a pattern for it would take hours for an answer that is made for that
        version = line.split()[-1] if line.startswith("ldd ") and ("GLIBC" in line or "GNU libc" in line) else ""
        if re.fullmatch(r"[0-9.]+", version):
            return f"glibc {version}"
    return ""


def _emulated(first: dict[str, str], model: str) -> str | bool:
    """What reveals an emulation, or False. In doubt the answer is yes: it hides a latency, a wrong no would invent one."""
    machine = first.get("kernel", "").rpartition(" ")[2]
    for part in ("cpuinfo", "shell", "kernel"):
        if "qemu" in first.get(part, "").casefold():
            return f"qemu in {part}"
    if re.search("emulated|dummy-virt|qemu|goldfish|ranchu|sdk_gphone", model, re.IGNORECASE):
        return f"model {model}"
    if "[ro.kernel.qemu]: [1]" in first.get("properties", "") or "[ro.boot.qemu]: [1]" in first.get("properties", ""):
        return "Android's emulator"
    if machine in ("aarch64", "armv7l") and re.search(
        "amd64|x86_64|GenuineIntel|AuthenticAMD", first["kernel"] + first.get("cpuinfo", "")
    ):
        return f"{machine} on another machine's kernel"
    return "DISTILPOSE_EMULATED" if first.get("emulated") == "1" else False


def _get_throttled(text: str) -> JsonValue:
    """`vcgencmd get_throttled` of a Raspberry Pi: throttled=0x50005."""
    match = re.search(r"throttled=(0x[0-9a-fA-F]{1,16})\b", text)
    if not match:
        return {}
    bits = int(match[1], 16)
    now, since = ([name for nth, name in enumerate(_THROTTLED) if bits >> (nth + low) & 1] for low in (0, 16))
    return {"raw": match[1], "now": [*now], "since_boot": [*since]}


def _power_mode(text: str) -> str:
    """`nvpmodel -q` of a Jetson: NV Power Mode: MAXN."""
    match = re.search(r"NV Power Mode: *(\S+)", text)
    return match[1] if match else ""


def _power(text: str) -> JsonValue:
    """Milliwatts of each rail, from a Jetson's `tegrastats`: VDD_IN 5050mW/5050mW, or POM_5V_IN 2466/2466."""
    lines = [line for line in text.splitlines() if "RAM" in line]
    rails = re.findall(r"\b((?:VDD|POM|VIN)\w*) ([0-9]{1,9})(?:mW)?/\d+(?:mW)?", lines[-1] if lines else "")
    return {rail: float(value) for rail, value in rails}


def _thermal(text: str) -> str:
    """Android's `dumpsys thermalservice`: Thermal Status: 0."""
    match = re.search(r"Thermal Status: *([0-9]{1,9})\b", text)
    return _THERMAL[min(int(match[1]), len(_THERMAL) - 1)] if match else ""


def _battery(text: str) -> JsonValue:
    """Android's `dumpsys battery`: level in per cent, temperature in tenths of a degree."""
    fields = dict(re.findall(r"^[ \t]*(level|temperature|USB powered|AC powered): *(\S+)$", text, re.MULTILINE))
    battery: dict[str, JsonValue] = {}
    for level in _numbers([fields.get("level", "")], 0, 100):
        battery["level"] = level
    for tenths in _numbers([fields.get("temperature", "")], -1000, 3000):
        battery["celsius"] = tenths / 10
    if "true" in (fields.get("USB powered"), fields.get("AC powered")):
        battery["charging"] = True
    return battery
