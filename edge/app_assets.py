"""Artefacts as assets of the Android app: each file with its card as JSON beside it, golden crop and answer included."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from pose import card as cards
from pose.errors import InputError
from pose.files import atomic_file, write_text

FOLDER, CARD, MANIFEST = "assets", ".card.json", "AndroidManifest.xml"
TARGETS = ("executorch", "tflite")  # whose runtimes the app packs


def require_app(app: Path, target: str) -> None:
    """Raises InputError unless `app` is the folder of the app, and the app runs artefacts of that target."""
    if not (app / MANIFEST).is_file():
        raise InputError(f"{app} has no {MANIFEST}; name the folder of the app: --android android_demo")
    if target not in TARGETS:
        raise InputError(f"--android is for --target {' or '.join(TARGETS)}, not {target}; leave it out")


def write_assets(artefacts: Sequence[Path], folder: Path) -> list[Path]:
    """Put artefacts and their cards into a folder of assets, in the place of those that are there; returns the cards.

    Raises:
        InputError: an artefact is not the file of its card or predicts queries, or a file cannot be read or written.
    """
    described = {artefact: cards.read(cards.card_path(artefact)) for artefact in artefacts}
    for artefact, card in described.items():
        if card.queries:
            raise InputError(f"--android: the app draws networks that predict joints, and {card.student} predicts queries")
        card.verify_artefact(artefact)
    old = list(folder.glob(f"*{CARD}")) if folder.is_dir() else []
    for one in old:
        one.with_name(one.name.removesuffix(CARD)).unlink(missing_ok=True)
        one.unlink()
    written = []
    for artefact, card in described.items():
        with atomic_file(folder / artefact.name) as temporary:
            shutil.copyfile(artefact, temporary)
        path = folder / (artefact.name + CARD)
        write_text(path, json.dumps(card.model_dump(mode="json")) + "\n")
        written.append(path)
    return written
