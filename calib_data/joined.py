"""Several data sources as one."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

from calib_data.sample import PoseSource, Sample
from pose.errors import InputError


class Joined:
    """The samples of every source, one source after the other; all have the same skeleton."""

    def __init__(self, sources: Sequence[PoseSource]) -> None:
        names = sorted({source.skeleton.name for source in sources})
        if len(names) != 1:
            raise InputError(f"data of several skeletons ({', '.join(names)}) cannot be joined; train on one at a time")
        self.sources, self.skeleton = sources, sources[0].skeleton
        self._ends = list(accumulate(len(source) for source in sources))

    def __len__(self) -> int:
        return self._ends[-1]

    def __getitem__(self, index: int) -> Sample:
        index = range(len(self))[index]
        which = bisect_right(self._ends, index)
        return self.sources[which][index - (self._ends[which - 1] if which else 0)]
