"""From the sources to what is packed: resources, class files, and a dex file. Every step writes into one working folder."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

from android_demo import tools
from android_demo.parts import HERE, Parts, properties
from edge.app_assets import MANIFEST

PACKAGE = "org.distilpose.demo"
MIN_API, TARGET_API = "26", "34"


def link_resources(work: Path, assets: Path, parts: Parts) -> Path:
    """An apk with the manifest, resources and assets, but without code; writes R.java, too."""
    manifest, generated = work / MANIFEST, fresh(work / "generated")
    text = (HERE / MANIFEST).read_text()  # Gradle takes the package from build.gradle, aapt2 from here
    manifest.write_text(text.replace("<manifest ", f'<manifest package="{PACKAGE}" ', 1))
    tools.run("aapt2", "compile", "--dir", HERE / "res", "-o", work / "resources.zip")
    api = ["--min-sdk-version", MIN_API, "--target-sdk-version", TARGET_API]
    out = work / "base.apk"
    places: list[str | Path] = ["-I", parts.framework, "--manifest", manifest, "--java", generated, "-A", assets, "-o", out]
    tools.run("aapt2", "link", *api, *places, work / "resources.zip")
    return out


def compile_classes(work: Path, parts: Parts, runtime: str) -> tuple[Path, Path]:
    """Folders of class files: the app's own, and those of the runtime that are packed with it."""
    own, packed = fresh(work / "classes"), fresh(work / "packed")
    for name, content in parts.classes(runtime).items():
        (packed / name).parent.mkdir(parents=True, exist_ok=True)
        (packed / name).write_bytes(content)
    if runtime == "executorch":
        _write_version(work / "generated")
    folders = [HERE / "java" / "main", HERE / "java" / runtime, work / "generated"]
    sources = sorted(source for folder in folders for source in folder.rglob("*.java"))
    options = ["-Xlint:all,-options,-classfile,-deprecation,-serial", "-Werror", "--release", "17", "-encoding", "UTF-8"]
    tools.run("javac", *options, "-cp", f"{parts.framework}:{packed}", "-d", own, *sources)
    return own, packed


def _write_version(generated: Path) -> None:
    """The class in which Gradle keeps constants of a build: ExecuTorch's library does not tell its version."""
    folder = generated.joinpath(*PACKAGE.split("."))
    folder.mkdir(parents=True, exist_ok=True)
    constant = f'static final String EXECUTORCH_VERSION = "{properties()["executorch.npm.version"]}";'
    (folder / "BuildConfig.java").write_text(f"package {PACKAGE};\n\nfinal class BuildConfig {{\n    {constant}\n}}\n")


def make_dex(work: Path, own: Path, packed: Path, parts: Parts) -> Path:
    """`classes.dex` of both folders; D8 rewrites what API 26 does not have: lambdas, string concatenation."""
    jar = work / "classes.jar"
    with zipfile.ZipFile(jar, "w") as archive:
        for folder in (own, packed):
            for path in sorted(folder.rglob("*.class")):
                archive.write(path, path.relative_to(folder))
    libraries: list[str | Path] = ["--lib", tools.java_home(), "--lib", parts.framework]  # the framework has no java.lang
    java = ["-Xmx1g", "-XX:TieredStopAtLevel=1", "-cp", str(parts.d8), "com.android.tools.r8.D8"]
    tools.run("java", *java, "--release", "--min-api", MIN_API, *libraries, "--output", fresh(work / "dex"), jar)
    return work / "dex" / "classes.dex"


def fresh(folder: Path) -> Path:
    """The folder, empty."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
