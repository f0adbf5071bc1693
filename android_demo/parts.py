"""What is fetched for the build: Maven's and npm's packages of `pom.xml`, once, into the user's cache folder."""

from __future__ import annotations

import base64
import hashlib
import io
import re
import shutil
import tarfile
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from android_demo import tools
from pose.cache import cache_folder
from pose.errors import BackendError

HERE = Path(__file__).parent
POM = HERE / "pom.xml"
ABI = "arm64-v8a"
RUNTIMES = ("tflite", "executorch")
# The only classes of JavaCPP's build tools that running code loads; the others need a Java that phones do not have.
_TOOLS = "org/bytedeco/javacpp/tools/"
_KEPT_TOOLS = {f"{_TOOLS}{name}.class" for name in ("InfoMapper", "InfoMap", "Info", "Logger", "Slf4jLogger")}
_PROPERTIES = "org/bytedeco/javacpp/properties/android-arm64.properties"  # JavaCPP reads it at run time


def properties() -> dict[str, str]:
    """The versions in `pom.xml`."""
    block = re.search(r"<properties>(.*?)</properties>", POM.read_text(), re.DOTALL)
    return dict(re.findall(r"<([\w.]+)>([^<]*)</\1>", block[1] if block else ""))


@dataclass(frozen=True)
class Parts:
    """The folder of fetched packages."""

    folder: Path

    @property
    def framework(self) -> Path:
        """Android's classes and resources, API 34."""
        return self.folder / "android-all.jar"

    @property
    def d8(self) -> Path:
        """The compiler of bytecode for Android."""
        return self.folder / "r8.jar"

    def classes(self, runtime: str) -> dict[str, bytes]:
        """Path -> class file of all that a runtime needs on the phone."""
        archives = [self.folder / name for name in _JARS[runtime]]
        content: dict[str, bytes] = {}
        for archive in archives:
            with zipfile.ZipFile(_classes_jar(archive)) as jar:
                content |= {name: jar.read(name) for name in jar.namelist() if _is_packed(name)}
        return content

    def libraries(self, runtime: str) -> dict[str, bytes]:
        """Name -> native library of a runtime for arm64."""
        content: dict[str, bytes] = {}
        for name in _LIBRARIES[runtime]:
            if name.endswith(".so"):
                content[Path(name).name] = (self.folder / name).read_bytes()
                continue
            with zipfile.ZipFile(self.folder / name) as archive:
                for member in archive.namelist():
                    if re.fullmatch(rf"(lib|jni)/{ABI}/[\w+]+\.so", member):
                        content[Path(member).name] = archive.read(member)
        return content

    def resources(self, runtime: str) -> dict[str, bytes]:
        """Path in the apk -> files that Java code of a runtime reads."""
        if runtime != "tflite":
            return {}
        with zipfile.ZipFile(self.folder / "javacpp.jar") as jar:
            return {_PROPERTIES: jar.read(_PROPERTIES)}


_JARS = {
    "tflite": ("tensorflow-lite.jar", "javacpp.jar"),
    "executorch": ("executorch/classes.jar", "fbjni.aar", "nativeloader.jar"),
}
_LIBRARIES = {
    "tflite": ("tensorflow-lite-android-arm64.jar", "javacpp-android-arm64.jar"),
    "executorch": (f"executorch/{ABI}/libexecutorch.so", "fbjni.aar"),
}


def fetch(runtime: str) -> Parts:
    """The packages of a runtime, from the cache or from the registries.

    Raises:
        BackendError: a program is missing, a download failed, or a file is not the one that was pinned.
    """
    pinned = hashlib.sha256(POM.read_bytes()).hexdigest()[:16]
    parts = Parts(cache_folder() / "android" / f"parts-{pinned}")
    if not parts.framework.is_file():
        _fetch_into(parts.folder, "dependency:copy@parts")
    if runtime == "executorch" and not (parts.folder / "executorch").is_dir():
        tools.require(["npm"])
        _fetch_executorch(parts.folder / "executorch")
    return parts


def fetch_testing(parts: Parts) -> Path:
    """The folder of packages that only the tests on the JVM need; errors as `fetch`."""
    folder = parts.folder / "testing"
    if not folder.is_dir():
        _fetch_into(folder, "dependency:copy@testing")
    return folder


def _fetch_into(folder: Path, goal: str) -> None:
    """Run a goal of the pom that fills a folder; the folder appears when it is complete."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        part = Path(temporary) / "parts"
        option = "parts" if goal.endswith("parts") else "testing.parts"
        tools.run("mvn", "-B", "-q", "-C", "-f", POM, f"-D{option}={part}", f"-Dwork={temporary}", goal)
        _place(part, folder)


def _fetch_executorch(folder: Path) -> None:
    """ExecuTorch's Android library and its Java classes, from the npm package that carries them."""
    known = properties()
    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        name = tools.run("npm", "pack", "--silent", known["executorch.npm"], folder=Path(temporary)).split()[-1]
        packed = (Path(temporary) / name).read_bytes()
        digest = "sha512-" + base64.b64encode(hashlib.sha512(packed).digest()).decode()
        if digest != known["executorch.npm.integrity"]:
            raise BackendError(f"{name} is not the package of pom.xml (its sha512 differs); run the build again")
        part = Path(temporary) / "executorch"
        members = {"android/libs/classes.jar": "classes.jar"}
        for abi in (ABI, "x86_64"):  # the second one for the tests on the JVM
            members[f"third-party/android/libs/executorch/{abi}/libexecutorch.so"] = f"{abi}/libexecutorch.so"
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            for member, target in members.items():
                source = archive.extractfile(f"package/{member}")
                if source is None:
                    raise BackendError(f"{name} has no {member}; pin another version in {POM}")
                (part / target).parent.mkdir(parents=True, exist_ok=True)
                (part / target).write_bytes(source.read())
        _place(part, folder)


def _place(part: Path, folder: Path) -> None:
    """Move a complete folder to its place, where another build may have put it meanwhile."""
    try:
        part.rename(folder)
    except OSError:
        if not folder.is_dir():
            raise
        shutil.rmtree(part)


def _classes_jar(archive: Path) -> io.BytesIO:
    """A jar, or that of an .aar."""
    if archive.suffix != ".aar":
        return io.BytesIO(archive.read_bytes())
    with zipfile.ZipFile(archive) as aar:
        return io.BytesIO(aar.read("classes.jar"))


def _is_packed(name: str) -> bool:
    if not name.endswith(".class") or name.startswith("META-INF/") or name == "module-info.class":
        return False
    return not name.startswith(_TOOLS) or name in _KEPT_TOOLS
