"""A run's folder: one process at a time, nothing overwritten, nothing damaged taken for a run."""

from __future__ import annotations

import os
import pickle
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from small_run import RECIPE, STEPS, environment, make
from torch import nn

from calib_data.augment import Augmentation
from distill.batches import Batch
from distill.recipe import LossWeights, Recipe
from pose.errors import InputError

ROOT = Path(__file__).parents[2]


def test_a_folder_with_a_run_is_not_overwritten(tmp_path: Path) -> None:
    make(tmp_path).train()
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(InputError, match="--resume"):
        make(tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize(
    ("named", "recipe", "settings"),
    [
        ("recipe.lr", replace(RECIPE, lr=2e-2), {}),
        ("recipe.losses.confidence", replace(RECIPE, losses=LossWeights(confidence=1)), {}),
        ("recipe.augmentation.flip", replace(RECIPE, augmentation=Augmentation(flip=0)), {}),
        ("student", RECIPE, {"student": "other"}),
        ("digests.teacher", RECIPE, {"digests": {"teacher": "b"}}),
        ("more", RECIPE, {"more": 1}),
    ],
)
def test_other_settings_are_refused_by_name(named: str, recipe: Recipe, settings: dict[str, Any], tmp_path: Path) -> None:
    make(tmp_path)
    with pytest.raises(InputError, match=f"another '{re.escape(named)}'") as caught:
        make(tmp_path, resume=True, recipe=recipe, **settings)
    assert len(str(caught.value)) < 400


class Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("exploded",)


def test_a_checkpoint_that_is_damaged_foreign_or_code_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make(tmp_path).train()
    file = tmp_path / "checkpoint.pt"
    good = file.read_bytes()
    for damaged in (b"", good[: len(good) // 2], good[:-1], pickle.dumps(Bomb(), protocol=2)):
        file.write_bytes(damaged)
        with pytest.raises(InputError, match="cannot be read"):
            make(tmp_path, resume=True)
    torch.save({"state": Bomb()}, file)
    with pytest.raises(InputError, match="cannot be read"):
        make(tmp_path, resume=True)
    assert not (tmp_path / "exploded").exists()
    for foreign in ([1], {"step": 1}, {"step": 1, "model": {}, "optimisers": [], "average": {}}):
        torch.save(foreign, file)
        with pytest.raises(InputError, match="does not belong"):
            make(tmp_path, resume=True)


def test_a_broken_record_is_refused(tmp_path: Path) -> None:
    make(tmp_path)
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(InputError, match="not valid json"):
        make(tmp_path, resume=True)


def test_a_checkpoint_without_a_record_is_refused(tmp_path: Path) -> None:
    make(tmp_path).save()
    (tmp_path / "run.json").unlink()
    with pytest.raises(InputError, match=r"run\.json is missing"):
        make(tmp_path, resume=True)


@pytest.mark.parametrize("step", [-1, STEPS + 1, 2.0, True, "3", None])
def test_a_checkpoint_of_an_impossible_step_is_refused(tmp_path: Path, step: object) -> None:
    make(tmp_path).save()
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    torch.save({**state, "step": step}, tmp_path / "checkpoint.pt")
    with pytest.raises(InputError, match="does not belong to this run"):
        make(tmp_path, resume=True)


@pytest.mark.parametrize("damage", [b"\x00\x00\x00\n", b"\xff\xfe\n", b"x,1.0,y\n", b"3,later\n", b'"open\n'])
def test_a_damaged_log_does_not_cost_the_checkpoint(tmp_path: Path, damage: bytes) -> None:
    whole = make(tmp_path)
    whole.train()
    log = tmp_path / "log.csv"
    before = log.read_bytes()
    log.write_bytes(before + damage)
    assert make(tmp_path, resume=True).step == STEPS
    assert log.read_bytes() == before


def test_a_student_that_diverged_is_not_a_result(tmp_path: Path) -> None:
    run = make(tmp_path)
    run.average.state["encoder.weight"].fill_(torch.nan)
    with pytest.raises(InputError, match=r"diverged: 1 tensors .* \(encoder\.weight first\)"):
        run.finish()


HOLD = """
import sys
from pathlib import Path
from distill.run_folder import require_new_run_dir
require_new_run_dir(Path(sys.argv[1]), False)
print("held", flush=True)
sys.stdin.read()
"""


def test_a_folder_belongs_to_one_process_until_it_ends(tmp_path: Path) -> None:
    (tmp_path / ".checkpoint.pt.a1b2c3d4.pt").touch()  # of a run that was killed
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        assert [path.name for path in tmp_path.iterdir()] == [".lock"]
        with pytest.raises(InputError, match=rf"is used by process {holder.pid} on .+; wait for its end"):
            make(tmp_path)
        holder.kill()
    assert make(tmp_path).step == 0


def test_a_folder_that_cannot_be_written_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot write"):
        make(tmp_path / "file" / "run")


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from small_run import make
from pose.errors import InputError
run = make(Path(sys.argv[1]))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
try:
    run.train()
except InputError as error:
    print(error)
"""


def test_a_full_disk_ends_the_run_with_one_line(tmp_path: Path) -> None:
    answer = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path)], env=environment(), capture_output=True, text=True, timeout=60
    )
    assert re.fullmatch(r"cannot write .*checkpoint\.pt: .*\n", answer.stdout), answer.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log.csv", "run.json"]


def test_a_loss_that_is_no_number_ends_the_run(tmp_path: Path) -> None:
    def explode(model: nn.Module, batch: Batch) -> dict[str, torch.Tensor]:
        return {"regression": model(batch.images).coords.mean() * float("nan")}

    with pytest.raises(InputError, match=r"the loss is nan at step 1 .*lower lr"):
        make(tmp_path, objective=explode).train()
    assert not (tmp_path / "checkpoint.pt").exists()
