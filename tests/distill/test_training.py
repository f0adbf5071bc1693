"""The training loop: a run that was killed ends exactly where it would have ended, alone or shared by two processes."""

from __future__ import annotations

import csv
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from drawn_source import Dots
from safetensors.torch import load_file
from small_run import RECIPE, STEPS, environment, make, objective
from tiny_models import TinyTeacher
from tiny_student import SPEC, tiny_student
from torch import nn

from calib_data.augment import Augmentation
from calib_data.crops import Crops
from distill import bfloat16, training
from distill.batches import Batches
from distill.recipe import Recipe
from distill.training import Average, Run
from pose.crop import CropSpec
from pose.errors import InputError
from pose.models import checkpoint
from pose.skeleton import COCO_17

pytestmark = pytest.mark.minutes

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module", autouse=True)
def validated_often() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "_VALIDATIONS", 3)
        patch.setattr(training, "_LEAST_BETWEEN", 1)
        yield


def result(run: Run) -> tuple[Any, ...]:
    """Everything that a run leaves behind; seconds aside."""
    with open(run.folder / "log.csv", encoding="utf-8") as file:
        rows = [{name: value for name, value in row.items() if name != "seconds"} for row in csv.DictReader(file)]
    weights = {name: value.tolist() for name, value in run.module.state_dict().items()}
    average = {name: value.tolist() for name, value in run.average.state.items()}
    states = [state for each in run.optimisers for state in each.state_dict()["state"].values()]
    moments = [value.tolist() for state in states for value in state.values()]
    return run.step, weights, average, moments, rows


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, ...]:
    run = make(tmp_path_factory.mktemp("whole"))
    run.train()
    return result(run)


def test_the_log_has_every_term_of_every_step_and_the_validations(whole_run: tuple[Any, ...]) -> None:
    rows = whole_run[-1]
    assert [int(row["step"]) for row in rows] == list(range(1, STEPS + 1))
    for row in rows:
        parts = sum(float(row[name]) for name in ("regression", "sigma", "score"))
        assert float(row["loss"]) == pytest.approx(parts, rel=1e-4)
    assert [int(row["step"]) for row in rows if row["ap"]] == [4, 8, 12]
    assert {(row["ap"], row["pck"]) for row in rows if row["ap"]} == {("1.5", "2.5")}


@pytest.mark.parametrize(("kept", "killed"), [(0, 5), (1, 1), (4, 4), (5, 9), (11, 12)])
def test_a_killed_run_ends_where_it_would_have_ended(
    kept: int, killed: int, whole_run: tuple[Any, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last checkpoint was written after step `kept`; the process died after step `killed`, in the middle of a row."""
    monkeypatch.setattr(training, "_CHECKPOINT_SECONDS", -1.0)  # after every step
    run = make(tmp_path)
    save = run.save
    monkeypatch.setattr(run, "save", lambda: save() if run.step == kept else None)

    def die(done: int) -> None:
        if done == killed:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run.train(die)
    with open(tmp_path / "log.csv", "a", encoding="utf-8") as log:
        log.write(f"{killed + 1},0.")
    resumed = make(tmp_path, resume=True)
    assert resumed.step == kept
    resumed.train()
    assert result(resumed) == whole_run


def test_a_finished_run_may_be_resumed_and_changes_nothing(whole_run: tuple[Any, ...], tmp_path: Path) -> None:
    make(tmp_path).train()
    again = make(tmp_path, resume=True)
    again.train()
    assert result(again) == whole_run


def test_resuming_where_nothing_was_begun_begins(whole_run: tuple[Any, ...], tmp_path: Path) -> None:
    run = make(tmp_path, resume=True)
    run.train()
    assert result(run) == whole_run


def test_batches_are_a_function_of_the_step_and_cover_everybody_each_epoch() -> None:
    seen: list[int] = []

    class Spy(Dots):
        def image(self, index: int) -> Any:
            seen.append(index)
            return super().image(index)

    batches = Batches(Crops(Spy(7), SPEC, COCO_17, Augmentation()), 3, (16, 16))
    later = batches[5].images
    seen.clear()
    for step in range(7):
        batches[step]
    epochs = [seen[start : start + 7] for start in (0, 7, 14)]
    assert all(sorted(epoch) == list(range(7)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 3
    assert torch.equal(batches[5].images, later)
    assert torch.equal(next(batches.loader(5, 6, workers=1)).images, later)


def test_of_several_sizes_each_step_takes_the_next_with_the_same_people_and_draws() -> None:
    crops = Crops(Dots(6), CropSpec(96, 96), COCO_17, Augmentation())
    alone, batches = Batches(crops, 3, (16, 16)), Batches(crops, 3, (16, 16), resolution=(1, 2 / 3, 4 / 3))
    assert [batches[step].images.shape[-1] for step in range(4)] == [96, 64, 128, 96]
    for step in range(4):
        assert batches[step].people == alone[step].people
        assert torch.allclose(batches[step].target.coords, alone[step].target.coords, atol=1e-6)


def test_two_processes_share_each_batch() -> None:
    crops = Crops(Dots(7), SPEC, COCO_17, Augmentation())
    alone = Batches(crops, 4, (16, 16))
    shares = [Batches(crops, 4, (16, 16), rank=rank, world=2) for rank in range(2)]
    for step in (0, 1, 2):
        both = torch.cat([share[step].images for share in shares])
        assert torch.equal(alone[step].images, both)
    with pytest.raises(InputError, match="a batch of 3 does not divide among 2"):
        Batches(crops, 3, (16, 16), world=2)


def test_the_average_follows_parameters_and_copies_the_rest() -> None:
    module = nn.BatchNorm1d(2)
    average = Average(module, 0.9)
    with torch.no_grad():
        module.weight.fill_(3)
        module.running_mean.fill_(5)
    average.update(module, 10**6)
    assert average.state["weight"] == pytest.approx([1.2, 1.2])
    assert average.state["running_mean"].tolist() == [5, 5]
    average.update(module, 0)  # early weights are forgotten: a tenth is kept
    assert average.state["weight"] == pytest.approx([0.1 * 1.2 + 0.9 * 3] * 2)
    last = Average(module, 0)
    with torch.no_grad():
        module.weight.fill_(7)
    last.update(module, 5)
    assert last.state["weight"].tolist() == [7, 7]


def test_the_rate_warms_up_and_drops_as_the_recipe_says() -> None:
    step = Recipe(schedule="step", warmup=0.1)
    rates = [step.rate(index, 300) for index in range(300)]
    assert rates[0] == pytest.approx(1 / 31)
    assert rates[:30] == sorted(rates[:30])
    assert rates[30:200] == [1] * 170
    assert rates[200:260] == pytest.approx([0.1] * 60)
    assert rates[260:] == pytest.approx([0.01] * 40)
    cosine = Recipe(schedule="cosine", warmup=0)
    assert cosine.rate(0, 100) == 1
    assert cosine.rate(50, 100) == pytest.approx(0.5)
    assert cosine.rate(99, 100) < 1e-3
    assert Recipe(epochs=2.5, batch=4).steps(10) == 6


def test_the_backbone_has_a_rate_of_its_own_and_0_freezes_it(tmp_path: Path) -> None:
    run = make(tmp_path / "slow", recipe=replace(RECIPE, optimiser="adamw", backbone_lr=1e-5))
    (optimiser,) = run.optimisers
    assert {group["peak"] for group in optimiser.param_groups} == {1e-2, 1e-5}
    assert {group["weight_decay"] for group in optimiser.param_groups if group["peak"] == 1e-5} == {0.1, 0}
    frozen = make(tmp_path / "frozen", recipe=replace(RECIPE, backbone_lr=0))
    before = {name: value.clone() for name, value in frozen.module.state_dict().items()}
    assert "backbone_norm.running_mean" in before
    frozen.train()
    moved = {name for name, value in frozen.module.state_dict().items() if not torch.equal(value, before[name])}
    assert moved
    assert not any("backbone" in name for name in moved)


def test_muon_takes_the_matrices_of_the_encoder_and_adamw_the_rest() -> None:
    model = tiny_student()
    rest, muon = training.optimisers(model, RECIPE)
    taken = {id(parameter) for group in muon.param_groups for parameter in group["params"]}
    names = {name for name, parameter in model.named_parameters() if id(parameter) in taken}
    layers = ("attention.qkv", "attention.out", "mlp.up", "mlp.down")
    assert names == {f"encoder.blocks.{block}.{layer}.weight" for block in (0, 1) for layer in layers}
    left = sum(len(group["params"]) for group in rest.param_groups)
    assert left + len(taken) == sum(parameter.requires_grad for parameter in model.parameters())
    before = {id(parameter): parameter.detach().clone() for parameter in model.parameters()}
    for parameter in model.parameters():
        parameter.grad = torch.randn_like(parameter)
    muon.step()
    moved = [parameter for parameter in model.parameters() if not torch.equal(parameter, before[id(parameter)])]
    assert {id(parameter) for parameter in moved} == taken


@pytest.mark.parametrize("supported", [True, False])
def test_bfloat16_is_used_where_the_processor_has_it_and_else_float32_which_is_said(
    supported: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bfloat16, "is_fast", lambda device: supported)
    seen = []

    def spying(model: nn.Module, batch: Any) -> dict[str, torch.Tensor]:
        seen.append(torch.is_autocast_enabled("cpu"))
        return objective(model, batch)

    make(tmp_path, recipe=replace(RECIPE, epochs=0.25, bf16=True), objective=spying).train()
    assert seen == [supported]
    assert ("training in float32" in capsys.readouterr().err) is not supported


def distill(cache: Path, out: Path, *flags: str, processes: int = 1) -> list[str]:
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"] if processes > 1 else []
    recipe = cache / "recipe.yaml"  # L_sim is a product of two means over the batch, so sharing a batch changes it
    recipe.write_text("{batch: 4, lr: 0.003, bf16: false, ema: 0.9, losses: {simulated_heatmap: 0}}\n")
    return [
        sys.executable, *launcher, str(ROOT / "tests" / "tiny_models.py"), str(cache), "distill.student",
        "--student", "tiny_plain", "--teacher", "tiny_teacher", "--teacher-file", str(cache / "teacher.safetensors"),
        "--recipe", str(recipe), "--people", "24", "--epochs", "4", "--out", str(out), *flags,
    ]  # fmt: skip


def command(*args: str, timeout: float = 90) -> subprocess.CompletedProcess[str]:
    return subprocess.run(args, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=timeout)


def test_kill_9_and_two_processes_and_an_undisturbed_run_give_the_same_weights(tmp_path: Path) -> None:
    checkpoint.save(TinyTeacher(), tmp_path / "teacher.safetensors")
    whole, killed, shared = (tmp_path / name for name in ("whole", "killed", "shared"))
    assert command(*distill(tmp_path, whole)).returncode == 0

    with subprocess.Popen(distill(tmp_path, killed), cwd=ROOT, env=environment(), stderr=subprocess.PIPE) as process:
        while not (killed / "checkpoint.pt").exists() and process.poll() is None:
            time.sleep(0.002)
        process.kill()
    assert process.returncode == -9
    assert not (killed / "student.safetensors").exists()
    assert command(*distill(tmp_path, killed, "--resume")).returncode == 0
    assert (killed / "student.safetensors").read_bytes() == (whole / "student.safetensors").read_bytes()

    answer = command(*distill(tmp_path, shared, processes=2))
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.count("PCK@0.2") == 1  # one process speaks
    alone, both = (load_file(folder / "student.safetensors") for folder in (whole, shared))
    for name, value in alone.items():
        torch.testing.assert_close(both[name], value, rtol=1e-3, atol=1e-4)
