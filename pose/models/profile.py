"""Size of a network, counted as in the papers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from pose.crop import CropSpec


def parameters(model: nn.Module) -> int:
    """Number of parameters without the fixed position embedding, and without what is for training alone (`auxiliary`)."""
    left_out = tuple(getattr(model, "auxiliary", ()))
    return sum(
        parameter.numel()
        for name, parameter in model.named_parameters()
        if name.rpartition(".")[2] != "position" and not any(name.startswith(f"{part}.") for part in left_out)
    )


@dataclass(frozen=True)
class Operations:
    """What a network computes for one crop.

    Attributes:
        layers: multiply-adds of convolutions and linears. raised: those of them in transposed convolutions.
        attention: multiply-adds of products of two activations.
        normalised, softmax, elementwise: values that batch norms, softmaxes, and ReLUs and additions give.
    """

    layers: int
    raised: int
    attention: int
    normalised: int
    softmax: int
    elementwise: int


# A way of counting in the papers' tables -> operations, in G.
WAYS: dict[str, Callable[[Operations], float]] = {
    # DistilPose, DeepPose, RLE on ResNet, Poseur, OKDHP: convolutions and linears
    "layers": lambda count: count.layers / 1e9,
    # PRTR, and the TransPose-R of the paper's table
    "layers and attention": lambda count: (count.layers + count.attention) / 1e9,
    # HRNet's tool, for SimpleBaselines, too: a transposed convolution of stride 2 at its output's resolution; binary giga
    "HRNet": lambda count: (count.layers + 3 * count.raised) / 2**30,
    # TransPose's tool, without the values of dropout, which are below 1 %
    "TransPose": lambda count: (
        (count.layers + 3 * count.raised + count.attention + 4 * count.normalised + 5 * count.softmax + count.elementwise)
        / 1e9
    ),
}


class _Counter(TorchDispatchMode):
    """Adds up what the operators beneath it compute, by field of `Operations`."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        output, name = func(*args, **(kwargs or {})), func.overloadpacket.__name__
        if name == "convolution":
            images, weight, transposed = args[0], args[1], args[6]
            work = (images if transposed else output).numel() * weight[0].numel()
            self.counts["layers"] += work
            self.counts["raised"] += work * transposed
        elif name in ("mm", "addmm"):
            self.counts["layers"] += output.numel() * args[-2].shape[-1]
        elif name in ("bmm", "baddbmm"):
            self.counts["attention"] += output.numel() * args[-2].shape[-1]
        elif "batch_norm" in name:
            self.counts["normalised"] += output[0].numel()
        elif name == "_softmax":
            self.counts["softmax"] += output.numel()
        elif name.rstrip("_") in ("relu", "add"):
            self.counts["elementwise"] += output.numel()
        return output


@torch.no_grad()
def operations(model: nn.Module, crop: CropSpec) -> Operations:
    """What a network computes for one crop; it may be on the device `meta`."""
    training = model.training
    try:
        parameter = next(model.parameters())
        image = torch.zeros(1, 3, crop.height, crop.width, dtype=parameter.dtype, device=parameter.device)
        with _Counter() as counter:
            model.eval()(image)
    finally:
        model.train(training)
    return Operations(**{part.name: counter.counts[part.name] for part in fields(Operations)})


def multiply_adds(model: nn.Module, crop: CropSpec) -> int:
    """Multiply-adds of the convolutions and linears for one crop; products inside the attention are not counted."""
    return operations(model, crop).layers
