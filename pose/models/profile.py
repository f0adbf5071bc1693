"""Size of a network, counted as in the papers."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pose.crop import CropSpec


def parameters(model: nn.Module) -> int:
    """Number of parameters without the fixed position embedding, and without what is for training alone (`auxiliary`)."""
    left_out = ("position", *getattr(model, "auxiliary", ()))
    return sum(
        parameter.numel()
        for name, parameter in model.named_parameters()
        if not any(name == part or name.startswith(f"{part}.") for part in left_out)
    )


@torch.no_grad()
def multiply_adds(model: nn.Module, crop: CropSpec) -> int:
    """Multiply-adds of the convolutions and linears for one crop; products inside the attention are not counted."""
    total = 0

    def count(layer: nn.Module, _: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal total
        total += output.numel() * _fan_in(layer)

    hooks = [m.register_forward_hook(count) for m in model.modules() if _fan_in(m)]
    training = model.training
    try:
        parameter = next(model.parameters())
        model.eval()(torch.zeros(1, 3, crop.height, crop.width, dtype=parameter.dtype, device=parameter.device))
    finally:
        model.train(training)
        for hook in hooks:
            hook.remove()
    return total


def _fan_in(layer: nn.Module) -> int:
    """Products of each value that a layer computes: of convolutions, linears, and what declares its own; 0 of others."""
    return layer.weight[0].numel() if isinstance(layer, nn.Conv2d | nn.Linear) else getattr(layer, "fan_in", 0)
