"""The points that no other point beats in both latency and accuracy."""

from __future__ import annotations

from collections.abc import Sequence


def front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Indices of the points (latency, accuracy) that no other point equals or beats in both, the fastest first.

    Of equal points the first counts.
    """
    order = sorted(range(len(points)), key=lambda index: (points[index][0], -points[index][1], index))
    best: list[int] = []
    for index in order:
        if not best or points[index][1] > points[best[-1]][1]:
            best.append(index)
    return best
