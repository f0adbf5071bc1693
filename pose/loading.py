"""`pose.load`: a student by its name, ready for an image.

Opening an artefact takes a backend, which lies above this package, and `pose` imports no other package of ours. So the
loader is named here and resolved when it is called, as `pose.console` does with the commands.
"""

from __future__ import annotations

import pkgutil
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike

    from pose.poses import Poses
    from pose.skeleton import Skeleton

LOADER = "edge.predict.student:load"


class Estimator(Protocol):
    """What `load` returns.

    Attributes:
        skeleton: the joints of its answers.
    """

    skeleton: Skeleton

    def __call__(self, image: np.ndarray, boxes: ArrayLike | None = None) -> Poses:
        """Keypoints of the person in each box.

        Args:
            image: uint8 [H, W, 3], RGB.
            boxes: [N, 4], (x, y, width, height) in pixels [default: the whole image].

        Raises:
            InputError: the image or a box is not of that form.
            BackendError: the runtime failed.
        """
        ...


def load(student: str | Path = "distilpose_edge", runtime: str | None = None, threads: int = 1) -> Estimator:
    """A student that is called with an image: `pose.load("distilpose_edge", runtime="tflite")(image_rgb, boxes)`.

    Args:
        student: name of a bundled student, or the path of an artefact with its card beside it.
        runtime: target of a bundled student [default: one that runs here without lowering, if there is one].
        threads: of the runtime.

    Raises:
        InputError: no such student, file or target, or the file does not match its card.
        BackendError: the runtime is not installed, or refuses the file.
    """
    estimator: Estimator = pkgutil.resolve_name(LOADER)(student, runtime, threads)
    return estimator
