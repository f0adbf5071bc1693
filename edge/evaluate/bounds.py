"""The numbers of records, each with the range outside of which it means nothing.

They are strict: pydantic would take true for 1 and "12" for 12.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

_LARGEST = 1e9  # of a time in ms, of a size in MB, of a length in pixels
_PIXELS = 1e12  # between two answers, each at most 1e6 crops away (`targets.common.LARGEST`)

Score = Annotated[float, Field(strict=True, ge=0, le=100)]  # AP, AR, PCK in points
Distance = Annotated[float, Field(strict=True, ge=0, le=_PIXELS)]  # in pixels of the crop
Coordinate = Annotated[float, Field(strict=True, ge=-_PIXELS, le=_PIXELS)]  # in pixels of an image
Latency = Annotated[float, Field(strict=True, ge=1e-6, le=_LARGEST)]  # ms of an inference, a nanosecond at least
Duration = Annotated[float, Field(strict=True, ge=0, le=_LARGEST)]  # ms, where 0 is below the clock's step
Megabytes = Annotated[float, Field(strict=True, ge=0, le=_LARGEST)]
Count = Annotated[int, Field(strict=True, ge=0, le=10**9)]
Number = Annotated[int, Field(strict=True, ge=1, le=10**9)]  # of things of which there is one at least
FileBytes = Annotated[int, Field(strict=True, ge=1, le=10**15)]
Figure = Annotated[float, Field(strict=True, ge=-1e15, le=1e15)]  # of any unit


def _in_order(ends: tuple[float | None, float | None]) -> tuple[float | None, float | None]:
    low, high = ends
    if low is not None and high is not None and low > high:
        raise ValueError(f"{low} to {high} is no interval")
    return ends


ScoreInterval = Annotated[tuple[Score | None, Score | None], AfterValidator(_in_order)]
DistanceInterval = Annotated[tuple[Distance | None, Distance | None], AfterValidator(_in_order)]
