"""Where the processor does not multiply bfloat16: oneDNN then does it one by one, 10 to 20 times slower than float32."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


def is_fast(device: torch.device) -> bool:
    """Whether bfloat16 gains on this device."""
    return device.type != "cpu" or torch.ops.mkldnn._is_mkldnn_bf16_supported()


class Float32Muon(torch.optim.Muon):
    """torch's Muon with its Newton-Schulz iterations in float32, which torch does in bfloat16 everywhere.

    On a processor without bfloat16 those took more than half of a step of `distilpose_s`. Groups and state are torch's, so a
    run resumes with either. Steps differ by the rounding of bfloat16.
    """

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        if closure is not None:
            raise ValueError("no closure is taken")
        for group in self.param_groups:
            parameters: list[Tensor] = []
            grads: list[Tensor] = []
            momenta: list[Tensor] = []
            self._init_group(group, parameters, grads, momenta)
            for parameter, grad, momentum in zip(parameters, grads, momenta, strict=True):
                momentum.lerp_(grad, 1 - group["momentum"])
                wanted = grad.lerp(momentum, group["momentum"]) if group["nesterov"] else momentum
                update = orthogonal(wanted, group["ns_coefficients"], group["ns_steps"], group["eps"])
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
                parameter.add_(update, alpha=-0.2 * group["lr"] * max(parameter.shape) ** 0.5)  # match_rms_adamw


def orthogonal(matrix: Tensor, coefficients: tuple[float, float, float], steps: int, eps: float) -> Tensor:
    """A matrix whose singular values Newton-Schulz iterations have brought near 1 (K. Jordan et al., 2024)."""
    a, b, c = coefficients
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.mT if tall else matrix
    x = x / x.norm().clamp(min=eps)
    for _ in range(steps):
        gram = x @ x.mT
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if tall else x
