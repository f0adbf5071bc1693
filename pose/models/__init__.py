"""Networks by name. Importing this package does not import torch: a builder imports what it needs when it is called.

A network of the project's own is a module here and one line in `MODELS`; one from outside is `path/file.py:factory`, see
`resolve`, or is registered by `register`. What a network must offer is in `pose.models.protocols`.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from pose.crop import BGR, CropSpec, require_pixels
from pose.errors import InputError, one_line

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class ModelSpec:
    """What is known of a network before it is built.

    Attributes:
        builder: number of keypoints -> network with random weights.
        crop: the crop that it takes.
        heatmap: (width, height) of the grid on which heatmaps are compared: a teacher's own, a student's simulated ones.
        teacher: it predicts heatmaps; a student predicts coordinates.
        source: the Python file that the builder comes from, for a network from outside the project.
        corners: the heatmaps of its weights reach from the centre of the crop's first pixel to that of its last one (UDP),
            which no file shows; see `pose.heatmaps.HeatmapGrid`.
    """

    builder: Callable[[int], nn.Module]
    crop: CropSpec
    heatmap: tuple[int, int]
    teacher: bool
    source: Path | None = None
    corners: bool = False


def _lazy(module: str, name: str) -> Callable[[int], nn.Module]:
    return lambda keypoints: getattr(import_module(f"pose.models.{module}"), name)(keypoints)


_PORTRAIT = CropSpec()


def _square(size: int) -> CropSpec:
    return CropSpec(width=size, height=size, mean=(127.5,) * 3, std=(127.5,) * 3)


# module: names in it
_TEACHERS = {
    "tokenpose": "tokenpose_t tokenpose_s_v1 tokenpose_s_v2 tokenpose_b tokenpose_l_d24 tokenpose_s tokenpose_l",
    "simplebaselines": "simplebaselines_r50 simplebaselines_r101 simplebaselines_r152 "
    "simplebaselines_r50_caffe simplebaselines_r101_caffe simplebaselines_r152_caffe",
    "hrnet": "hrnet_w32 hrnet_w48",
    "transpose": "transpose_r_a3 transpose_r_a4 transpose_h_s transpose_h_a4 transpose_h_a6",
    "okdhp": "okdhp_hg2 okdhp_hg4 okdhp_hg8 okdhp_2stack_train okdhp_4stack_train",
}

_RLE = CropSpec(mean=(0.406 * 255, 0.457 * 255, 0.48 * 255), std=(255.0,) * 3)  # the authors' crops

_GATED = {"distilpose_edge_t": 160, "distilpose_edge_s": 192, "distilpose_edge_m": 224, "distilpose_edge_l": 256}


def _gated(name: str) -> ModelSpec:
    return ModelSpec(_lazy("gated", name), _square(_GATED[name]), (_GATED[name] // 4,) * 2, teacher=False)


MODELS: dict[str, ModelSpec] = {
    **{
        name: ModelSpec(_lazy(module, name), _PORTRAIT, (48, 64), teacher=True)
        for module, names in _TEACHERS.items()
        for name in names.split()
    },
    **{  # checkpoints that were trained with UDP
        f"{name}_udp": ModelSpec(_lazy("hrnet", name), _PORTRAIT, (48, 64), teacher=True, corners=True)
        for name in ("hrnet_w32", "hrnet_w48")
    },
    "distilpose_s": ModelSpec(_lazy("distilpose", "distilpose_s"), _PORTRAIT, (48, 64), teacher=False),
    "distilpose_l": ModelSpec(_lazy("distilpose", "distilpose_l"), _PORTRAIT, (48, 64), teacher=False),
    **{name: _gated(name) for name in _GATED},
    "distilpose_edge": _gated("distilpose_edge_s"),  # the bundled one
    "deeppose_r50": ModelSpec(_lazy("deeppose", "deeppose_r50"), _PORTRAIT, (48, 64), teacher=False),
    "rle_r50": ModelSpec(_lazy("rle", "rle_r50"), _RLE, (48, 64), teacher=False),
    "rle_hrnet_w48": ModelSpec(_lazy("rle", "rle_hrnet_w48"), _RLE, (48, 64), teacher=False),
    "rle_r50_mmpose": ModelSpec(_lazy("rle", "rle_r50_mmpose"), _PORTRAIT, (48, 64), teacher=False),
    "prtr_r50": ModelSpec(_lazy("prtr", "prtr_r50"), BGR, (48, 64), teacher=False),
    "prtr_w32": ModelSpec(_lazy("prtr", "prtr_w32"), _PORTRAIT, (48, 64), teacher=False),
    "poseur_mbv2": ModelSpec(_lazy("poseur", "poseur_mbv2"), _PORTRAIT, (48, 64), teacher=False),
    "poseur_r50": ModelSpec(_lazy("poseur", "poseur_r50"), _PORTRAIT, (48, 64), teacher=False),
}


def register(name: str, spec: ModelSpec) -> None:
    """Make a network known under a name, which becomes part of file names.

    Raises:
        InputError: another network has the name, or it holds more than letters, digits, `-` and `_`.
    """
    if not name.replace("_", "").replace("-", "").isalnum():
        raise InputError(f"'{name}' cannot be the name of a network; use letters, digits, - and _")
    if MODELS.get(name, spec) != spec:
        raise InputError(f"there already is a network '{name}'; give the new one another name")
    MODELS[name] = spec


def resolve(text: str, *, teacher: bool = False) -> str:
    """The name in `MODELS` of what a command line names: a registered network, or `path/file.py:factory`.

    A factory is registered under its own name. **This runs the code in the user's file.**

    Raises:
        InputError: see `load_factory` and `register`.
    """
    path, _, factory = text.rpartition(":")
    if not path.endswith(".py"):
        return text
    register(factory, load_factory(text, teacher=teacher))
    return factory


def load_factory(text: str, *, teacher: bool = False) -> ModelSpec:
    """The network that `path/file.py:factory` names: a class or function of the user's that takes the number of keypoints.

    `crop` and `heatmap` are attributes of the factory (of a class, its class attributes) or else of what it builds.

    Raises:
        InputError: there is no such file or factory, the file cannot be imported, or `crop` or `heatmap` is missing or
            wrong.
    """
    path, factory = Path(text.rpartition(":")[0]), text.rpartition(":")[2]
    if not path.is_file():
        raise InputError(f"no file {path}; a network from outside is given as path/file.py:factory")
    source = path.resolve()
    module = _import_file(source)
    builder = getattr(module, factory, None)
    if not callable(builder):
        own = [name for name, value in vars(module).items() if getattr(value, "__module__", "") == module.__name__]
        raise InputError(f"{path} defines no class or function '{factory}'; it defines: {', '.join(own) or 'none'}")
    described: Any = builder if hasattr(builder, "crop") and hasattr(builder, "heatmap") else _built(text, builder, 1)
    crop, heatmap = getattr(described, "crop", None), getattr(described, "heatmap", None)
    if not isinstance(crop, CropSpec):
        raise InputError(f"{text} has no attribute `crop` that is a pose.crop.CropSpec: the crop that it takes")
    try:
        require_pixels(crop.mean, crop.std)
    except ValueError as error:
        raise InputError(f"{text}: its crop's {error}") from error
    if not isinstance(heatmap, tuple) or [type(side) for side in heatmap] != [int, int] or min(heatmap) < 1:
        raise InputError(f"{text} has no attribute `heatmap` that is (width, height): the grid of its heatmaps")
    return ModelSpec(builder, crop, heatmap, teacher, source)


def _import_file(path: Path) -> ModuleType:
    name = f"distilpose_file_{hashlib.sha256(str(path).encode()).hexdigest()[:12]}"
    if name in sys.modules:  # a file is imported once, whichever of its factories are loaded
        return sys.modules[name]
    spec = spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = module_from_spec(spec)  # dataclasses look their module up
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # the user's code may raise anything
        del sys.modules[name]
        raise InputError(f"{path} cannot be imported ({_described(error)}); run it with python to see where") from error
    return module


def _built(name: str, builder: Callable[[int], nn.Module], keypoints: int) -> nn.Module:
    try:
        return builder(keypoints)
    except Exception as error:  # the user's code may raise anything
        raise InputError(f"{name} cannot be built for {keypoints} keypoints ({_described(error)})") from error


def _described(error: Exception) -> str:
    return f"{type(error).__name__}: {one_line(error, 200)}"


def build(name: str, keypoints: int = 17, weights: Path | str | Mapping[str, Any] | None = None) -> nn.Module:
    """A network of `MODELS`, in training mode; its forward returns `pose.models.output.PoseOutput`.

    It has the `crop`, `heatmap` and `corners` of its `ModelSpec` as attributes.

    Args:
        weights: a file or a state dict, in our layout or a public one (see `checkpoint.load`); random weights when None.

    Raises:
        InputError: no such model, no keypoints, weights that cannot be read or do not fit, or a student from outside that is
            no `pose.models.protocols.Student`.
    """
    if name not in MODELS:
        raise InputError(
            f"there is no model '{name}'; choose one of {', '.join(MODELS)}, or name a factory: path/file.py:factory"
        )
    if keypoints < 1:
        raise InputError(f"{name} needs at least 1 keypoint, not {keypoints}")
    spec = MODELS[name]
    model = spec.builder(keypoints) if spec.source is None else _built(name, spec.builder, keypoints)
    for attribute in ("crop", "heatmap", "corners"):
        if not hasattr(model, attribute):
            setattr(model, attribute, getattr(spec, attribute))
    if spec.source is not None and not spec.teacher:
        from pose.models.protocols import require_student

        require_student(model, name, keypoints)
    if weights is not None:
        from pose.models import checkpoint

        checkpoint.load(model, weights, name)
    return model
