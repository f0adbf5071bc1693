"""Several data sources as one."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate

import numpy as np

from calib_data.sample import Labels, PoseSource
from pose import cli
from pose.errors import InputError
from pose.skeleton import Skeleton


class Converted:
    """The people of a source with the joints of another skeleton; those that the source does not have are not labelled.

    A `calib_data.sample.PoseSource`.
    """

    def __init__(self, source: PoseSource, skeleton: Skeleton) -> None:
        self.source, self.skeleton = source, skeleton

    def __len__(self) -> int:
        return len(self.source)

    def labels(self, index: int) -> Labels:
        labels = self.source.labels(index)
        return replace(labels, keypoints=self.source.skeleton.convert(labels.keypoints, self.skeleton))

    def image(self, index: int) -> np.ndarray:
        return self.source.image(index)


class Joined:
    """The people of every source, one source after the other; a `calib_data.sample.PoseSource`.

    All have the skeleton of the first source. Of a source with other joints those that the first one has are taken over.

    Raises:
        InputError: a source shares no joint with the first.
    """

    def __init__(self, sources: Sequence[PoseSource]) -> None:
        self.skeleton = sources[0].skeleton
        for source in sources[1:]:
            _require_shared_joints(self.skeleton, source.skeleton)
        same = self.skeleton.joints
        self.sources = [one if one.skeleton.joints == same else Converted(one, self.skeleton) for one in sources]
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


def _require_shared_joints(first: Skeleton, other: Skeleton) -> None:
    if first.joints == other.joints:
        return
    shared = first.shared(other)
    if not shared:
        raise InputError(f"data of skeletons '{first.name}' and '{other.name}' cannot be joined: they share no joint")
    left_out = [joint for joint in other.joints if joint not in shared]
    cli.note(
        f"note: of the joints of '{other.name}', {len(shared)} are joints of '{first.name}', the first file's skeleton"
        + (f"; left out: {', '.join(left_out)}" if left_out else "")
    )
