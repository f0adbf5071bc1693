"""The apk: built without Gradle, signed, verified; what is missing is named."""

from __future__ import annotations

import json
import re
import shutil
import struct
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml

from android_demo import build, package, parts, tools
from edge import app_assets
from pose import card as cards
from pose import weights
from pose.card import Card
from pose.errors import BackendError, InputError
from pose.files import sha256

BUNDLED = weights.bundled() / f"{weights.DEFAULT}-tflite-int8.tflite"
MOST = 25_000_000  # bytes
LIBRARIES = {
    "tflite": ["libjnijavacpp.so", "libjnitensorflowlite.so"],
    "executorch": ["libc++_shared.so", "libexecutorch.so", "libfbjni.so"],
}


def elf(alignment: int, count: int = 2) -> bytes:
    """The head of a 64-bit ELF library with LOAD segments of that alignment."""
    head = bytearray(64)
    head[:5] = b"\x7fELF\x02"
    struct.pack_into("<Q", head, 32, 64)
    struct.pack_into("<HH", head, 54, 56, count)
    return bytes(head) + b"".join(struct.pack("<II6Q", 1, 5, 0, 0, 0, 0, 0, alignment) for _ in range(count))


@pytest.mark.minutes
@pytest.mark.xdist_group("android")
@pytest.mark.parametrize("runtime", parts.RUNTIMES)
def test_the_apk_is_built_and_verified(runtime: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if runtime == "executorch":
        pytest.importorskip("executorch")
    try:
        tools.require(tools.FOR_BUILDS)
        parts.fetch(runtime)
    except BackendError as error:
        pytest.skip(f"the apk: {error}")
    sizes = build.build(tmp_path / "demo.apk", runtime)
    assert ("made by a newer ExecuTorch" in capsys.readouterr().err) == (runtime == "executorch")
    assert (tmp_path / "demo.apk").stat().st_size < MOST
    tools.run("apksigner", "verify", "--min-sdk-version", "26", tmp_path / "demo.apk")
    badging = tools.run("aapt2", "dump", "badging", tmp_path / "demo.apk")
    for line in ("sdkVersion:'26'", "targetSdkVersion:'34'", "native-code: 'arm64-v8a'", "android.permission.CAMERA"):
        assert line in badging
    with zipfile.ZipFile(tmp_path / "demo.apk") as apk:
        libraries = [name for name in sizes if name.endswith(".so")]
        for name in libraries:
            package.require_large_pages(name, apk.read(name))
        cards = [json.loads(apk.read(name)) for name in sizes if name.endswith(app_assets.CARD)]
    assert sorted(Path(name).name for name in libraries) == LIBRARIES[runtime]
    assert "int8" in {Card.model_validate(card).precision for card in cards}


def test_missing_programs_are_named_with_their_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(
        BackendError, match=r"javac, .*dexdump are not installed; apt install openjdk-17-jdk-headless .*dexdump"
    ):
        tools.require(tools.FOR_BUILDS)
    with pytest.raises(BackendError, match=r"^mvn is not installed; apt install maven$"):
        tools.run("mvn", "-v")


def test_a_failed_step_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(BackendError, match=r"^sh failed with status 3: this is the error: of it$"):
        tools.run("sh", "-c", "echo one; echo 'this is the error: of it'; echo two; exit 3")


def test_an_old_jdk_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "javac").write_text("#!/bin/sh\necho javac 11.0.2\n")
    (tmp_path / "javac").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with pytest.raises(BackendError, match=r"needs JDK 17, javac is javac 11\.0\.2"):
        tools.require(["javac"])


def test_libraries_for_pages_of_4_kb_are_refused() -> None:
    package.require_large_pages("a.so", elf(16384))
    package.require_large_pages("a.so", elf(65536))
    with pytest.raises(BackendError, match=r"a\.so is aligned to 4096 bytes"):
        package.require_large_pages("a.so", elf(4096))
    for damaged in (b"", b"MZ", elf(16384)[:90], elf(16384, count=0)):
        with pytest.raises(BackendError, match=r"a\.so is (damaged|no 64-bit ELF)"):
            package.require_large_pages("a.so", damaged)


def test_assets_are_one_set_of_artefacts_with_cards(tmp_path: Path) -> None:
    folder = tmp_path / app_assets.FOLDER
    folder.mkdir()
    for name in ("old.tflite", f"old.tflite{app_assets.CARD}", "mine.txt"):
        (folder / name).write_text("{}")
    (written,) = app_assets.write_assets([BUNDLED], folder)
    assert {path.name for path in folder.iterdir()} == {BUNDLED.name, written.name, "mine.txt"}
    card = Card.model_validate(json.loads(written.read_text()))
    card.verify_artefact(folder / BUNDLED.name)


def test_an_artefact_that_is_not_that_of_its_card_becomes_no_asset(tmp_path: Path) -> None:
    for path in BUNDLED.parent.glob(f"{BUNDLED.name}*"):
        shutil.copy(path, tmp_path)
    (tmp_path / BUNDLED.name).write_bytes(b"TFL3")
    with pytest.raises(InputError, match="sha256 differs"):
        app_assets.write_assets([tmp_path / BUNDLED.name], tmp_path / "assets")
    assert not (tmp_path / "assets").exists()


def test_a_network_of_queries_becomes_no_asset(tmp_path: Path) -> None:
    shutil.copy(BUNDLED, tmp_path)
    text = cards.card_path(BUNDLED).read_text()
    shapes = {"coords": [1, 100, 2], "scores": [1, 100, 17]}
    fields = yaml.safe_load(text) | {"student": "prtr_r50"}
    fields["outputs"] = [output | {"shape": shapes[output["name"]]} for output in fields["outputs"]]
    cards.card_path(tmp_path / BUNDLED.name).write_text(yaml.safe_dump(fields))
    with pytest.raises(InputError, match="prtr_r50 predicts queries"):
        app_assets.write_assets([tmp_path / BUNDLED.name], tmp_path / "assets")
    assert not (tmp_path / "assets").exists()


def test_where_assets_go_and_for_which_target(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has no AndroidManifest\.xml; name the folder of the app"):
        app_assets.require_app(tmp_path, "tflite")
    app_assets.require_app(parts.HERE, "executorch")
    with pytest.raises(InputError, match="--android is for --target executorch or tflite, not all"):
        app_assets.require_app(parts.HERE, "all")


def test_assets_of_another_runtime_and_none(tmp_path: Path) -> None:
    app_assets.write_assets([BUNDLED], tmp_path / "assets")
    with pytest.raises(InputError, match=r"is for tflite, not executorch; .*build with --runtime tflite"):
        build.stage_assets(tmp_path / "staged", "executorch", tmp_path / "assets")
    with pytest.raises(InputError, match=r"make it with python -m edge\.export --android"):
        build.stage_assets(tmp_path / "staged", "tflite", tmp_path)


def test_assets_that_do_not_match_their_cards_are_not_packed(tmp_path: Path) -> None:
    (path,) = app_assets.write_assets([BUNDLED], tmp_path / "assets")
    (tmp_path / "assets" / BUNDLED.name).write_bytes(b"TFL3")
    with pytest.raises(InputError, match=r"sha256 differs"):
        build.stage_assets(tmp_path / "staged", "tflite", tmp_path / "assets")
    path.write_text("[]")
    with pytest.raises(InputError, match=r"card\.json is not a card"):
        build.stage_assets(tmp_path / "staged", "tflite", tmp_path / "assets")


def test_a_program_of_a_newer_executorch_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (path,) = app_assets.write_assets([BUNDLED], tmp_path)
    described = json.loads(path.read_text())
    (tmp_path / "x.pte").write_bytes(b"ET12")
    described |= {"target": "executorch", "files": {"x.pte": sha256(tmp_path / "x.pte")}}
    for maker, is_named in {"1.10.0": True, "1.2.0": False, "1.1.9": False}.items():
        described["versions"]["executorch"] = maker
        (tmp_path / f"x.pte{app_assets.CARD}").write_text(json.dumps(described))
        build.note_newer_programs(tmp_path, "1.2.0")
        notes = capsys.readouterr().err
        named = f"made by a newer ExecuTorch than the 1.2.0 that this build packs: x.pte by {maker}. "
        assert " ".join(notes.split()).startswith(named) == bool(notes) == is_named
    described["versions"]["executorch"] = "new"
    (tmp_path / f"x.pte{app_assets.CARD}").write_text(json.dumps(described))
    with pytest.raises(InputError, match="names no version of ExecuTorch: Invalid version: 'new'; export"):
        build.note_newer_programs(tmp_path, "1.2.0")


def test_versions_stand_in_one_place() -> None:
    known = parts.properties()
    notice = (parts.HERE / "NOTICE").read_text()
    assert known["tflite.version"].startswith(f"{notice.split('TensorFlow Lite ')[1].split(',')[0]}-")
    for name in ("javacpp.version", "fbjni.version", "nativeloader.version", "executorch.version", "executorch.npm.version"):
        assert known[name] in notice
    libraries = (parts.HERE / "build.gradle").read_text().partition("dependencies {")[2]
    assert not re.search(r"\d\.\d", libraries)
    exporter = tomllib.loads((parts.HERE.parent / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert f"executorch=={known['executorch.version']}" in exporter["executorch"]


def test_java_files_are_short() -> None:
    for path in [*parts.HERE.rglob("*.java"), *Path(__file__).parent.rglob("*.java")]:
        lines = path.read_text().splitlines()
        assert len(lines) <= 400, path
        assert max(map(len, lines)) <= 125, path
