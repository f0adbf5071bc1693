"""The optimisers of a recipe over the parameter groups that a network declares."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from distill import bfloat16
from distill.recipe import Recipe

BACKBONE, ENCODER = "backbone", "encoder"  # groups with a meaning of their own here; every other parameter is alike


def optimisers(model: nn.Module, recipe: Recipe, device: torch.device = torch.device("cpu")) -> list[torch.optim.Optimizer]:
    """The recipe's optimiser, with two learning rates: one for the group `backbone`, one for the rest.

    Biases and norms are not decayed. Muon takes the matrices of the group `encoder` (K. Jordan et al., 2024; its steps are
    as large as Adam's, so one rate serves both), AdamW everything else. Parameters with a rate of 0 are frozen.

    Args:
        model: declares its groups by `parameter_groups()` (see `pose.models.protocols.Student`); one that declares none has
            neither a backbone nor an encoder.
        device: where it will train.
    """
    group_of = {id(parameter): name for name, parameters in declared_groups(model).items() for parameter in parameters}
    settings: dict[tuple[bool, float, float], list[nn.Parameter]] = {}
    for parameter in model.parameters():
        group = group_of.get(id(parameter))
        rate = recipe.backbone_lr if group == BACKBONE else recipe.lr
        if rate == 0:
            parameter.requires_grad_(False)
        if parameter.requires_grad:
            decay = recipe.weight_decay if parameter.ndim > 1 else 0.0
            by_muon = recipe.optimiser == "muon" and parameter.ndim == 2 and group == ENCODER
            settings.setdefault((by_muon, rate, decay), []).append(parameter)
    groups: dict[bool, list[dict[str, Any]]] = {}
    for (by_muon, rate, decay), parameters in settings.items():
        groups.setdefault(by_muon, []).append({"params": parameters, "peak": rate, "weight_decay": decay})
    adam = torch.optim.Adam if recipe.optimiser == "adam" else torch.optim.AdamW
    made: list[torch.optim.Optimizer] = [adam(groups[False], lr=recipe.lr)] if False in groups else []
    if True in groups:
        muon = torch.optim.Muon if bfloat16.is_fast(device) else bfloat16.Float32Muon
        made.append(muon(groups[True], lr=recipe.lr, adjust_lr_fn="match_rms_adamw"))
    return made


def declared_groups(model: nn.Module) -> dict[str, list[nn.Parameter]]:
    """`model.parameter_groups()`, or no groups where the model declares none."""
    declare = getattr(model, "parameter_groups", None)
    return declare() if declare is not None else {}
