"""From compiled parts to a signed apk, and the checks that it has to pass."""

from __future__ import annotations

import shutil
import struct
import tempfile
import zipfile
from pathlib import Path

from android_demo import tools
from android_demo.compiler import MIN_API
from android_demo.parts import ABI
from pose.cache import cache_folder
from pose.errors import BackendError

PAGE = 16384  # bytes of the largest memory page of an Android device
_LOAD, _ALIGNMENT = 1, 48  # ELF: the type of a segment that is mapped, and the offset of p_align in its header
_PASSWORD = "android"  # noqa: S105 - of every debug key


def assemble(base: Path, dex: Path, files: dict[str, bytes], libraries: dict[str, bytes], work: Path) -> Path:
    """An aligned apk without a signature.

    Args:
        files: path in the apk -> content.
        libraries: name -> native library; Android unpacks them when it installs the app.

    Raises:
        BackendError: a library cannot be loaded by devices with pages of 16 KB.
    """
    unaligned, aligned = work / "unaligned.apk", work / "aligned.apk"
    shutil.copyfile(base, unaligned)
    content = {"classes.dex": dex.read_bytes(), **files}
    for name, library in libraries.items():
        require_large_pages(name, library)
        content[f"lib/{ABI}/{name}"] = library
    with zipfile.ZipFile(unaligned, "a", zipfile.ZIP_DEFLATED, compresslevel=9) as apk:
        for name in sorted(content):
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))  # the same content gives the same apk
            entry.compress_type = zipfile.ZIP_DEFLATED
            apk.writestr(entry, content[name])
    tools.run("zipalign", "-f", "4", unaligned, aligned)
    return aligned


def require_large_pages(name: str, library: bytes) -> None:
    """Raises BackendError unless every LOAD segment of a 64-bit ELF library is aligned to 16 KB."""
    try:
        if library[:5] != b"\x7fELF\x02":
            raise BackendError(f"{name} is no 64-bit ELF library; pin another version in android_demo/pom.xml")
        (table,) = struct.unpack_from("<Q", library, 32)
        size, count = struct.unpack_from("<HH", library, 54)
        headers = [table + number * size for number in range(count)]
        loads = [at for at in headers if struct.unpack_from("<I", library, at)[0] == _LOAD]
        least = min(struct.unpack_from("<Q", library, at + _ALIGNMENT)[0] for at in loads)
    except (struct.error, ValueError) as error:
        raise BackendError(f"{name} is damaged ({error}); remove the cache folder and build again") from error
    if least < PAGE:
        raise BackendError(
            f"{name} is aligned to {least} bytes, and devices with pages of 16 KB do not load it; pin a newer version in "
            "android_demo/pom.xml"
        )


def sign(apk: Path, out: Path) -> None:
    """Sign with this user's debug key (schemes v2 and v3) and verify what was written."""
    key = _debug_key()
    secret = ["--ks-pass", f"pass:{_PASSWORD}"]
    tools.run("apksigner", "sign", "--ks", key, *secret, "--min-sdk-version", MIN_API, "--v4-signing-enabled", "false",
              "--out", out, apk)  # fmt: skip
    tools.run("apksigner", "verify", "--min-sdk-version", MIN_API, out)
    tools.run("zipalign", "-c", "4", out)


def require_runnable_dex(dex: Path) -> None:
    """Raises BackendError if the dex file has an instruction that Android of the lowest API level does not know."""
    if "invoke-custom" in tools.run("dexdump", "-d", dex):
        raise BackendError(
            "classes.dex has invoke-custom, which API 26 does not run; is D8 of android_demo/pom.xml too new?"
        )


def _debug_key() -> Path:
    """A key that is made once: an apk only replaces one that was signed with the same key."""
    key = cache_folder() / "android" / "debug.jks"
    if not key.exists():
        key.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=key.parent) as folder:
            part = Path(folder) / key.name
            tools.run("keytool", "-genkeypair", "-keystore", part, "-storepass", _PASSWORD, "-keypass", _PASSWORD,
                      "-alias", "debug", "-keyalg", "RSA", "-keysize", "2048", "-validity", "10000",
                      "-dname", "CN=DistilPose Edge debug")  # fmt: skip
            part.replace(key)
    return key
