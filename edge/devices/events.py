"""The events that a device's agent reports: one schema, so that nothing else a device sends becomes a number."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from edge import agent
from pose.errors import BackendError, first_problem, one_line

Event = dict[str, Any]  # the fields below, those that were sent
MOST = 100_000  # events of one job, and latencies of one event: a device that sends more is not our agent

_Text = Annotated[str, Field(max_length=4000)]
_Count = Annotated[int, Field(ge=0, le=10**9)]
_Time = Annotated[float, Field(ge=0, le=1e9)]  # in ms or s
_Latency = Annotated[float, Field(ge=1e-6, le=1e9)]  # ms, a nanosecond at least
_Size = Annotated[float, Field(ge=0, le=1e9)]  # in MB, in pixels, or as a share


class _Event(BaseModel):
    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)


class _Times(_Event):
    event: Literal["times"]
    artefact: _Text
    s: _Time
    ms: list[_Latency] = Field(max_length=MOST)


class _Golden(_Event):
    event: Literal["golden"]
    artefact: _Text = ""
    max_px: _Size
    max_score: _Size | None = None
    accelerator: _Text = ""


class _Stages(_Event):
    event: Literal["stages"]
    artefact: _Text
    ms: dict[Literal["preprocess", "model", "decode"], Annotated[list[_Time], Field(min_length=1, max_length=MOST)]]


class _Clock(_Event):
    event: Literal["clock"]
    s: _Time
    mhz: list[Annotated[float, Field(ge=0, le=1e5)]] = Field(default=[], max_length=64)


class _Progress(_Event):
    event: Literal["progress"]
    done: _Count


class _Runtime(_Event):
    event: Literal["runtime"]
    python: _Text = ""  # none runs in an app
    versions: dict[_Text, _Text] = Field(max_length=64)
    emulated: bool
    own_s: _Time


class _Result(_Event):
    event: Literal["result"]
    load_ms: _Latency | None = None
    first_ms: _Latency | None = None
    runtime_memory_mb: _Size | None = None
    peak_memory_mb: _Size | None = None
    runs: list[_Count] | None = Field(default=None, max_length=64)
    done: _Count | None = None


class _Error(_Event):
    event: Literal["error"]
    kind: _Text
    message: str


_ANY: TypeAdapter[Any] = TypeAdapter(
    Annotated[_Times | _Golden | _Stages | _Clock | _Progress | _Runtime | _Result | _Error, Field(discriminator="event")]
)


def parse(line: str) -> Event | None:
    """The agent's event in a line, whatever precedes it; None if the line has none.

    Raises:
        BackendError: an unknown event, a field is missing, or a number cannot be: NaN, infinite, a latency of 0.
    """
    _, mark, text = line.partition(agent.MARK)
    try:
        value = json.loads(text) if mark else None
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict) or not isinstance(value.get("event"), str):
        return None
    try:
        return _ANY.validate_python(value).model_dump(exclude_unset=True)
    except ValidationError as error:
        raise BackendError(
            f"the agent reported something impossible: {one_line(': '.join(first_problem(error)), 200)}"
        ) from error
