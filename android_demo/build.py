"""`python -m android_demo.build`: the signed apk of the demo, without Gradle and without Google's SDK.

The steps are javac, D8, aapt2, zipalign and apksigner. What they need beside these programs is fetched once, see
`android_demo.parts`.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from pose import cli
from pose.errors import BackendError, InputError

if TYPE_CHECKING:
    from pose.card import Card

HERE = Path(__file__).parent


def build(out: Path, runtime: str, assets: Path | None = None) -> dict[str, int]:
    """Build, sign and verify the app.

    Args:
        runtime: `tflite` or `executorch`.
        assets: what `edge.export --android` wrote [default: the bundled student].

    Returns:
        Path in the apk -> bytes that it takes there.

    Raises:
        InputError: the assets hold no model of that runtime, a card is not that of its file, or `out` cannot be written.
        BackendError: a program or a package is missing, or a step failed.
    """
    from android_demo import compiler, package, parts, tools

    tools.require(tools.FOR_BUILDS)
    with tempfile.TemporaryDirectory() as folder, cli.progress("Building", 6) as step:
        work = Path(folder)
        fetched = parts.fetch(runtime)
        step(1)
        staged = stage_assets(work / "assets", runtime, assets)
        note_newer_programs(staged, parts.properties()["executorch.npm.version"])
        base = compiler.link_resources(work, staged, fetched)
        own, packed = compiler.compile_classes(work, fetched, runtime)
        step(2)
        dex = compiler.make_dex(work, own, packed, fetched)
        package.require_runnable_dex(dex)
        step(4)
        aligned = package.assemble(base, dex, fetched.resources(runtime), fetched.libraries(runtime), work)
        package.sign(aligned, work / "signed.apk")
        step(6)
        _write(work / "signed.apk", out)
    return _sizes(out)


def stage_assets(folder: Path, runtime: str, assets: Path | None) -> Path:
    """A folder with the model's files and the licences of what is packed.

    Raises:
        InputError: see `build`.
    """
    from edge.app_assets import CARD

    chosen = HERE / "assets" if assets is None else assets
    if any(chosen.glob(f"*{CARD}")):
        _require_runtime(chosen, runtime)
        shutil.copytree(chosen, folder)
    elif assets is None:
        write_bundled(folder, runtime)
    else:
        raise InputError(f"{assets} has no {CARD} file; make it with python -m edge.export --android")
    shutil.copyfile(HERE / "NOTICE", folder / "NOTICE")
    return folder


def write_bundled(folder: Path, runtime: str) -> None:
    """The bundled student as assets: int8, and float where it can be lowered or was."""
    from edge.app_assets import write_assets
    from edge.predict.student import artefact_path, twin_path

    int8 = artefact_path(target=runtime)
    artefacts = [int8]
    try:
        artefacts.append(twin_path(int8, "fp32"))
    except BackendError as error:
        cli.note(f"without its float twin: {error}")
    write_assets(artefacts, folder)


def note_newer_programs(assets: Path, packed: str) -> None:
    """Say which `.pte` files a newer ExecuTorch made than the packed one, and what happens then.

    Args:
        packed: version of ExecuTorch in the app.

    Raises:
        InputError: a card names a version that is none.
    """
    from packaging.version import InvalidVersion, Version

    makers = {
        artefact.name: card.versions.get("executorch", packed)
        for artefact, card in _cards(assets).items()
        if card.target == "executorch"
    }
    try:
        newer = [f"{name} by {maker}" for name, maker in makers.items() if Version(maker) > Version(packed)]
    except InvalidVersion as error:
        raise InputError(f"a card in {assets} names no version of ExecuTorch: {error}; export the artefact again") from error
    if newer:
        cli.note(
            f"made by a newer ExecuTorch than the {packed} that this build packs: {', '.join(newer)}. The app says so if it "
            "cannot run them; a build with Android Studio packs the exporter's version"
        )


def _cards(assets: Path) -> dict[Path, Card]:
    """Artefact -> card.

    Raises:
        InputError: a card is damaged, or another file's.
    """
    from edge.app_assets import CARD
    from pose import card as cards

    described = {path.with_name(path.name.removesuffix(CARD)): cards.read(path) for path in sorted(assets.glob(f"*{CARD}"))}
    for artefact, card in described.items():
        card.verify_artefact(artefact)
    return described


def _require_runtime(assets: Path, runtime: str) -> None:
    """Raises InputError if the assets are for another runtime."""
    for artefact, card in _cards(assets).items():
        if card.target != runtime:
            raise InputError(
                f"{artefact} is for {card.target}, not {runtime}; export with --target {runtime}, or build with "
                f"--runtime {card.target}"
            )


def _write(apk: Path, out: Path) -> None:
    from pose.files import atomic_file

    with atomic_file(out) as temporary:
        shutil.copyfile(apk, temporary)


def _sizes(apk: Path) -> dict[str, int]:
    import zipfile

    with zipfile.ZipFile(apk) as archive:
        return {entry.filename: entry.compress_size for entry in archive.infolist()}


def main(
    out: Annotated[Path, typer.Option(metavar="FILE", help="The apk.", callback=cli.writable), cli.Writes()] = Path(
        "demo.apk"
    ),
    runtime: Annotated[Literal["tflite", "executorch"], typer.Option(help="The runtime that is packed.")] = "tflite",
    assets: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="Of edge.export --android [default: android_demo/assets, or the bundled student]."
        ),
    ] = None,
) -> None:
    """Build the Android app, signed with a debug key; needs a JDK, Maven, aapt2, zipalign, apksigner and dexdump."""
    from rich.table import Table

    sizes = build(out, runtime, assets)
    table = Table("in the apk", "MB")
    for name, size in sorted(sizes.items(), key=lambda item: -item[1]):
        if size >= 100_000:
            table.add_row(name, f"{size / 1e6:.2f}")
    cli.console().print(table)
    cli.console().print(f"{out}: {out.stat().st_size / 1e6:.1f} MB; install it with: adb install -r {out}")


if __name__ == "__main__":
    cli.run(main, "android_demo.build", "python -m android_demo.build --out demo.apk")
