"""Several data sources as one."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

import numpy as np

from calib_data.sample import Labels, PoseSource
from pose.errors import InputError
from pose.skeleton import Skeleton


class Joined:
    """The people of every source, one source after the other; a `calib_data.sample.PoseSource`.

    Raises:
        InputError: the sources' skeletons have different joints.
    """

    def __init__(self, sources: Sequence[PoseSource]) -> None:
        self.sources, self.skeleton = sources, sources[0].skeleton
        for source in sources[1:]:
            _require_same_joints(self.skeleton, source.skeleton)
        self._ends = list(accumulate(len(source) for source in sources))

    def __len__(self) -> int:
        return self._ends[-1]

    def labels(self, index: int) -> Labels:
        source, index = self._locate(index)
        return source.labels(index)

    def image(self, index: int) -> np.ndarray:
        source, index = self._locate(index)
        return source.image(index)

    def _locate(self, index: int) -> tuple[PoseSource, int]:
        """The source that holds a sample, and the sample's number there."""
        index = range(len(self))[index]
        which = bisect_right(self._ends, index)
        return self.sources[which], index - (self._ends[which - 1] if which else 0)


def _require_same_joints(first: Skeleton, other: Skeleton) -> None:
    if first.joints == other.joints:
        return
    if first.name != other.name:
        names = ", ".join(sorted((first.name, other.name)))
        raise InputError(f"data of several skeletons ({names}) cannot be joined; train on one at a time")
    differing = sorted(set(first.joints) ^ set(other.joints))
    what = f"only one of them has {', '.join(differing)}" if differing else "the order differs"
    raise InputError(f"the files' skeletons '{first.name}' have other joints ({what}) and cannot be joined; train on one")
