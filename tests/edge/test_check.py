"""Artefacts of one program, scored together."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from answered_people import answered_people
from tiny_network import make_program

from calib_data.synthetic import SyntheticPeople
from edge import dist, run
from edge.check import main as check_command
from edge.evaluate.check import check, check_all
from edge.evaluate.records import Check
from edge.export import export
from pose import card as cards
from pose.crop import affine
from pose.errors import GateError, InputError
from pose.files import size
from pose.skeleton import COCO_17


@pytest.fixture(scope="session")
def two_targets(exported: Path, tiny_program: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the program lowered to ExecuTorch and to ONNX."""
    folder = Path(shutil.copytree(exported, tmp_path_factory.mktemp("two") / "dist"))
    export(tiny_program, "onnx", "int8", folder)
    return folder


@pytest.fixture(scope="session")
def results(two_targets: Path) -> dict[str, Check]:
    return check_all(dist.find(two_targets / "tiny-onnx-int8.onnx").siblings, SyntheticPeople(8))


def names(artefact: Path) -> list[str]:
    return [sibling.path.name for sibling in dist.find(artefact).siblings]


def test_siblings_are_what_one_program_was_lowered_to(two_targets: Path, tmp_path: Path) -> None:
    both = ["tiny-executorch-int8.pte", "tiny-onnx-int8.onnx"]
    assert names(two_targets / both[1]) == both
    assert [Path(name).suffix for name in names(two_targets / "tiny-onnx-fp32.onnx")] == [".pte", ".onnx"]
    other = tmp_path / "other"
    export(make_program(tmp_path / "program", seed=1).folder, "onnx", "int8", other)
    stranger = Path(shutil.copytree(two_targets, tmp_path / "dist"))
    for path in other.glob("tiny-onnx-*"):
        shutil.copy(path, stranger)
    assert names(stranger / both[0]) == both[:1]


def test_each_target_is_scored_beside_one_answer_of_the_program(results: dict[str, Check], two_targets: Path) -> None:
    assert list(results) == ["executorch", "onnx"]
    executorch, onnx = results.values()
    for name in ("fp32", "fake_quant"):
        assert getattr(executorch, name) == getattr(onnx, name)
    for result in results.values():
        assert result.persons == 8
        assert result.lowered.fake_quant_px.p99 < result.lowered.keypoint_px.p99
        assert result.float_twin.torch_px.p99 < 0.001
        assert result.bytes == size(Path(result.artefact)) < result.float_twin.bytes
    assert executorch.artefact != onnx.artefact


def test_one_alone_scores_as_it_does_among_others(results: dict[str, Check], two_targets: Path) -> None:
    assert check(dist.find(two_targets / "tiny-onnx-int8.onnx"), SyntheticPeople(8)) == results["onnx"]


def test_joints_and_worst_people_are_those_of_the_answers(results: dict[str, Check]) -> None:
    result, source = results["onnx"], SyntheticPeople(8)
    assert result.fp32.per_joint_px == {}
    for column in (result.fake_quant, result.lowered):
        joints = column.per_joint_px
        assert tuple(joints) == COCO_17.joints
        assert min(joints.values()) <= column.keypoint_px.median <= max(joints.values())
    worst = result.worst
    assert len(worst) == 6
    assert [person.px for person in worst] == sorted((person.px for person in worst), reverse=True)
    runners = [
        run.open(Path(result.artefact).parent / "tiny.program" / "student_fp32.pt2"),
        run.open(Path(result.artefact)),
    ]
    for person in worst[:2]:
        image, box = source.image(person.index), source.labels(person.index).box
        poses = [run.keypoints(runner, image, box)[0] for runner in runners]
        np.testing.assert_allclose(poses, [person.fp32, person.lowered], atol=1e-3)
        scale = np.linalg.norm(affine(box, runners[0].card.spec)[0, :2])
        assert person.px == pytest.approx(np.linalg.norm(poses[0] - poses[1], axis=1).mean() * scale, rel=1e-3)


def test_a_missing_twin_is_left_out(two_targets: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(two_targets, tmp_path / "dist"))
    (folder / "tiny-onnx-fp32.onnx.card.yaml").unlink()
    assert check(dist.find(folder / "tiny-onnx-int8.onnx"), SyntheticPeople(2)).float_twin is None
    assert check(dist.find(folder / "tiny-executorch-fp32.pte"), SyntheticPeople(2)).float_twin is None


def test_a_card_without_its_artefact_or_of_another_one_is_ignored(
    tiny_onnx: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Path(shutil.copytree(tiny_onnx.parent, tmp_path / "dist"))
    artefact, stray, other = (folder / f"{name}.onnx" for name in ("tiny-onnx-int8", "gone", "copy"))
    shutil.copyfile(cards.card_path(artefact), cards.card_path(stray))
    shutil.copyfile(cards.card_path(artefact), cards.card_path(other))
    shutil.copyfile(artefact, other)
    opened = dist.Dist(folder)
    assert {"gone.onnx", "copy.onnx"}.isdisjoint(one.path.name for one in opened.artefacts)
    assert opened.latest(["onnx"]).path == artefact
    notes = capsys.readouterr().err.splitlines()
    assert notes == [
        f"note: {other} is ignored: the card beside it is of tiny-onnx-int8.onnx",
        f"note: {cards.card_path(stray)} is ignored: gone.onnx does not lie beside it",
    ]


def test_the_command_prints_a_row_for_each_target(
    two_targets: Path,
    tiny_program: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(dist, "DEFAULT", two_targets)
    monkeypatch.setattr("calib_data.synthetic.validation", lambda: answered_people(tiny_program, 4))
    check_command(target="all", json=tmp_path / "all.json")
    printed = capsys.readouterr().out
    assert "executorch" in printed
    assert "onnx" in printed
    assert "4 people" in printed
    held = json.loads((tmp_path / "all.json").read_text())
    assert list(held["targets"]) == ["executorch", "onnx"]
    check_command(target="executorch", json=tmp_path / "one.json")
    assert json.loads((tmp_path / "one.json").read_text())["artefact"].endswith("tiny-executorch-int8.pte")
    with pytest.raises(GateError, match=r"gates failed: AP lost, (executorch|onnx) (fake-quant|lowered): "):
        check_command(target="all", max_drop=-100)


def test_a_card_that_is_not_its_programs_is_refused(two_targets: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(two_targets, tmp_path / "dist"))
    path = folder / "tiny-onnx-int8.onnx"
    card = cards.read(cards.card_path(path))
    darker = card.input.model_copy(update={"mean": (0.0, 0.0, 0.0)})
    card.model_copy(update={"input": darker}).write(cards.card_path(path))
    with pytest.raises(InputError, match=r"tiny-onnx-int8.*: mean is \(0\.0, .* its program's .*export it again"):
        check(dist.find(path), SyntheticPeople(1))


def test_a_float16_artefact_is_held_against_float_alone(
    two_targets: Path,
    tiny_program: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("calib_data.synthetic.validation", lambda: answered_people(tiny_program, 8))
    folder = Path(shutil.copytree(two_targets, tmp_path / "dist"))
    export(tiny_program, "onnx", "fp16", folder)
    check_command(folder / "tiny-onnx-fp16.onnx", limit=4, max_drop=0.0, json=tmp_path / "check.json")
    printed = capsys.readouterr().out
    assert "lowered fp16" in printed
    assert "fake" not in printed
    check_command(folder / "tiny-onnx-fp16.onnx", target="all", limit=4, max_drop=0.0)
    held = json.loads((tmp_path / "check.json").read_text())
    assert held["lowered"]["keypoint_px"]["p99"] < held["fake_quant"]["keypoint_px"]["p99"]


def test_the_artefact_must_be_unambiguous(two_targets: Path) -> None:
    with pytest.raises(InputError, match="--target is all or left out"):
        check_command(artefact=two_targets / "tiny-onnx-int8.onnx", target="executorch")
    with pytest.raises(InputError, match="no target 'abacus'"):
        dist.Dist(two_targets).latest(("abacus",))
    with pytest.raises(InputError, match=r"no int8 artefact of coreml .*edge\.export --target coreml"):
        dist.Dist(two_targets).latest(("coreml",))
    assert dist.Dist(two_targets).latest(("onnx",)).path.name == "tiny-onnx-int8.onnx"


def test_a_float_program_that_finds_nobody_is_a_wrong_input(two_targets: Path, tmp_path: Path) -> None:
    """The tiny network is not trained: it has nothing to lose on people who are labelled where they are."""
    with pytest.raises(InputError, match=r"onnx: the float program has AP 0\.0 on 4 people of synthetic validation"):
        check_command(two_targets / "tiny-onnx-int8.onnx", limit=4, max_drop=100.0, json=tmp_path / "check.json")
    assert json.loads((tmp_path / "check.json").read_text())["fp32"]["ap"] == 0  # the figures are written all the same


def test_every_card_is_read_once(two_targets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the folder; the process of an artefact reads it once more."""
    reads: list[str] = []
    original = cards.read

    def counted(path: Path) -> cards.Card:
        reads.append(Path(path).name)
        return original(path)

    monkeypatch.setattr(cards, "read", counted)
    artefact = dist.find(two_targets / "tiny-onnx-int8.onnx")
    siblings = artefact.siblings
    twins = [sibling.twin("fp32") for sibling in siblings]
    assert [twin.twin("int8") for twin in twins] == siblings
    assert sorted(reads) == sorted([*(cards.card_path(path).name for path in artefact.dist.paths), "card.yaml"])
    reads.clear()
    check_all(siblings, SyntheticPeople(2))
    assert set(reads) <= {"card.yaml"}
    assert reads.count("card.yaml") == 2  # the float graph and the int8 one are opened
