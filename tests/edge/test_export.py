"""What edge.export writes, for one target and for all, and what it leaves alone."""

from __future__ import annotations

import errno
import inspect
import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from quantized_student import quantized_student
from tiny_network import make_program

from calib_data.synthetic import SyntheticPeople
from edge import dist, run
from edge.evaluate.check import check_all
from edge.export import export, export_all, with_target_options
from edge.export import main as export_command
from pose import card as cards
from pose.card import Card
from pose.errors import BackendError, InputError
from pose.program import load_program
from pose.skeleton import LSP_14
from targets import base, spec
from targets.spec import Option, TargetSpec

pytestmark = pytest.mark.minutes

ROOT = Path(__file__).parents[2]
Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Path], dict[str, str]]:
    """A folder with a program of 14 keypoints lowered to all targets, what was made and what was left out."""
    program = make_program(tmp_path_factory.mktemp("program"), skeleton=LSP_14)
    folder = tmp_path_factory.mktemp("all")
    return folder, *export_all(program.folder, "int8", folder)


def test_all_targets_that_take_the_program_get_it(everything: tuple[Path, list[Path], dict[str, str]]) -> None:
    folder, made, left_out = everything
    cardful = [cards.read(cards.card_path(path)) for path in made]
    takers = [target for target in base.lowered_names() if target != "tensorrt"]
    assert [card.target for card in cardful] == [target for target in takers for _ in range(2)]
    assert [card.precision for card in cardful] == ["int8", "fp32"] * len(takers)
    assert list(left_out) == ["tensorrt"]
    assert "zero point" in left_out["tensorrt"]
    first = dist.find(made[0])
    assert [sibling.path.name for sibling in first.siblings] == [path.name for path in made[::2]]
    assert first.program.card.student == "tiny"
    assert {path.name for path in folder.iterdir()} == {
        "tiny.program", *(path.name for path in made), *(cards.card_path(path).name for path in made)
    }  # fmt: skip


def test_what_all_targets_got_answers_as_the_program(everything: tuple[Path, list[Path], dict[str, str]]) -> None:
    _, made, _ = everything
    folder = dist.Dist(made[0].parent)
    results = check_all([folder.artefact(path) for path in made[::2]], SyntheticPeople(4))
    assert list(results) == [target for target in base.lowered_names() if target != "tensorrt"]
    for name, result in results.items():
        assert set(result.lowered.per_joint_px) == set(LSP_14.joints)
        assert result.lowered.fake_quant_px.p99 <= 2, name
        assert result.float_twin.torch_px.p99 <= 0.05, name


def test_an_existing_float_twin_is_kept(dist_folder: Path, tiny_program: Path, tmp_path: Path) -> None:
    before = {path.name: path.stat().st_mtime_ns for path in dist_folder.iterdir()}
    export(tiny_program, "executorch", "int8", dist_folder)
    after = {path.name: path.stat().st_mtime_ns for path in dist_folder.iterdir()}
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"tiny-executorch-int8.pte", "tiny-executorch-int8.pte.card.yaml", "tiny.program"}


def test_a_float_twin_of_the_same_graph_gets_the_card_of_its_new_program(
    dist_folder: Path, tiny_program: Path, tmp_path: Path
) -> None:
    again = Path(shutil.copytree(tiny_program, tmp_path / "again"))
    held = yaml.safe_load((again / "card.yaml").read_text())
    held["sources"]["training data"] = "a" * 64
    (again / "card.yaml").write_text(yaml.safe_dump(held))
    twin = dist_folder / "tiny-executorch-fp32.pte"
    before, old = twin.stat().st_mtime_ns, cards.read(cards.card_path(twin))
    export(again, "executorch", "fp32", dist_folder)
    new = cards.read(cards.card_path(twin))
    assert twin.stat().st_mtime_ns == before
    assert new.sources == {**old.sources, "training data": "a" * 64}
    assert new.golden.expected == old.golden.expected
    new.verify(twin)


@pytest.mark.parametrize("reason", ["damaged", "another graph", "other libraries"])
def test_a_float_twin_that_is_not_what_would_be_made_is_made_anew(
    dist_folder: Path, tiny_program: Path, tmp_path: Path, reason: str
) -> None:
    twin = dist_folder / "tiny-executorch-fp32.pte"
    card = cards.card_path(twin)
    if reason == "damaged":
        twin.write_bytes(twin.read_bytes()[:-1])
    else:
        held = yaml.safe_load(card.read_text())
        held["sources" if reason == "another graph" else "versions"].update({"program": "b" * 64, "executorch": "0.1"})
        card.write_text(yaml.safe_dump(held))
    export(tiny_program, "executorch", "fp32", dist_folder)
    made = cards.read(card)
    made.verify(twin)
    assert made.sources["program"] == load_program(tiny_program).card.files["student_fp32.pt2"]
    assert made.versions["executorch"] != "0.1"


def test_delegates_have_artefacts_of_their_own(dist_folder: Path, tiny_program: Path) -> None:
    made = export(tiny_program, "executorch", "fp32", dist_folder, {"delegate": "vulkan"})
    assert [path.name for path in made] == ["tiny-executorch-vulkan-fp32.pte"]
    assert cards.read(cards.card_path(made[0])).metrics["lowered"] == "not run here"
    folder = dist.Dist(dist_folder)
    own, vulkan = folder.artefact(dist_folder / "tiny-executorch-int8.pte"), folder.artefact(made[0])
    assert own.twin("fp32").path.name == "tiny-executorch-fp32.pte"
    assert vulkan.twin("fp32") is vulkan
    with pytest.raises(InputError, match="no int8 artefact of the same program"):
        vulkan.twin("int8")
    assert folder.latest() is own
    assert vulkan not in own.twin("fp32").siblings
    with pytest.raises(BackendError, match="not run here"):
        run.open(made[0])


def test_bytes_and_floats_have_artefacts_of_their_own(dist_folder: Path) -> None:
    made = {}
    for pixels in ("float32", "uint8"):
        for precision in ("int8", "fp32"):
            own = dist_folder / f"tiny-executorch-{precision}.pte"
            path = Path(shutil.copy(own, dist_folder / f"tiny-tflite-{pixels}-{precision}.tflite"))
            card = cards.read(cards.card_path(own))
            camera = card.input.model_copy(update={"dtype": pixels})
            changes = {"target": "tflite", "input": camera, "files": {path.name: cards.digest(path)}}
            card.model_copy(update=changes).write(cards.card_path(path))
            made[pixels, precision] = path
    folder = dist.Dist(dist_folder)
    for pixels in ("float32", "uint8"):
        assert folder.artefact(made[pixels, "int8"]).twin("fp32").path == made[pixels, "fp32"]
    variants = [sibling.variant for sibling in folder.artefact(made["uint8", "int8"]).siblings]
    assert variants == ["executorch", "tflite", "tflite-float32"]


def test_both_arithmetics_of_core_ml_share_a_float_twin(tiny_program: Path, tmp_path: Path, capsys) -> None:
    export_command("coreml", tiny_program, out=tmp_path)
    assert "--compute float16 is for the Neural Engine" in capsys.readouterr().err
    export_command("coreml", tiny_program, compute="float16", out=tmp_path)
    assert "Neural Engine" not in capsys.readouterr().err
    exact, half, twin = (tmp_path / f"tiny-coreml-{name}.mlpackage" for name in ("int8", "float16-int8", "fp32"))
    folder = dist.Dist(tmp_path)
    assert {path for path in folder.paths if path.suffix == ".mlpackage"} == {exact, half, twin}
    artefacts = [folder.artefact(path) for path in (exact, half, twin)]
    assert [artefact.twin("fp32").path for artefact in artefacts] == [twin] * 3
    assert [artefact.twin("int8").path for artefact in artefacts] == [exact, half, exact]
    assert [sibling.path for sibling in folder.artefact(half).siblings] == [exact, half]


def test_the_options_are_those_of_the_targets() -> None:
    names = [option.name for spec in base.SPECS.values() for option in spec.options]
    assert set(names) <= set(inspect.signature(export_command).parameters)


def test_a_target_from_outside_is_offered_with_its_options(
    tiny_program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    beads = Option("beads", ("seven", "ten"), "ten", "metrics.beads", "Abacus: beads of a rod.", ("int8",))
    monkeypatch.setattr(base, "SPECS", base.SPECS)
    monkeypatch.setitem(base.SPECS, "abacus", TargetSpec("abacus", "abacus", ".abacus", needs=("abacus",), options=(beads,)))
    assert "abacus" in base.lowered_names()
    command = with_target_options(lambda **options: None)
    assert "beads" in inspect.signature(command).parameters
    with pytest.raises(InputError, match="--beads seven is for --target abacus, not onnx"):
        export(tiny_program, "onnx", "int8", tmp_path / "out", {"beads": "seven"})
    with pytest.raises(BackendError, match="target abacus needs abacus"):
        export(tiny_program, "abacus", "int8", tmp_path / "out", {"beads": "seven"})


def test_lint_and_coverage_are_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    program = quantized_student(tmp_path / "program", "symmetric")
    export_command("tensorrt", program.folder, out=tmp_path / "dist", json=tmp_path / "export.json")
    printed = " ".join(capsys.readouterr().out.split())
    rows = json.loads((tmp_path / "export.json").read_text())["artefacts"]
    assert [(row["target"], row["precision"]) for row in rows] == [("tensorrt", "int8"), ("tensorrt", "fp32")]
    assert "tensorrt, in delegates: " in printed
    assert rows[0]["lint"]
    for finding in rows[0]["lint"]:
        assert f"tensorrt, {finding['severity']}: {finding['message']}" in printed
    for kernel, count in rows[0]["coverage"]["delegated"].items():
        assert f"{count} {kernel}" in printed


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--target", "executorch", "--delegate", "abacus"], ["--delegate", "abacus", "vulkan"]),
        (["--target", "onnx", "--delegate", "vulkan"], ["--delegate vulkan is for --target executorch, not onnx"]),
        (["--target", "all", "--input", "float32"], ["--input float32 is for --target tflite"]),
        (["--target", "coreml", "--precision", "fp16", "--compute", "float32"], ["--compute float32", "int8, not fp16"]),
    ],
)
def test_choices_that_a_target_does_not_have(command: Command, tmp_path: Path, flags: list[str], words: list[str]) -> None:
    answer = command("edge.export", *flags, "--out", tmp_path / "out")
    assert answer.returncode == 2
    assert len(answer.stderr.splitlines()) == 1
    assert not [word for word in words if word not in answer.stderr], answer.stderr
    assert not (tmp_path / "out").exists()


def test_a_missing_toolchain_is_reported_before_anything_is_written(
    tiny_program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spec, "find_spec", lambda name: None if name == "coremltools" else True)
    for lower in (
        lambda out: export_all(tiny_program, "int8", out),
        lambda out: export(tiny_program, "coreml", "int8", out),
    ):
        with pytest.raises(
            BackendError, match=r"^target coreml needs coremltools; pip install 'distilpose-edge\[coreml\]'$"
        ):
            lower(tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda folder: (folder / "card.yaml").unlink(), "card.yaml"),
        (lambda folder: (folder / "student_int8.pt2").unlink(), "student_int8.pt2 is missing"),
        (lambda folder: _cut(folder / "student_int8.pt2"), "sha256 differs"),
        (lambda folder: _edit(folder / "card.yaml", schema_version=1), "schema version 1"),
        (lambda folder: _edit(folder / "card.yaml", skeleton="lsp14"), "lsp14"),
    ],
)
def test_a_program_that_is_not_whole_is_not_lowered(
    tiny_program: Path, tmp_path: Path, damage: Callable[[Path], None], words: str
) -> None:
    program = Path(shutil.copytree(tiny_program, tmp_path / "program"))
    damage(program)
    for lower in (lambda out: export_all(program, "int8", out), lambda out: export(program, "onnx", "int8", out)):
        with pytest.raises(InputError, match=words) as caught:
            lower(tmp_path / "out")
        assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_a_program_of_any_batch_is_refused(tiny_program: Path, tmp_path: Path) -> None:
    import torch
    from tiny_network import SHAPE, Tiny

    program = Path(shutil.copytree(tiny_program, tmp_path / "program"))
    batch = {"images": {0: torch.export.Dim("batch", min=1, max=8)}}
    graph = torch.export.export(Tiny().eval(), (torch.zeros(2, *SHAPE[1:]),), dynamic_shapes=batch)
    torch.export.save(graph, program / "student_fp32.pt2")
    card = cards.read(program / "card.yaml")
    files = {**card.files, "student_fp32.pt2": cards.digest(program / "student_fp32.pt2")}
    card.model_copy(update={"files": files}).write(program / "card.yaml")
    with pytest.raises(InputError, match=r"student_fp32\.pt2 is not loaded: its batch is dynamic") as caught:
        export(program, "onnx", "fp32", tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert not list((tmp_path / "out").iterdir())


def test_a_disk_that_fills_leaves_nothing(tiny_program: Path, tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, hard))  # a write past 8 kB fails, as on a disk with so much left
    try:
        with pytest.raises(InputError, match=r"cannot write .*tiny-onnx-int8.* free some space") as caught:
            export(tiny_program, "onnx", "int8", tmp_path / "out")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "\n" not in str(caught.value)
    assert not list((tmp_path / "out").iterdir())


def test_a_disk_that_is_full_when_the_card_is_written_names_the_artefact(
    tiny_program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(card: Card) -> str:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Card, "as_yaml", full)
    with pytest.raises(InputError, match=r"cannot write \S*/tiny-onnx-int8\.onnx: No space"):
        export(tiny_program, "onnx", "int8", tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


def test_a_bare_command_in_a_folder_of_its_own(tmp_path: Path) -> None:
    """`python -m edge.export --target coreml`, nothing more: the bundled student, into dist."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "edge.export", "--target", "coreml"]
    answer = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600)
    assert answer.returncode == 0, answer.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["dist"]
    folder = dist.Dist(tmp_path / "dist")
    made = [artefact for artefact in folder.artefacts if artefact.path.suffix == ".mlpackage"]
    assert sorted(artefact.card.precision for artefact in made) == ["fp32", "int8"]
    student = made[0].card.student
    assert folder.latest().path.name == f"{student}-coreml-int8.mlpackage"
    assert made[0].program.card.student == student


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def _edit(card: Path, **fields: object) -> None:
    card.write_text(yaml.safe_dump({**yaml.safe_load(card.read_text()), **fields}))
