"""An ablation on tiny networks: equal starts, resuming after a kill, intervals, table and figure."""

from __future__ import annotations

import statistics
from dataclasses import replace
from pathlib import Path

import pytest
import tiny_models
import torch
from people_file import sample_of, write_people
from safetensors.torch import save_file
from tiny_student import SPEC

from calib_data import sources
from calib_data.synthetic import SyntheticPeople
from distill import ablation, ablation_record, student
from distill.ablation import RESULTS, SETTINGS, Plan, ablate, masked
from distill.recipe import LossWeights, Recipe
from distill.request import Request
from pose import models
from pose.errors import InputError
from pose.files import sha256
from pose.models import MODELS, ModelSpec, checkpoint
from pose.models.backbones.resnet import LastMap
from pose.models.deeppose import DeepPose
from results import ablation as drawn

GRID = (16, 16)
RECIPE = Recipe(epochs=0.5, batch=4, optimiser="adamw", lr=1e-3, bf16=False)


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plan:
    tiny_models.register(tmp_path / "cache", monkeypatch)
    weights = tiny_models.save("tiny_teacher", tmp_path / "teacher.safetensors")
    train = sources.Data(SyntheticPeople(8, 2), "2" * 64)
    held_out = sources.Data(SyntheticPeople(4, 1), "1" * 64)
    base = Request(tmp_path / "out", "tiny", "tiny_teacher", weights, train, held_out, RECIPE)
    return Plan(base, ("none", "all"), (0, 1))


def test_a_killed_ablation_goes_on_and_ends_as_an_unbroken_one(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = ablate(plan)
    assert [run.seed for run in whole.settings["all"].runs] == [0, 1]
    assert whole.settings["none"].gain == ablation_record.Interval(mean=0, low=0, high=0)
    started = []

    def killed(request: Request) -> dict[str, float]:
        if len(started) == 3:
            raise KeyboardInterrupt
        started.append(request.out.name)
        return student_distill(request)

    student_distill = student.distill
    monkeypatch.setattr(student, "distill", killed)
    again = replace(plan, base=replace(plan.base, out=plan.base.out.with_name("again")))
    with pytest.raises(KeyboardInterrupt):
        ablate(again)
    partial = ablation_record.read(again.base.out / RESULTS)
    assert [len(partial.settings[name].runs) for name in ("none", "all")] == [2, 1]
    monkeypatch.setattr(student, "distill", student_distill)
    assert ablate(again) == whole
    with pytest.raises(InputError, match="is of another 'recipe'; give the same options"):
        ablate(replace(again, base=replace(again.base, recipe=replace(RECIPE, lr=2e-3))))


@pytest.fixture
def random_student(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make `tiny` one whose weights are random."""
    spec = ModelSpec(lambda keypoints: DeepPose(LastMap((1,), width=4), 16, keypoints), SPEC, GRID, teacher=False)
    monkeypatch.setitem(MODELS, "tiny", spec)


@pytest.mark.usefixtures("random_student")
def test_all_settings_of_a_seed_start_alike_and_take_equal_steps(plan: Plan) -> None:
    requests = [plan.request(name, seed) for name, seed in plan.runs()]
    assert [one.recipe.seed for one in requests] == [0, 0, 1, 1]
    assert requests[0].weights == requests[1].weights != requests[2].weights
    starts = [checkpoint.read(one.weights) for one in requests[1:3]]
    assert any((starts[0][key] != value).any() for key, value in starts[1].items())
    assert len({one.recipe.steps(8) for one in requests}) == 1
    assert len({one.out for one in requests}) == 4


def test_runs_that_start_from_the_teacher_have_its_weights_and_equal_heads(plan: Plan) -> None:
    from distill import task as tasks

    plan = replace(plan, start="teacher")
    requests = [plan.request(name, 0) for name in plan.settings]
    assert [one.weights for one in requests] == [None, None]
    tasked = [tasks.build(one) for one in requests]
    states = [student.start(one, task, None).state_dict() for one, task in zip(requests, tasked, strict=True)]
    assert all((states[0][key] == value).all() for key, value in states[1].items())
    teacher = checkpoint.read(plan.base.teacher_file)
    own = {key: value.shape for key, value in states[0].items() if not key.startswith("head.")}
    shared = [key for key, shape in own.items() if key in teacher and teacher[key].shape == shape]
    assert shared
    assert all((states[0][key] == teacher[key]).all() for key in shared)
    ablate(plan)
    with pytest.raises(InputError, match="is of another 'start'; give the same options"):
        ablate(replace(plan, start="random"))


@pytest.mark.usefixtures("random_student")
def test_runs_that_start_from_a_file_have_its_weights_but_the_head(plan: Plan, tmp_path: Path) -> None:
    torch.manual_seed(7)
    checkpoint.save(models.build("tiny"), tmp_path / "other.safetensors")
    plan = replace(plan, start=str(tmp_path / "other.safetensors"))
    given = checkpoint.read(Path(plan.start))
    starts = [checkpoint.read(plan.request("all", seed).weights) for seed in plan.seeds]
    body = [key for key in given if not key.startswith("head.")]
    assert body
    assert all((state[key] == given[key]).all() for state in starts for key in body)
    heads = [state["head.fc.weight"].tolist() for state in (given, *starts)]
    assert heads[0] != heads[1] != heads[2] != heads[0]
    assert ablate(plan).conditions["start"] == sha256(Path(plan.start))


def test_an_ablation_on_photos(plan: Plan, tmp_path: Path) -> None:
    people = [sample_of(SyntheticPeople(4, 3), index) for index in range(4)]
    file = write_people(tmp_path / "people.json", tmp_path / "images", people)
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        "epochs: 1\nbatch: 4\noptimiser: adamw\nlr: 1.0e-3\nbackbone_lr: 1.0e-3\nschedule: cosine\nbf16: false\n"
    )
    given = {"student": "tiny", "teacher": "tiny_teacher", "teacher_file": plan.base.teacher_file, "recipe": str(recipe)}
    photos = {
        "data": [file, file],
        "images": [file.parent / "images"] * 2,
        "val": file,
        "val_images": file.parent / "images",
    }
    result = tmp_path / "result.json"
    ablation.main(**given, **photos, data_weight=[2.0, 1.0], setting=["none"], seeds=1, out=tmp_path / "photos", json=result)
    written = ablation_record.read(result)
    assert (written.validated, written.steps) == (4, 2)
    assert written.conditions["data weights"] == "(2.0, 1.0)"
    with pytest.raises(InputError, match="is of another 'data weights'; give the same options"):
        ablation.main(**given, **photos, data_weight=[1.0, 2.0], setting=["none"], seeds=1, out=tmp_path / "photos")


def test_a_start_that_cannot_be_is_refused(plan: Plan, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--start teacher: 'labels' is no network whose weights"):
        ablation.main(teacher="labels", start="teacher")
    with pytest.raises(InputError, match="--start nowhere: there is no such file; give one, or random, or teacher"):
        ablation.main(start="nowhere")
    with pytest.raises(InputError, match=r"trunk.onnx has MoveNet's trunk, and tiny has another"):
        replace(plan, start="trunk.onnx").request("none", 0)
    save_file({"other": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(InputError, match=r"other.safetensors has no tensor of tiny; name another file, or random"):
        replace(plan, start=str(tmp_path / "other.safetensors")).request("none", 0)


@pytest.mark.parametrize("name", SETTINGS)
def test_a_setting_has_its_losses_at_the_weights_of_the_recipe(name: str) -> None:
    weights = LossWeights(regression=0.3, simulated_heatmap=2.0, keypoint_token=0.5, float_twin=0.1)
    result = masked(weights, SETTINGS[name])
    for loss in SETTINGS["all"]:
        assert result.factor(loss) == (weights.factor(loss) if loss in SETTINGS[name] else 0)
    assert (result.regression, result.float_twin) == (0.3, 0.1)


def record(**values: list[float]) -> ablation_record.Ablation:
    runs = {
        name: [ablation_record.Trained(seed=seed, ap=ap, pck=None) for seed, ap in enumerate(aps)]
        for name, aps in values.items()
    }
    settings = {name: ablation_record.summarised(SETTINGS[name], some, runs["none"]) for name, some in runs.items()}
    return ablation_record.Ablation(
        student="distilpose_s", teacher="tokenpose_s", validated=4, steps=9, conditions={}, settings=settings
    )


def test_intervals_are_of_students_t_distribution() -> None:
    values = [50.0, 52.0, 57.0]
    interval = ablation_record.interval(values)
    reach = 4.302653 * statistics.stdev(values) / 3**0.5  # two degrees of freedom
    assert interval.mean == 53
    assert (interval.low, interval.high) == pytest.approx((53 - reach, 53 + reach))
    assert ablation_record.interval([50.0]) == ablation_record.Interval(mean=50)
    assert ablation_record.interval([50.0, float("nan")]) is ablation_record.interval([]) is None


def test_table_and_figure_show_what_was_measured(tmp_path: Path) -> None:
    result = record(none=[50.0, 52.0, 51.0], all=[61.0, 60.0, 62.0])
    assert drawn.table(result).splitlines()[2:] == [
        "| none | 51.0 (48.5 to 53.5) |  | 3 | 56.0 |",
        "| all | 61.0 (58.5 to 63.5) | +10.0 (+5.7 to +14.3) | 3 | 71.6 |",
    ]
    other = result.model_copy(update={"student": "deeppose_r50_half", "settings": {"none": result.settings["none"]}})
    assert drawn.more([result, other]).splitlines()[2:] == [
        "| distilpose_s | tokenpose_s | none | 51.0 (48.5 to 53.5) |  | 3 | 56.0 |",
        "| distilpose_s | tokenpose_s | all | 61.0 (58.5 to 63.5) | +10.0 (+5.7 to +14.3) | 3 | 71.6 |",
        "| deeppose_r50_half | tokenpose_s | none | 51.0 (48.5 to 53.5) |  | 3 | 52.6 |",
    ]
    assert drawn.more([]) == ""
    figure = drawn.figure(result)
    assert figure.count("<circle") == 4, "three gains and their mean"
    assert ">+0.0</text>" not in figure, "where the line of none is"
    assert ">none</text>" in figure
    assert figure.index(">+14.3</text>") < figure.index(">all</text>")
    assert "nan" not in figure
    ablation_record.write(tmp_path / "ablation.json", result)
    assert drawn.read(tmp_path) == result
    (tmp_path / "ablation.json").write_text('{"schema_version": 2}')
    with pytest.raises(InputError, match=r"ablation.json is not what distill.ablation writes \(schema_version"):
        drawn.read(tmp_path)


def test_an_unknown_setting_is_refused() -> None:
    with pytest.raises(InputError, match="--setting 'L_x' is not known; choose among none, L_cs"):
        ablation.main(setting=["L_x"])
