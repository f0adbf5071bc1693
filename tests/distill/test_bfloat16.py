"""Muon without bfloat16: torch's steps, up to the rounding of bfloat16, and its state."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from distill import bfloat16, optimisers
from distill.recipe import Recipe
from pose import models

SETTINGS = {"lr": 0.02, "weight_decay": 0.1, "adjust_lr_fn": "match_rms_adamw"}


def stepped(kind: type[torch.optim.Muon], parameter: nn.Parameter, grads: list[torch.Tensor]) -> torch.optim.Muon:
    optimiser = kind([parameter], **SETTINGS)
    for grad in grads:
        parameter.grad = grad.clone()
        optimiser.step()
    return optimiser


@pytest.mark.parametrize("shape", [(48, 192), (192, 48), (64, 64)])
def test_steps_are_those_of_torch_up_to_the_rounding_of_bfloat16(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    begin = torch.randn(shape)
    grads = [torch.randn(shape) for _ in range(3)]
    theirs, ours = nn.Parameter(begin.clone()), nn.Parameter(begin.clone())
    stepped(torch.optim.Muon, theirs, grads)
    stepped(bfloat16.Float32Muon, ours, grads)
    moved = (theirs - begin).norm()
    assert moved > 0.1
    assert (ours - theirs).norm() < 0.02 * moved


def test_singular_values_come_near_1() -> None:
    torch.manual_seed(0)
    values = torch.linalg.svdvals(bfloat16.orthogonal(torch.randn(40, 90), (3.4445, -4.7750, 2.0315), 5, 1e-7))
    assert values.min() > 0.5  # the bounds that torch documents
    assert values.max() < 1.5


def test_a_run_goes_on_with_the_state_of_the_other_kind() -> None:
    torch.manual_seed(0)
    first, second = torch.randn(24, 32), torch.randn(24, 32)
    before = nn.Parameter(torch.randn(24, 32))
    saved = copy.deepcopy(stepped(torch.optim.Muon, before, [first]).state_dict())
    whole, resumed = nn.Parameter(before.detach().clone()), nn.Parameter(before.detach().clone())
    for kind, parameter in ((torch.optim.Muon, whole), (bfloat16.Float32Muon, resumed)):
        optimiser = kind([parameter], **SETTINGS)
        optimiser.load_state_dict(copy.deepcopy(saved))
        parameter.grad = second.clone()
        optimiser.step()
    moved = (whole - before).norm()
    assert (resumed - whole).norm() < 0.02 * moved


@pytest.mark.parametrize("fast", [True, False])
def test_the_kind_is_chosen_by_the_processor(fast: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bfloat16, "is_fast", lambda device: fast)
    made = optimisers.optimisers(models.build("distilpose_s", 17), Recipe(optimiser="muon"))
    assert isinstance(made[-1], bfloat16.Float32Muon) is not fast
