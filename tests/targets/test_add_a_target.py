"""docs/add-a-target.md: the backend on that page works, from a folder outside the repository, as the page says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from documents import DOCS, code_blocks

from pose import card as cards
from pose.errors import BackendError, InputError
from pose.program import load_program
from targets import base

BACKEND, USAGE = code_blocks("add-a-target.md", "python")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "ort.py").write_text(BACKEND)
    (tmp_path / "mine" / "notes.py").write_text("raise AssertionError('has no SPEC and is not imported')")
    return tmp_path / "mine"


@pytest.fixture
def backend(own_specs: None, folder: Path, monkeypatch: pytest.MonkeyPatch) -> base.Target:
    monkeypatch.setenv(base.VARIABLE, str(folder))
    for module in base._modules():
        base.register(module.SPEC)
    return base.get("ort")


def python(folder: Path, *arguments: str) -> str:
    environment = {**os.environ, base.VARIABLE: str(folder)}
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=DOCS.parent, env=environment, capture_output=True, text=True, check=True).stdout


def test_commands_find_it_without_importing_a_toolchain(folder: Path) -> None:
    code = """
import sys
from targets import base, common
print(*base.lowered_names(), *{"torch", "numpy", "cv2", "onnx", "onnxruntime"} & sys.modules.keys())
"""
    assert python(folder, "-c", code).split() == [*base.lowered_names(), "ort"]


def test_the_example_runs(
    backend: base.Target,
    tiny_program: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("pose.weights.bundled", lambda: tiny_program)
    monkeypatch.chdir(tmp_path)
    exec(compile(USAGE, "add-a-target.md", "exec"), {})
    lines = capsys.readouterr().out.splitlines()
    assert Path(lines[0]) == Path("dist/tiny-ort-int8.ort")
    assert float(lines[1].split()[2]) < 0.5
    card = cards.read(cards.card_path(tmp_path / lines[0]))
    assert (card.target, card.precision, base.variant_name(card)) == ("ort", "int8", "ort")
    assert {"onnx", "onnxscript", "onnxruntime"} <= set(card.versions)
    assert card.metrics == {"lint": [], "fusion": "extended"}


def test_the_commands_of_edge_treat_it_like_a_built_in_one(folder: Path, tiny_program: Path, tmp_path: Path) -> None:
    out = tmp_path / "dist"
    artefact = out / "tiny-ort-basic-int8.ort"
    for module, arguments in (
        ("edge.export", ["--target", "ort", "--fusion", "basic", "--program", str(tiny_program), "--out", str(out)]),
        ("edge.check", ["--artefact", str(artefact), "--limit", "2", "--json", str(out / "check.json")]),
        ("edge.bench", ["--artefact", str(artefact), "--json", str(out / "bench.json")]),
    ):
        python(folder, "-m", module, *arguments)
    check, bench = (json.loads((out / name).read_text()) for name in ("check.json", "bench.json"))
    assert (check["target"], check["precision"]) == ("ort", "int8")
    assert check["float_twin"]["bytes"] == (out / "tiny-ort-basic-fp32.ort").stat().st_size
    assert bench["devices"][0]["error"] is None
    assert bench["devices"][0]["int8"]["golden_px"] < 0.5


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_float_artefacts_answer_as_the_program(backend: base.Target, tiny_program: Path, tmp_path: Path, precision) -> None:
    program = load_program(tiny_program)
    artefact = backend.lower(program, tmp_path, precision, fusion="basic")  # type: ignore[call-arg]
    assert artefact.path.name == f"tiny-ort-basic-{precision}.ort"
    assert base.variant_name(artefact.card) == "ort-basic"
    crops = np.random.default_rng(0).integers(0, 256, (2, 64, 48, 3), np.uint8)
    answers = [base.open_artefact(path).predict(crops) for path in (artefact.path, program.path("fp32"))]
    np.testing.assert_allclose(answers[0][0], answers[1][0], atol=1e-5 if precision == "fp32" else 2e-3)


def test_a_wrong_option_and_a_damaged_file_are_refused(backend: base.Target, tiny_program: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no fusion 'all'; choose one of extended, basic"):
        backend.lower(load_program(tiny_program), tmp_path, "int8", fusion="all")  # type: ignore[call-arg]
    artefact = backend.lower(load_program(tiny_program), tmp_path, "int8")
    artefact.path.write_bytes(b"no model")
    with pytest.raises(InputError, match="sha256 differs"):
        base.open_artefact(artefact.path)
    artefact.card.model_copy(update={"files": {artefact.path.name: cards.digest(artefact.path)}}).write(
        cards.card_path(artefact.path)
    )
    with pytest.raises(BackendError, match="ONNX Runtime refuses"):
        base.open_artefact(artefact.path)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("import abacus_toolkit\nSPEC = 1\n", "ModuleNotFoundError: No module named 'abacus_toolkit'"),
        ("SPEC = 1\n", "its SPEC is not a targets.spec.TargetSpec"),
    ],
)
def test_a_file_that_cannot_be_loaded_is_reported_where_a_target_is_missing(folder: Path, text: str, reason: str) -> None:
    (folder / "broken.py").write_text(text)
    code = """
from targets import base
for name in ("ort", "broken"):
    try:
        print(base.get_spec(name).name)
    except Exception as error:
        print(error)
"""
    assert python(folder, "-c", code).splitlines() == [
        "ort",
        f"cannot load the backend {folder / 'broken.py'}: {reason}",
    ]
    assert "is not a folder" in python(folder / "nowhere", "-c", code)
