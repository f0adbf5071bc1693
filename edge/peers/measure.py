"""Accuracy of each network on the same people and boxes, then latency of all in turns, in this process."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from pydantic import ValidationError

from calib_data.sample import PoseSource
from edge.devices.measure import summary
from edge.evaluate.answers import answer
from edge.evaluate.columns import accuracy
from edge.evaluate.peers import Accuracy, Network, Peak, PeerTiming
from edge.peers.networks import Opener, Timed
from pose import cli
from pose.crop import affine, warp
from pose.errors import BackendError, InputError, UserError, first_problem, one_line
from pose.scoring import shared_joints
from targets import gemm

BLOCK = 10  # inferences in one turn; one more before them, with the caches of another network, is not counted
WARM_UP, DECODES = 10, 50


def score(network: Opener, name: str, source: PoseSource, limit: int | None, seed: int) -> Accuracy:
    """AP and PCK of one network, over the joints that it shares with the people; a failure is the record's `error`."""
    try:
        joints = list(shared_joints(source.skeleton, network.skeleton))
    except InputError as error:
        return Accuracy(error=one_line(error, 300))
    try:
        count = min(limit or len(source), len(source))
        label = network.record.name
        scene, answers = answer(
            {label: network.predictor()},
            network.spec,
            source,
            limit,
            lambda numbers: cli.track(numbers, f"Scoring {label} on {name}", count),
        )
        column = accuracy(scene, answers[label], network.skeleton, seed)
        return Accuracy(**column.model_dump(), joints=joints)
    except (UserError, ValueError) as error:
        return Accuracy(joints=joints, error=one_line(error, 300))


def with_accuracy(network: Network, accuracy: dict[str, Accuracy]) -> Network:
    """The network with its figures. One that shares joints with a set and is not scored on it has failed."""
    errors = [one.error for one in accuracy.values() if one.error and one.joints]
    return network.model_copy(update={"accuracy": accuracy, "error": next(iter(errors), network.error)})


def with_timing(network: Network, timing: PeerTiming | None, error: str | None) -> Network:
    """The network with one more timing, or with the reason why there is none."""
    timings = [*network.timings, timing] if timing else network.timings
    return network.model_copy(update={"timings": timings, "error": network.error or error})


def time_all(
    networks: Sequence[Opener], source: PoseSource, threads: int, rounds: int
) -> tuple[dict[str, PeerTiming], list[Peak], dict[str, str]]:
    """Name -> timing, without ratios; the peak of each runtime; and name -> why a network has no timing.

    Every network, and the matrix product of every runtime, has its turn in each round.

    Args:
        source: whose first person all see.
    """
    image, box = source.image(0), source.labels(0).box
    opened: dict[str, Timed] = {}
    failures: dict[str, str] = {}
    for network in networks:
        crop = warp(image, affine(box, network.spec), network.spec)
        try:
            with cli.quiet():  # runtimes announce themselves
                opened[network.record.name] = network.timed(crop, threads)
        except Exception as error:  # every runtime has exceptions of its own
            failures[network.record.name] = one_line(error, 300)
    runtimes = dict.fromkeys(network.record.runtime for network in networks if network.record.name in opened)
    with cli.quiet():
        products = {f" {runtime}": gemm.open_peak(runtime, threads) for runtime in runtimes}  # no name begins with a space
    calls = {name: timed.call for name, timed in opened.items()}
    calls |= {name: call for name, call in products.items() if call is not None}
    times, failed = take_turns(calls, rounds, f"Timing, {threads} thread(s)")
    timings, peaks = {}, []
    for name, ms in times.items():
        try:
            if name in products:
                speed = gemm.MULTIPLY_ADDS / 1e6 / min(ms)
                peaks.append(Peak(runtime=name[1:], threads=threads, mmac_per_ms=speed))
            else:
                decode_ms = _median_ms(opened[name].decode)
                timings[name] = PeerTiming(threads=threads, min_ms=min(ms), latency_ms=summary(ms), decode_ms=decode_ms)
        except (ValidationError, ZeroDivisionError) as error:  # a time of 0 is none
            reason = ": ".join(first_problem(error)) if isinstance(error, ValidationError) else "one of them is 0"
            failures[name] = f"its times mean nothing: {one_line(reason, 200)}"
        except Exception as error:  # of decoding
            failures[name] = one_line(error, 300)
    opened.clear()
    gc.collect()  # ExecuTorch has one pool of threads: nothing of it stays open for the next number
    return timings, peaks, failures | failed


def take_turns(
    calls: Mapping[str, Callable[[], object]], rounds: int, what: str = "Timing"
) -> tuple[dict[str, list[float]], dict[str, str]]:
    """Name -> ms of each counted call, `BLOCK` in each round; and name -> why a call failed, which ends its turns."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    failures: dict[str, str] = {}
    with cli.progress(what, rounds) as step:
        for nth in range(rounds + 1):
            for name, call in calls.items():
                if name in failures:
                    continue
                try:
                    block = [_ms(call) for _ in range(WARM_UP if not nth else BLOCK + 1)]
                except Exception as error:  # every runtime has exceptions of its own
                    failures[name] = one_line(error, 300)
                    del times[name]
                    continue
                times[name] += block[1:] if nth else []
            step(nth)
    return times, failures


def _ms(call: Callable[[], object]) -> float:
    start = time.perf_counter_ns()
    call()
    return (time.perf_counter_ns() - start) / 1e6


def _median_ms(call: Callable[[], object]) -> float:
    return float(np.median([_ms(call) for _ in range(DECODES)]))


def with_ratios(networks: Sequence[Network], baseline: str | None, peaks: Sequence[Peak]) -> list[Network]:
    """The networks, each timing with its ratio to the baseline's and its share of the peak of its runtime."""
    bases = {timing.threads: timing.min_ms for network in networks if network.name == baseline for timing in network.timings}
    limits = {(peak.runtime, peak.threads): peak.mmac_per_ms for peak in peaks}

    def complete(network: Network, timing: PeerTiming) -> PeerTiming:
        base, limit = bases.get(timing.threads), limits.get((network.runtime, timing.threads))
        macs = network.multiply_adds if network.precision == "int8" else None
        share = macs / 1e6 / timing.min_ms / limit if macs and limit else None
        return timing.model_copy(update={"ratio": timing.min_ms / base if base else None, "peak_share": share})

    return [
        network.model_copy(update={"timings": [complete(network, timing) for timing in network.timings]})
        for network in networks
    ]


def require_all(networks: Sequence[Network]) -> None:
    """Raises BackendError if a network that is here has no accuracy or no timing; those that are not here are only named."""
    failed = {network.name: network.error for network in networks if network.error and not network.skipped}
    if failed:
        (name, error), *others = failed.items()
        more = f"; {', '.join(other for other, _ in others)} failed, too" if others else ""
        raise BackendError(f"{len(failed)} of {len(networks)} networks failed; {name}: {error}{more}")
