"""What a device is and how it fares: read by one shell script, before a run and after it, and what of that the run suffered.

Everything is read in one round trip, through `sh` and what every Linux and Android has; what is not there is left out. What
only some boards have (`vcgencmd`, `nvpmodel`, `dumpsys`) stands in `targets/boards/*.yaml`.
"""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from edge.devices.base import Device
from targets import boards

SECONDS = 60.0

# f NAME FILE...: the files; c NAME COMMAND...: what the command prints. Each part follows a line '@@ NAME'.
_FUNCTIONS = r"""
t() { printf '@@ %s\n' "$1"; head -c 65536 | tr '\000' ' '; echo; }
f() { n=$1; shift; for i in "$@"; do [ -r "$i" ] && t "$n" <"$i"; done; }
c() { n=$1; shift; command -v "$1" >/dev/null 2>&1 && "$@" </dev/null 2>&1 | t "$n"; }
"""
# The shell's own /proc entry, seen by another process, names the emulator that runs it.
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
}  # fmt: skip
_FEATURES = ("asimd", "asimdhp", "asimddp", "i8mm", "sve", "avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8")
# https://www.raspberrypi.com/documentation/computers/os.html#get_throttled: bits now, and 16 higher since boot
_THROTTLED = ("under-voltage", "clock capped", "throttled", "soft temperature limit")
# android.os.PowerManager.THERMAL_STATUS_*
_THERMAL = ("none", "light", "moderate", "severe", "critical", "emergency", "shutdown")


def read(device: Device) -> dict[str, Any]:
    """The facts of a device, and the name of its board; see `parse`.

    Raises:
        DeviceFailure: it cannot be reached, or has no `sh`.
    """
    text = _run(device, _FUNCTIONS + _GENERIC)
    facts = parse(text)
    more = boards.get(facts["board"]).facts
    calls = [["f", name, file] for name, file in more.files.items()]
    calls += [["c", name, *command] for name, command in more.commands.items()]
    lines = [shlex.join(call) for call in calls]
    return {**facts, **parse_more(_run(device, _FUNCTIONS + "\n".join(lines)))} if lines else facts


def parse(text: str) -> dict[str, Any]:
    """Facts that every Linux, Android or Mac tells; one that it does not tell is missing.

    `model`, `board` (key of `targets.boards`), `soc`, `cpu`, `cores`, `features` (of int8 arithmetic), `architecture`,
    `kernel`, `os`, `memory_mb`, `governor`, `mhz` and `max_mhz` of each core, `celsius` of each zone, `load` (of the last
    minute), `trtexec` (its path) and `emulated`, what gave it away as an emulation, or False.
    """
    parts = _parts(text)
    one = {name: values[0] for name, values in parts.items() if values[0]}
    properties = dict(re.findall(r"^\[(.+?)\]: \[(.*)\]$", one.get("properties", ""), re.MULTILINE))
    android = "ro.build.version.release" in properties
    model = (
        one.get("model") or properties.get("ro.product.model") or one.get("product") or one.get("mac", "").partition("\n")[0]
    )
    kernel = one.get("kernel", "")
    facts: dict[str, Any] = {
        "model": model,
        "board": boards.find(model, "Android" if android else kernel.partition(" ")[0] or "Linux").name,
        "soc": properties.get("ro.soc.model") or one.get("compatible", "").split(" ")[-1].strip(),
        **_processor(one.get("cpuinfo", "")),
        "architecture": kernel.rpartition(" ")[2],
        "kernel": kernel,
        "os": f"Android {properties['ro.build.version.release']}" if android else _system(one.get("os", "")),
        "governor": ", ".join(sorted(set(parts.get("governor", [])))),
        "mhz": [value / 1e3 for value in _numbers(parts.get("khz", []))],
        "max_mhz": [value / 1e3 for value in _numbers(parts.get("max_khz", []))],
        "celsius": [value / 1e3 for value in _numbers(parts.get("zone", []))],
        "trtexec": one.get("trtexec", ""),
    }
    if "mac" in one:
        facts["cpu"] = one["mac"].partition("\n")[2]
    memory = re.search(r"MemTotal:\s+(\d+) kB", one.get("meminfo", ""))
    if memory:
        facts["memory_mb"] = int(memory[1]) // 1024
    known = {name: value for name, value in facts.items() if value not in ("", [], 0)}
    if "loadavg" in one:
        known["load"] = float(one["loadavg"].split()[0])
    return {**known, "emulated": _emulated(one, model)}


def parse_more(text: str) -> dict[str, Any]:
    """What one kind of board tells of itself; that which is not known here by name stays the text that it was."""
    parsers = {
        "throttled": _get_throttled,
        "power_mode": _power_mode,
        "power": _power,
        "thermal": _thermal,
        "battery": _battery,
    }
    facts: dict[str, Any] = {}
    for name, values in _parts(text).items():
        value = parsers[name](values[0]) if name in parsers else " ".join(values[0].split())[:500]
        if value:
            facts[name] = value
    return facts


def warnings(before: dict[str, Any], after: dict[str, Any], clocks: Sequence[dict[str, Any]], threads: int) -> list[str]:
    """What in the facts speaks against a measurement that was made between them.

    Args:
        clocks: `mhz` of each core, as often as the agent looked during the run.
    """
    found = []
    if after["emulated"] or before["emulated"]:
        found.append(f"emulated ({before['emulated'] or after['emulated']}): its times say nothing about a device")
    once, now = before.get("throttled", {}), after.get("throttled", {})
    during = sorted(
        {*now.get("now", []), *once.get("now", [])} | ({*now.get("since_boot", [])} - {*once.get("since_boot", [])})
    )
    if during:
        found.append(f"throttled during the run: {', '.join(during)}; give it its own supply and a heat sink, and run again")
    elif once.get("since_boot"):
        found.append(f"throttled since it was started, before the run: {', '.join(once['since_boot'])}")
    hot = [facts["thermal"] for facts in (before, after) if facts.get("thermal", "none") != "none"]
    if hot:
        found.append(f"throttled: Android's thermal status was {hot[-1]}; let it cool and run again")
    speeds = [max(clock["mhz"]) for clock in clocks if clock.get("mhz")]
    if speeds and min(speeds) < 0.95 * max(speeds):
        found.append(f"the clock went between {min(speeds):.0f} and {max(speeds):.0f} MHz during the run")
    if before.get("power_mode") != after.get("power_mode"):
        found.append(f"the power mode changed during the run, {before.get('power_mode')} to {after.get('power_mode')}")
    governor = before.get("governor", "performance")
    if governor != "performance":
        found.append(f"the governor is {governor}, which changes the clock; sudo cpupower frequency-set -g performance")
    if before.get("load", 0) > before.get("cores", 1) - threads + 0.5:
        found.append(
            f"busy before the run: a load of {before['load']:.1f} on {before['cores']} cores, {threads} to be timed"
        )
    return found


def _run(device: Device, script: str) -> str:
    return "\n".join(device.run(["sh", "-c", script + "\n:"], timeout=SECONDS))


def _parts(text: str) -> dict[str, list[str]]:
    """Name -> what followed each line '@@ name'; noise before the first is dropped."""
    parts: dict[str, list[str]] = {}
    for part in re.split(r"^@@ ", text.replace("\r", ""), flags=re.MULTILINE)[1:]:
        name, _, value = part.partition("\n")
        parts.setdefault(name.strip(), []).append(value.strip())
    return parts


def _numbers(values: Iterable[str]) -> list[int]:
    return [int(value) for value in values if re.fullmatch(r"-?\d+", value)]


def _processor(cpuinfo: str) -> dict[str, Any]:
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


def _emulated(one: dict[str, str], model: str) -> str | bool:
    """What shows it. A wrong yes hides a latency; a wrong no would call an emulator's time one: when in doubt, yes."""
    machine = one.get("kernel", "").rpartition(" ")[2]
    for where in ("cpuinfo", "shell", "kernel"):
        if "qemu" in one.get(where, "").casefold():
            return f"qemu in {where}"
    if re.search("emulated|dummy-virt|qemu|goldfish|ranchu|sdk_gphone", model, re.IGNORECASE):
        return f"model {model}"
    if "[ro.kernel.qemu]: [1]" in one.get("properties", "") or "[ro.boot.qemu]: [1]" in one.get("properties", ""):
        return "Android's emulator"
    if machine in ("aarch64", "armv7l") and re.search(
        "amd64|x86_64|GenuineIntel|AuthenticAMD", one["kernel"] + one.get("cpuinfo", "")
    ):
        return f"{machine} on another machine's kernel"
    return "DISTILPOSE_EMULATED" if one.get("emulated") == "1" else False


def _get_throttled(text: str) -> dict[str, Any]:
    """`vcgencmd get_throttled` of a Raspberry Pi: throttled=0x50005."""
    found = re.search(r"throttled=(0x[0-9a-fA-F]+)", text)
    if not found:
        return {}
    bits = int(found[1], 16)
    now, since = ([name for nth, name in enumerate(_THROTTLED) if bits >> (nth + low) & 1] for low in (0, 16))
    return {"raw": found[1], "now": now, "since_boot": since}


def _power_mode(text: str) -> str:
    """`nvpmodel -q` of a Jetson: NV Power Mode: MAXN."""
    found = re.search(r"NV Power Mode: *(\S+)", text)
    return found[1] if found else ""


def _power(text: str) -> dict[str, float]:
    """Milliwatts of each rail, from a Jetson's `tegrastats`: VDD_IN 5050mW/5050mW, or POM_5V_IN 2466/2466."""
    lines = [line for line in text.splitlines() if "RAM" in line]
    rails = re.findall(r"\b((?:VDD|POM|VIN)\w*) (\d+)(?:mW)?/\d+(?:mW)?", lines[-1] if lines else "")
    return {rail: float(value) for rail, value in rails}


def _thermal(text: str) -> str:
    """Android's `dumpsys thermalservice`: Thermal Status: 0."""
    found = re.search(r"Thermal Status: *(\d+)", text)
    return _THERMAL[min(int(found[1]), len(_THERMAL) - 1)] if found else ""


def _battery(text: str) -> dict[str, Any]:
    """Android's `dumpsys battery`: level in per cent, temperature in tenths of a degree."""
    found = dict(re.findall(r"^\s*(level|temperature|USB powered|AC powered): *(\S+)$", text, re.MULTILINE))
    battery: dict[str, Any] = {}
    if "level" in found:
        battery["level"] = int(found["level"])
    if "temperature" in found:
        battery["celsius"] = int(found["temperature"]) / 10
    if "true" in (found.get("USB powered"), found.get("AC powered")):
        battery["charging"] = True
    return battery
