"""What was trained here and comes with the package: programs by name, each a folder; `index.yaml` says how each was made."""

from __future__ import annotations

from pathlib import Path

from pose.errors import InputError

FOLDER = Path(__file__).parent
SKELETON = "coco17"  # of everything bundled
DEFAULT = "distilpose_edge"  # trained on real photos; what a bare `python -m edge.export` takes
_SHARED = dict.fromkeys(("distilpose_edge_t", "distilpose_edge_s", "distilpose_edge_m"), DEFAULT)  # one network, three sizes


def bundled(name: str = DEFAULT) -> Path:
    """The folder of a bundled program: `student_fp32.pt2.cut` (see `pose.cut_graphs`), `student_int8.pt2`, `card.yaml`.

    Beside them lie the artefacts that were lowered from it for a target that needs no torch.

    Raises:
        InputError: there is none of that name.
    """
    folder = FOLDER / name
    if not (folder / "card.yaml").is_file():
        known = ", ".join(sorted(card.parent.name for card in FOLDER.glob("*/card.yaml"))) or "none in this checkout"
        raise InputError(f"no program '{name}' is bundled ({known}); make one with python -m quantize.qat")
    return folder


def weights_file(name: str) -> Path:
    """The bundled float weights of a network.

    Raises:
        InputError: there are none of that name.
    """
    path = FOLDER / f"{_SHARED.get(name, name)}.safetensors"
    if not path.is_file():
        known = ", ".join(sorted(path.stem for path in FOLDER.glob("*.safetensors"))) or "none in this checkout"
        raise InputError(
            f"no weights of '{name}' are bundled ({known}); give --weights, or train it with python -m distill.student"
        )
    return path
