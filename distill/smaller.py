"""A student that replaces a larger one: it starts from what the two share, and what is new in it learns from the other.

A network of which a part is replaced by a smaller, untrained one answers nothing sensible, and training all of it at once
would spoil what is left. So the new part alone is trained first (`learns: new` of a recipe), until the trunk gives the
features that it gave before (Romero et al., "FitNets", ICLR 2015), and then everything, by an ordinary recipe.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from distill import processes
from pose.errors import InputError
from pose.models import checkpoint


class Features:
    """What the trunks of a student and of the larger one, their modules `backbone`, gave for the crops that both saw last.

    Raises:
        InputError: one of them has no such module.
    """

    def __init__(self, student: nn.Module, larger: nn.Module) -> None:
        self._last: dict[nn.Module, Any] = {}
        self._trunks = [_trunk(network) for network in (student, larger)]
        for trunk in self._trunks:
            trunk.register_forward_hook(self._keep)

    def _keep(self, trunk: nn.Module, _: Any, features: Any) -> None:
        self._last[trunk] = features

    def pair(self) -> tuple[Tensor, Tensor]:
        """Those of the student and of the larger one, float32.

        Raises:
            InputError: they are not tensors of one shape.
        """
        ours, theirs = (self._last[trunk] for trunk in self._trunks)
        shapes = [list(one.shape) if isinstance(one, Tensor) else type(one).__name__ for one in (ours, theirs)]
        if not isinstance(ours, Tensor) or not isinstance(theirs, Tensor) or ours.shape != theirs.shape:
            raise InputError(
                f"the student's trunk gives {shapes[0]}, the one that it replaces {shapes[1]}: features are compared value "
                "by value; leave 'features' out of the recipe's losses"
            )
        return ours.float(), theirs.float()


def _trunk(network: nn.Module) -> nn.Module:
    trunk = getattr(network, "backbone", None)
    if not isinstance(trunk, nn.Module):
        raise InputError(
            f"{type(network).__name__} has no module 'backbone', whose features could be compared; leave 'features' out of "
            "the recipe's losses"
        )
    return trunk


def take_over(student: Any, larger: Any, name: str, *, only_new: bool) -> None:
    """Copy every tensor that the larger network has under the same name and in the same shape; say which ones are new.

    Args:
        student, larger: networks of `pose.models.build`.
        name: of the larger network.
        only_new: freeze what was copied.

    Raises:
        InputError: the two share nothing or differ in nothing, or their crops have other colours.
    """
    if len({(crop.colour, crop.mean, crop.std) for crop in (student.crop, larger.crop)}) > 1:
        raise InputError(f"{name} takes crops of other colours, mean or std than the student that is to replace it")
    new = checkpoint.load_matching(student, larger.state_dict(), head=True)
    modules = {_module(key) for key in new}  # a layer's bias belongs to its weight, and learns with it
    parameters = dict(student.named_parameters())
    learning = [key for key in parameters if _module(key) in modules]
    if len(new) == len(student.state_dict()):
        raise InputError(f"the student shares no weights with {name}: give modules that stay the names that they have there")
    if not learning:
        raise InputError(f"every weight of the student is one of {name}: there is nothing new to learn; use --weights alone")
    shown = f"{', '.join(learning[:4])}{', ...' if len(learning) > 4 else ''}"
    processes.note(f"{len(parameters) - len(learning)} tensors are those of {name}, {len(learning)} are new: {shown}")
    if only_new:
        for key, parameter in parameters.items():
            parameter.requires_grad_(key in learning)


def _module(key: str) -> str:
    return key.rpartition(".")[0] or key
