"""The two commands from end to end on networks of a few thousand parameters, and what they say to bad input."""

from __future__ import annotations

import csv
import json
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tiny_models
import torch
from drawn_source import Dots
from people_file import sample_of, write_people

from calib_data import sources
from distill import fit_teacher, task
from distill import recipe as recipes
from distill import student as distill
from distill import teacher as teach
from distill.objective import LabelTeacher, Projected, project
from distill.recipe import Recipe
from distill.request import Request
from distill.run_files import TEACHER
from pose import cli, models
from pose.crop import CropSpec
from pose.models import ModelSpec, checkpoint
from pose.program import load_program
from quantize import qat

TERMS = {"regression", "keypoint_token", "visual_token", "simulated_heatmap", "confidence"}
RECIPE = """\
{epochs: 1, batch: 4, optimiser: adamw, lr: 0.003, backbone_lr: 0.001, bf16: false, ema: 0.5, losses: {float_twin: 1}}
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with tiny_models.home(tmp_path_factory.mktemp("home"), RECIPE) as folder:
        yield folder


def flags(home: Path, **changed: Any) -> list[str]:
    """A command line; a flag that is None is left out."""
    given = {
        "student": "tiny", "teacher": "tiny_teacher", "teacher_file": home / "teacher.safetensors",
        "weights": home / "student.safetensors", "recipe": home / "recipe.yaml", "people": 8,
    } | changed  # fmt: skip
    return [
        part for name, value in given.items() if value is not None for part in (f"--{name.replace('_', '-')}", str(value))
    ]


def run(command: Any, arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> int:
    """The exit code of `python -m quantize...`, in this process."""
    monkeypatch.setattr(sys, "argv", ["command", *arguments])
    monkeypatch.setattr("signal.signal", lambda *_: None)
    monkeypatch.setattr(logging.root.manager, "disable", 0)  # what the command sets, pytest puts back
    with pytest.raises(SystemExit) as ended:
        cli.run(command.main, "command", "example")
    return int(ended.value.code or 0)


@pytest.fixture(scope="module")
def qat_run(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("qat") / "run"
    with pytest.MonkeyPatch.context() as patch:
        assert run(qat, flags(home, out=out, calibration=8, json=out / "figures.json"), patch) == 0
    return out


def log(folder: Path) -> list[dict[str, str]]:
    with open(folder / "log.csv", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_qat_writes_two_programs_that_open(qat_run: Path) -> None:
    answers = {}
    image = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    for column, folder in (("ptq", qat_run / "ptq"), ("qat", qat_run)):
        program = load_program(folder)
        assert set(program.card.metrics["validation"]) == {"fp32", column}
        answers[column] = program.graph("int8").module()(image)[0]
        assert program.graph("fp32").module()(image)[0].shape == answers[column].shape == (1, 17, 2)
    assert (answers["ptq"] - answers["qat"]).abs().max() > 1e-4  # training changed something
    figures = json.loads((qat_run / "figures.json").read_text())
    assert set(figures) == {"fp32", "ptq", "qat"}
    assert all(set(one) == {"ap", "pck"} for one in figures.values())
    assert json.loads((qat_run / "result.json").read_text())["qat"] == figures["qat"]


def test_every_loss_is_active_and_logged_all_the_way(qat_run: Path) -> None:
    rows = log(qat_run)
    assert len(rows) == 2
    terms = {*TERMS, "float_twin"}
    for row in rows:
        assert set(row) >= terms
        assert all(float(row[term]) > 0 for term in terms)
        assert float(row["loss"]) == pytest.approx(sum(float(row[term]) for term in terms), rel=1e-4)
    assert rows[-1]["pck"]


def test_the_maps_between_tokens_do_not_ship(qat_run: Path) -> None:
    state = torch.load(qat_run / "checkpoint.pt", weights_only=True)["model"]
    assert any(name.startswith("keypoint_map") for name in state)
    program = load_program(qat_run)
    assert not [name for one in ("fp32", "int8") for name in program.graph(one).state_dict if "_map" in name]


def test_resumed_qat_is_the_same_and_needs_the_same_settings(
    home: Path, qat_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def die(self: Any, row: Any) -> None:
        raise KeyboardInterrupt

    out = tmp_path / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("distill.training.Run._log", die)
        assert run(qat, flags(home, out=out, calibration=8), patch) == 130
    ptq = (out / "ptq" / "card.yaml").read_bytes()
    for changed, named in (
        ({"calibration": 4}, "calibration"),
        ({"estimator": "mse"}, "precision.estimator"),
        ({"seed": 1}, "digests.calibration"),
    ):
        wrong = flags(home, **({"out": out, "calibration": 8} | changed))
        assert run(qat, [*wrong, "--resume"], monkeypatch) == 2
        assert f"another '{named}'" in last_line(capsys)
    assert (out / "ptq" / "card.yaml").read_bytes() == ptq
    assert run(qat, [*flags(home, out=out, calibration=8), "--resume"], monkeypatch) == 0
    a, b = (torch.load(folder / "checkpoint.pt", weights_only=True)["average"] for folder in (out, qat_run))
    assert all(torch.equal(value, b[name]) for name, value in a.items())


def last_line(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().err.strip().splitlines()[-1]


def test_distilled_weights_are_those_of_a_plain_student(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(distill, flags(home, out=tmp_path / "run", weights=None, json=tmp_path / "figures.json"), monkeypatch) == 0
    assert set(log(tmp_path / "run")[0]) == {"step", "seconds", "loss", *TERMS, "ap", "pck"}
    trained = models.build("tiny", 17, tmp_path / "run" / "student.safetensors")  # every key fits: no maps
    assert set(json.loads((tmp_path / "figures.json").read_text())) == {"ap", "pck"}
    # the teacher's backbone was lent: it moved on from there, not from the student's own
    lent, own = models.build("tiny_teacher", 17, home / "teacher.safetensors"), models.build("tiny")
    moved = [(trained.backbone.lateral.weight - one.backbone.lateral.weight).abs().max() for one in (lent, own)]
    assert moved[0] < moved[1]
    assert "starts from tiny_teacher" in capsys.readouterr().err


def people(count: int = 8) -> sources.Data:
    return sources.drawn(count, 0)


def build(home: Path, teacher: str = "tiny_teacher", file: str | None = "teacher.safetensors", **recipe: Any) -> task.Task:
    chosen = Recipe(**({"epochs": 0.5, "batch": 4, "bf16": False} | recipe))
    teacher_file = home / file if file else None
    return task.build(Request(home, "tiny", teacher, teacher_file, people(), sources.drawn_validation(), chosen))


def test_a_teacher_of_another_crop_teaches_by_heatmaps_alone_and_says_so_once(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wide = ModelSpec(models.MODELS["tiny_teacher"].builder, CropSpec(width=64, height=64), (16, 16), teacher=True)
    monkeypatch.setitem(models.MODELS, "elsewhere", wide)
    built = build(home, "elsewhere")
    assert capsys.readouterr().err.count("the token losses are off") == 1
    student = models.build("tiny")
    assert project(student, built.live, models.MODELS["tiny"].crop) is student
    terms = built.objective(student, built.batches[0])
    assert set(terms) == TERMS - {"keypoint_token", "visual_token"}


def test_labels_teach_by_the_heatmaps_that_they_are(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    built = build(home, "labels", file=None)
    assert "the labels are the teacher" in capsys.readouterr().err
    batch = built.batches[0]
    terms = built.objective(models.build("tiny"), batch)
    maps, wide = LabelTeacher((64, 48))(batch).heatmaps, batch.target.coords * torch.tensor([64, 48])
    assert maps is not None
    top = maps.flatten(2).argmax(-1)
    peaks = torch.stack([top % 64, top // 64], -1).float()
    assert (peaks - wide).abs()[batch.target.weight > 0].max() <= 1  # the last pixel stands for the crop's border, too
    assert set(terms) == TERMS - {"keypoint_token", "visual_token"}
    assert "teacher" not in built.digests
    built.compare({"ap": 99.0, "pck": 99.0})
    assert not capsys.readouterr().err  # there is nobody to be better than


@pytest.mark.usefixtures("home")
def test_a_teacher_with_other_patches_loses_one_term_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    student, crop = models.build("tiny"), models.MODELS["tiny"].crop
    assert isinstance(project(student, models.build("tiny_teacher"), crop), Projected)
    assert not capsys.readouterr().err
    assert isinstance(project(student, tiny_models.TinyTeacher(side=8), crop), Projected)
    assert "the student has 16 patches, its teacher 64: the visual token loss is off" in capsys.readouterr().err


@pytest.mark.usefixtures("home")
def test_a_student_without_tokens_learns_from_heatmaps_alone_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    student, crop = tiny_models.NoTokens(), models.MODELS["tiny"].crop
    assert project(student, models.build("tiny_teacher"), crop) is student
    assert "the student has no tokens: the token losses are off" in capsys.readouterr().err


def test_a_teacher_without_weights_is_fitted_once_and_goes_on_after_a_kill(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DISTILPOSE_CACHE", str(tmp_path))
    monkeypatch.setattr("distill.training._CHECKPOINT_SECONDS", -1.0)
    fitted: list[int] = []
    train = fit_teacher.Run.train

    def cut(self: Any, progress: Callable[[int], None]) -> None:
        def die(done: int) -> None:
            progress(done)
            if done == 4:
                raise KeyboardInterrupt

        train(self, die)

    def counted(self: Any, progress: Callable[[int], None]) -> None:
        fitted.append(self.step)
        train(self, progress)

    monkeypatch.setattr(fit_teacher.Run, "train", cut)
    recipe = tmp_path / "teacher.yaml"
    recipe.write_text(RECIPE.replace("epochs: 1", "epochs: 4"))
    monkeypatch.setattr("distill.teachers._RECIPE", str(recipe))
    with pytest.raises(KeyboardInterrupt):
        build(home, file=None)
    message = capsys.readouterr().err
    assert "no weights of tiny_teacher" in message
    assert "more steps, about" in message
    monkeypatch.setattr(fit_teacher.Run, "train", counted)
    first = build(home, file=None)
    assert build(home, file=None).digests == first.digests
    assert fitted == [4]  # went on from step 4; the second call peaks the result
    recipe.write_text(RECIPE.replace("epochs: 1", "epochs: 3"))
    build(home, file=None)
    assert fitted == [4, 0]  # another recipe, another teacher


def test_a_teacher_that_is_no_better_is_warned_of(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    built = build(home)
    built.compare({"ap": 99.0, "pck": 99.0})
    assert "warning: the teacher has AP" in capsys.readouterr().err
    built.compare({"ap": -1.0, "pck": 0.0})
    assert not capsys.readouterr().err


def test_boxes_are_part_of_what_identifies_the_data(tmp_path: Path) -> None:
    annotations, boxes = write_people(tmp_path / "people.json", tmp_path, [sample_of(Dots(1), 0)]), tmp_path / "boxes.json"
    digests = set()
    for score in (0.5, 0.6):
        boxes.write_text(json.dumps([{"image_id": 1, "category_id": 1, "bbox": [20, 20, 60, 60], "score": score}]))
        digests.add(sources.annotated([annotations], [tmp_path], str(boxes)).digest)
    assert len(digests) == 2


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "student": ({"student": "nobody"}, "student 'nobody' is not known; choose one of distilpose_s"),
    "a teacher as student": ({"student": "tiny_teacher"}, "student 'tiny_teacher' is not known"),
    "teacher": ({"teacher": "nobody"}, "teacher 'nobody' is not known"),
    "recipe": ({"recipe": "nothing"}, "there is no recipe 'nothing'; choose one of "),
    "missing recipe": ({"recipe": "nothing.yaml"}, "cannot read nothing.yaml"),
    "broken recipe": ({"recipe": "[1"}, "is not valid YAML"),
    "list as recipe": ({"recipe": "[1]"}, "should be a dictionary"),
    "unknown field": ({"recipe": "{speed: 3}"}, "speed"),
    "unknown field inside": ({"recipe": "{augmentation: {turn: 3}}"}, "augmentation.turn"),
    "wrong value": ({"recipe": "{ema: 1}"}, "ema"),
    "wrong value inside": ({"recipe": "{losses: {confidence: -1}}"}, "losses.confidence"),
    "data without val": ({"data": "people.json"}, "--data and --val belong together"),
    "missing data": ({"data": "nowhere.json", "val": "nowhere.json"}, "nowhere.json"),
    "images without data": ({"images": "folder"}, "1 --images for 0 --data"),
    "labels with weights": ({"teacher": "labels"}, "--teacher labels has no weights; leave out --teacher-file"),
    "missing teacher file": ({"teacher_file": "nowhere.safetensors"}, "cannot read nowhere.safetensors"),
    "teacher of another model": ({"teacher_file": "student.safetensors"}, "does not fit tiny_teacher"),
    "missing weights": ({"weights": "nowhere.safetensors"}, "cannot read nowhere.safetensors"),
    "weights of another model": ({"weights": "teacher.safetensors"}, "does not fit tiny"),
    "truncated weights": ({"weights": "truncated.safetensors"}, "not a whole safetensors file"),
    "unwritable out": ({"out": "recipe.yaml/run"}, "cannot write recipe.yaml/run"),
    "no epochs": ({"epochs": 0}, "--epochs"),
    "endless epochs": ({"epochs": "inf"}, "--epochs"),
    "seed of no generator": ({"recipe": "{seed: -1}"}, "seed: Input should be greater than or equal to 0"),
    "seed that overflows": ({"seed": 10**20}, "--seed"),
    "tag of YAML": ({"recipe": "[!!bool maybe]"}, "is not valid YAML"),
    "recipe that is nothing": ({"recipe": "[]"}, "should be a dictionary"),
    "boxes of a detector": ({"boxes": "peaks.json"}, "--boxes peaks.json: training takes annotation or keypoints"),
    "images of no validation": ({"val_images": "folder"}, "--val-images belongs to --val"),
}
DISTIL_ALONE: dict[str, tuple[dict[str, Any], str]] = {
    "size of no patches": ({"recipe": "{resolution: 0.7}"}, "resolution 0.7: 45 x 45 is no multiple of 32; take 0.5 or 1"),
    "trunk of another backbone": ({"trunk": "trunk.onnx"}, "trunk.onnx has MoveNet's trunk, and tiny has another"),
}
QAT_ALONE: dict[str, tuple[dict[str, Any], str]] = {
    "percentile of another estimator": ({"percentile": 99.9}, "--percentile 99.9 is for --estimator percentile"),
    "percentile of the median": ({"percentile": 50, "estimator": "percentile"}, "--percentile 50 is for --estimator"),
    "no module": ({"keep_float": ""}, "--keep-float has an empty value"),
    "autocast": ({"recipe": "{bf16: true, optimiser: adamw}"}, "a program is trained in float32"),
    "muon": ({"recipe": "{bf16: false, optimiser: muon}"}, "by adam or adamw"),
    "unknown module": (
        {"keep_float": "blocks.9"},
        "--keep-float 'blocks.9': tiny has no such module; its parts are backbone",
    ),
    "another size": ({"recipe": "{resolution: 0.5}"}, "resolution 0.5"),
    "no float weights": ({"weights": None}, "no weights of 'tiny' are bundled"),
}


@pytest.mark.parametrize(
    ("command", "changed", "message"),
    [
        *(pytest.param(one, *case, id=f"{one.__name__}: {name}") for one in (distill, qat) for name, case in BAD.items()),
        *(pytest.param(qat, *case, id=f"qat: {name}") for name, case in QAT_ALONE.items()),
        *(pytest.param(distill, *case, id=f"distill: {name}") for name, case in DISTIL_ALONE.items()),
    ],
)
def test_bad_input_ends_with_one_line_and_leaves_nothing(
    command: Any,
    changed: dict[str, Any],
    message: str,
    home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(home)
    (home / "truncated.safetensors").write_bytes((home / "student.safetensors").read_bytes()[:-100])
    given = {"out": tmp_path / "run"} | changed
    if str(given.get("recipe", "")).startswith(("{", "[")):
        (tmp_path / "bad.yaml").write_text(given["recipe"])
        given["recipe"] = tmp_path / "bad.yaml"
    before = sorted(home.rglob("*"))
    assert run(command, flags(home, **given), monkeypatch) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert message in lines[0]
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.name not in ("bad.yaml", ".lock")]
    assert sorted(home.rglob("*")) == before


@pytest.mark.parametrize("name", recipes.packaged())
def test_every_packaged_recipe_is_whole_and_takes_a_length_and_a_seed(name: str) -> None:
    assert recipes.read(name) == recipes.read(name, recipes.read(name).epochs, recipes.read(name).seed)
    changed = recipes.read(name, epochs=0.25, seed=7)
    assert (changed.epochs, changed.seed) == (0.25, 7)


def test_a_used_folder_is_refused_before_any_work(
    home: Path, qat_run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(task, "build", lambda *_: pytest.fail("worked before it looked"))
    for command in (distill, qat):
        assert run(command, flags(home, out=qat_run), monkeypatch) == 2
        assert "holds a run already; add --resume" in last_line(capsys)


def test_a_teacher_is_fitted_by_a_command_and_teaches(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "teacher"
    fit = ["--teacher", "tiny_teacher", "--people", "8", "--recipe", str(home / "recipe.yaml"), "--out", str(out)]
    assert run(teach, [*fit, "--json", str(tmp_path / "figures.json")], monkeypatch) == 0
    assert {"heatmap", "regression", "part"} <= set(log(out)[0])
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert json.loads((out / "result.json").read_text()).items() >= figures.items()
    trunk = {key: value + 1 for key, value in models.build("tiny_teacher").state_dict().items() if "head" not in key}
    torch.save(trunk, tmp_path / "student.pt")
    start = ["--student-file", str(tmp_path / "student.pt"), "--out", str(tmp_path / "similar")]
    assert run(teach, [*fit, *start, "--epochs", "1e-6"], monkeypatch) == 0  # a single step
    begun, own = (checkpoint.read(folder / TEACHER) for folder in (tmp_path / "similar", out))
    far = [(state["backbone.lateral.weight"] - trunk["backbone.lateral.weight"]).abs().max() for state in (begun, own)]
    assert far[0] < 0.01 < 0.5 < far[1]
    start = ["--student-file", str(home / "student.safetensors"), "--out", str(tmp_path / "stranger")]
    assert run(teach, [*fit, *start], monkeypatch) == 2
    assert "tensors of tiny_teacher (" in last_line(capsys)
    lesson = flags(home, teacher_file=out / TEACHER, out=tmp_path / "student")
    assert run(distill, lesson, monkeypatch) == 0
    assert run(teach, fit, monkeypatch) == 2
    assert "add --resume" in last_line(capsys)
    assert run(teach, ["--teacher", "movenet_thunder"], monkeypatch) == 2
    assert "not trained here" in last_line(capsys)
