"""Android's x86-64 build of ExecuTorch in a desktop JVM: copies of its libraries that glibc's linker loads.

Such a library asks for Android's C library by name and by version. `bionic.c` is built under those names; the versions are
removed from the copies, and functions that glibc has, but with another meaning, are imported under the end of their names.
"""

from __future__ import annotations

import platform
import re
import shutil
import struct
import subprocess
import zipfile
from pathlib import Path

import pytest

from android_demo.parts import Parts

SOURCE = Path(__file__).with_suffix(".c")
BIONIC = "libbionic.so"
NEEDED = ("libc.so", "libm.so", "libdl.so", "liblog.so", "libandroid.so")
ENDINGS = {  # function -> its name in bionic.c, the end of its own
    b"fprintf": b"intf",
    b"vfprintf": b"ntf",
    b"fwrite": b"rite",
    b"fflush": b"lush",
    b"fputc": b"utc",
    b"fputs": b"uts",
    b"ferror": b"rror",
    b"sysconf": b"ysconf",
    b"sigfillset": b"igfillset",
    b"pthread_sigmask": b"thread_sigmask",
    b"strerror_r": b"trerror_r",
}
# ELF: types of segments, entries of the dynamic section, and the sizes of its structures
LOAD, DYNAMIC = 1, 2
STRINGS, SYMBOLS, VERSIONS = 5, 6, (0x6FFFFFF0, 0x6FFFFFFC, 0x6FFFFFFD, 0x6FFFFFFE, 0x6FFFFFFF)
IGNORED = 0x6FFFFEF0  # an entry of a kind that no linker knows
SEGMENT, ENTRY, SYMBOL = 56, 16, 24


def environment(folder: Path) -> dict[str, str]:
    """Variables for a JVM that loads ExecuTorch as it does on a phone."""
    return {"LD_LIBRARY_PATH": str(folder), "LD_PRELOAD": str(folder / BIONIC)}


def make(folder: Path, parts: Parts) -> None:
    """Fill a folder, see `environment`; skips the test on other machines than x86-64 Linux, and without a C compiler."""
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        pytest.skip("ExecuTorch's Android library on this JVM: needs Linux on x86-64")
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("ExecuTorch's Android library on this JVM: no C compiler; apt install gcc")
    folder.mkdir()
    library = folder / BIONIC
    options = ["-shared", "-fPIC", "-O1", "-Wall", "-Wl,--no-as-needed"]
    command = [compiler, *options, "-o", str(library), str(SOURCE), "-lm"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    for name in NEEDED:
        (folder / name).symlink_to(library.name)
    with zipfile.ZipFile(parts.folder / "fbjni.aar") as archive:
        copies = {Path(name).name: archive.read(name) for name in archive.namelist() if re.match(r"jni/x86_64/.*\.so", name)}
    copies["libexecutorch.so"] = (parts.folder / "executorch/x86_64/libexecutorch.so").read_bytes()
    for name, content in copies.items():
        (folder / name).write_bytes(for_glibc(content))


def for_glibc(library: bytes) -> bytes:
    """A library without versions of symbols, and with the imports of `ENDINGS`."""
    content = bytearray(library)
    (table,) = struct.unpack_from("<Q", content, 32)
    (count,) = struct.unpack_from("<H", content, 56)
    # type, flags, offset in the file, address, physical address, size in the file, ...
    segments = [struct.unpack_from("<2I6Q", content, table + number * SEGMENT) for number in range(count)]

    def offset(address: int) -> int:
        return next(one[2] + address - one[3] for one in segments if one[0] == LOAD and one[3] <= address < one[3] + one[5])

    dynamic = next(one for one in segments if one[0] == DYNAMIC)
    values = {}
    for at in range(dynamic[2], dynamic[2] + dynamic[5], ENTRY):
        kind, value = struct.unpack_from("<2Q", content, at)
        values.setdefault(kind, value)
        if kind in VERSIONS:
            struct.pack_into("<Q", content, at, IGNORED)
    strings, symbols = offset(values[STRINGS]), offset(values[SYMBOLS])
    end_of_symbols = offset(values[VERSIONS[0]])  # nothing states their number; the linker of the NDK puts versions next
    for at in range(symbols, end_of_symbols - SYMBOL + 1, SYMBOL):
        name, section = struct.unpack_from("<I2xH", content, at)
        end = content.index(0, strings + name)
        full = bytes(content[strings + name : end])
        if section == 0 and full in ENDINGS:
            struct.pack_into("<I", content, at, name + len(full) - len(ENDINGS[full]))
    return bytes(content)
