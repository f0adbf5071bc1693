"""`python -m edge.peers`: our artefacts beside networks of others, on the same people and in turns in one process."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pose import cli
from pose.errors import BackendError, InputError

if TYPE_CHECKING:
    from calib_data.sample import PoseSource
    from edge.evaluate.peers import Network, Peers
    from edge.peers.networks import Opener, Request


def compare(
    openers: Sequence[Opener],
    missing: Sequence[Network],
    sources: Mapping[str, PoseSource],
    people: Mapping[str, tuple[str, str]],
    *,
    threads: Sequence[int] = (1,),
    rounds: int = 20,
    baseline: str | None = None,
    limit: int | None = None,
    seed: int = 0,
) -> Peers:
    """Accuracy of every network on every set, then latency on each number of threads.

    Args:
        missing: records of what was skipped.
        people: name of a set -> its path and boxes, for the record.
        baseline: name of the network that ratios are to [default: the first peer that was timed, else the first network].
    """
    from edge.devices import facts
    from edge.devices.local import Local
    from edge.evaluate.peers import Peers, PeopleSet
    from edge.peers import measure

    before = facts.read(Local())
    networks = {opener.record.name: opener.record for opener in openers}
    for opener in openers:
        accuracy = {name: measure.score(opener, name, source, limit, seed) for name, source in sources.items()}
        networks[opener.record.name] = measure.with_accuracy(opener.record, accuracy)
    peaks = []
    for count in threads:
        timings, limits, failures = measure.time_all(openers, next(iter(sources.values())), count, rounds)
        peaks += limits
        for name, network in networks.items():
            networks[name] = measure.with_timing(network, timings.get(name), failures.get(name))
    timed = [network for network in networks.values() if network.timings]
    peers = [network for network in timed if network.kind == "peer"]
    base = baseline or next((network.name for network in [*peers, *timed]), None)
    return Peers(
        command=f"python -m edge.peers {shlex.join(sys.argv[1:])}",
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        facts=before,
        people={
            name: PeopleSet(
                path=people[name][0],
                boxes=people[name][1],
                persons=min(limit or len(source), len(source)),
                joints=len(source.skeleton),
            )
            for name, source in sources.items()
        },
        threads=list(threads),
        rounds=rounds,
        block=measure.BLOCK,
        baseline=base,
        peaks=peaks,
        networks=[*measure.with_ratios(list(networks.values()), base, peaks), *missing],
    )


def _open(artefacts: Sequence[str], requests: Sequence[Request]) -> tuple[list[Opener], list[Network]]:
    """The networks that are here, and the records of the peers that are not.

    Raises:
        InputError: an artefact or a YAML is wrong, two networks have one name, or nothing is left.
    """
    from edge.peers.networks import Foreign, Student, skipped
    from pose.sessions import MissingModelError

    openers: list[Opener] = []
    missing = []
    for text in artefacts:
        name, _, path = ("", "", text) if Path(text).exists() else text.rpartition("=")
        openers.append(Student(Path(path), name))
    for request in requests:
        try:
            openers.append(Foreign(request.name, request.teacher, request.file))
        except (MissingModelError, BackendError) as error:
            missing.append(skipped(request, error))
            cli.note(f"note: {request.name} is skipped: {missing[-1].error}")
    names = [opener.record.name for opener in openers] + [network.name for network in missing]
    if repeated := {name for name in names if names.count(name) > 1}:
        raise InputError(f"two networks are named {min(repeated)}; name one of them, as other={min(repeated)}...")
    if not openers:
        raise InputError("there is nothing to compare; name artefacts of edge.export, or --peer NAME=YAML")
    return openers, missing


def _sources(
    data: Sequence[str], images: Sequence[str], boxes: Sequence[str]
) -> tuple[dict[str, PoseSource], dict[str, tuple[str, str]]]:
    from edge.evaluate.check import open_source
    from edge.evaluate.records import EMBEDDED

    files, folders, kinds = (
        cli.pairs(flag, texts) for flag, texts in (("--data", data), ("--images", images), ("--boxes", boxes))
    )
    for flag, names in (("--images", folders), ("--boxes", kinds)):
        if unknown := set(names) - set(files):
            raise InputError(f"{flag} {min(unknown)}=...: no --data has that name")
    if not files:
        return {"drawn": open_source(None, None, "annotation")}, {"drawn": (EMBEDDED, "annotation")}
    sources = {
        name: open_source(Path(file), Path(folders[name]) if name in folders else None, kinds.get(name, "annotation"))
        for name, file in files.items()
    }
    return sources, {name: (file, kinds.get(name, "annotation")) for name, file in files.items()}


def _print(peers: Peers) -> None:
    """A table of sizes and accuracy, and one of latency for each number of threads."""
    from edge.report import peers as report

    out = cli.console()
    scored = report.IDENTITY + report.SIZES + len(peers.people)  # columns; those of latency follow
    _print_table(report.heads(peers, [1])[:scored], [cells[:scored] for cells in report.rows(peers, peers.threads[:1])])
    for count in peers.threads:
        heads, rows = report.heads(peers, [count]), report.rows(peers, [count])
        (heads, *rows) = ([*cells[: report.IDENTITY], *cells[scored:]] for cells in [heads, *rows])
        _print_table(heads, rows)
    for sentence in report.notes(peers, peers.threads):
        out.print(sentence)


def _print_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.table import Column, Table

    table = Table(Column(heads[0], no_wrap=True), *heads[1:])
    for cells in rows:
        table.add_row(*cells)
    cli.console().print(table)


def main(
    artefact: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME=]FILE", help="Of edge.export, any runtime and precision.")
    ] = None,
    peer: Annotated[
        list[str],
        typer.Option(metavar="[NAME=]YAML[:FILE]", help="A network by its YAML, as a teacher's; repeatable."),
    ] = [],  # noqa: B006 - typer copies it
    data: Annotated[
        list[str], typer.Option(metavar="NAME=JSON", help="COCO keypoints; repeatable [default: 300 drawn people].")
    ] = [],  # noqa: B006
    images: Annotated[
        list[str], typer.Option(metavar="NAME=FOLDER", help="Of that data [default: the folder images beside the json].")
    ] = [],  # noqa: B006
    boxes: Annotated[
        list[str], typer.Option(metavar="NAME=annotation|keypoints|JSON", help="Of that data [default: annotation].")
    ] = [],  # noqa: B006
    threads: Annotated[list[int], typer.Option(min=1, max=cli.MOST_THREADS, help="Of the runtimes; repeatable.")] = [1],  # noqa: B006
    rounds: Annotated[int, typer.Option(min=1, max=100_000, help="Turns of each network, ten inferences in a turn.")] = 20,
    baseline: Annotated[str | None, typer.Option(metavar="NAME", help="Ratios are to it [default: the first peer].")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first so many people of each set.")] = None,
    json: cli.Json = None,
    seed: cli.Seed = 0,
) -> None:
    """Compare artefacts with networks of others: AP and PCK on the same boxes, latency in turns, share of the int8 peak."""
    from edge.peers.measure import require_all
    from edge.peers.networks import Request
    from pose.files import write_json

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    counts = list(dict.fromkeys(threads))
    if max(counts) > cores:
        raise InputError(f"--threads {max(counts)}: this machine has {cores} core(s); more threads than cores time nothing")
    openers, missing = _open(artefact or [], [Request.parse(text) for text in peer])
    names = [opener.record.name for opener in openers]
    if baseline is not None and baseline not in names:
        raise InputError(f"--baseline {baseline} is not among the networks that are here: {', '.join(names)}")
    sources, people = _sources(data, images, boxes)
    result = compare(
        openers, missing, sources, people, threads=counts, rounds=rounds, baseline=baseline, limit=limit, seed=seed
    )
    if json:
        write_json(json, result.as_json())  # before printing, which may fail
    _print(result)
    require_all(result.networks)


if __name__ == "__main__":
    cli.run(main, "edge.peers", "python -m edge.peers dist/*.tflite --peer movenet_lightning_int8 --data val=people.json")
