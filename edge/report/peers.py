"""Students beside foreign networks: one table, on the console and in Markdown, and one figure for each set of people."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from edge.evaluate.peers import Accuracy, Network, Peers, PeerTiming
from edge.evaluate.timings import Timing
from edge.report.escape import markdown
from edge.report.model import Entry
from edge.report.scatter import scatter
from edge.report.svg import document
from edge.report.words import megabytes, ms, points

IDENTITY, SIZES = 3, 3  # columns of a row: what a network is, and how large; accuracy and latency follow
STYLE = Path(__file__).parent / "templates" / "style.css"


def heads(peers: Peers, threads: Sequence[int]) -> list[str]:
    """Titles of the columns."""
    titles = ["network", "runtime", "", "px", "MMAC", "MB"]
    titles += [f"{name}: AP, PCK@0.2" for name in peers.people]
    for count in threads:
        titles += [f"{count} thread{'s' * (count > 1)}, ms: min", "median, p90", "to baseline", "of int8 peak"]
    return [*titles, "decoding in numpy, ms"]


def rows(peers: Peers, threads: Sequence[int]) -> list[list[str]]:
    """A row for each network, those that were timed first, the fastest first; numbers that were not measured are empty."""
    first = threads[0]
    usual = {name: usual_joints(peers, name) for name in peers.people}

    def order(network: Network) -> tuple[bool, float]:
        timing = network.timing(first)
        return timing is None, timing.min_ms if timing else 0

    table = []
    for network in sorted(peers.networks, key=order):
        timings = [network.timing(count) for count in threads]
        table.append(
            [
                network.name + " (baseline)" * (network.name == peers.baseline),
                "skipped" if network.skipped else network.runtime,
                network.precision or "",
                "x".join(map(str, network.crop)) if network.crop else "",
                f"{network.multiply_adds / 1e6:.0f}" if network.multiply_adds else "",
                megabytes(network.bytes),
                *(_score(network.accuracy.get(name), usual[name]) for name in peers.people),
                *(cell for timing in timings for cell in _times(timing)),
                ms(timings[0].decode_ms) if timings[0] else "",
            ]
        )
    return table


def usual_joints(peers: Peers, name: str) -> int:
    """On how many joints of a set most networks are scored: figures over others are not comparable with these."""
    counts = Counter(len(one.joints) for network in peers.networks if (one := network.accuracy.get(name)) and one.joints)
    return counts.most_common(1)[0][0] if counts else 0


def notes(peers: Peers, threads: Sequence[int]) -> list[str]:
    """Sentences below the table: what it was measured on, and what is missing."""
    cpu = peers.facts.cpu or peers.facts.model or "this machine"
    sets = [f"{name}: {people.persons} people, boxes: {people.boxes}" for name, people in peers.people.items()]
    turns = f"{peers.rounds} turns of {peers.block} inferences each, all networks in one process on {cpu}"
    sentences = [f"{'; '.join(sets)}. {turns}; the input is ready, and decoding outside of the file has its own column."]
    for name in peers.people:
        usual = usual_joints(peers, name)
        others = [
            n.name for n in peers.networks if (one := n.accuracy.get(name)) and one.joints and len(one.joints) != usual
        ]
        if others:
            sentences.append(f"{name} is scored on {usual} joints, or on as many as stand in brackets.")
    limits = [
        f"{peak.runtime} {peak.mmac_per_ms:.0f} on {peak.threads} thread{'s' * (peak.threads > 1)}"
        for peak in peers.peaks
        if peak.threads in threads
    ]
    if limits:
        sentences.append(
            f"Peak, million multiply-adds a ms of int8 convolutions 1 x 1 of 256 channels: {', '.join(limits)}."
        )
    for network in peers.networks:
        errors = [network.error, *(one.error for one in network.accuracy.values())]
        for error in dict.fromkeys(error for error in errors if error):
            sentences.append(f"{network.name}: {'skipped: ' if network.skipped else ''}{error}")
    return sentences


def as_markdown(peers: Peers, threads: Sequence[int]) -> str:
    """The table and its notes."""
    titles = heads(peers, threads)
    lines = [titles, ["---", "---", "---", *["---:"] * (len(titles) - 3)], *rows(peers, threads)]
    table = [f"| {' | '.join(cell if cell.startswith('---') else markdown(cell) for cell in cells)} |" for cells in lines]
    return "\n".join([*table, "", *(f"{markdown(sentence)}  " for sentence in notes(peers, threads))])


def figures(peers: Peers) -> dict[str, str]:
    """Name of the set -> an SVG file of its own, readable on a light and on a dark page; none where nothing is drawn.

    Networks that are scored on other joints than most are left out.
    """
    drawn = {}
    for name in peers.people:
        chart = scatter(_entries(peers, name), {}, {})
        if chart is not None:
            drawn[name] = document(chart, _style())
    return drawn


def _entries(peers: Peers, name: str) -> list[Entry]:
    """The points of the figure. A runtime stands where a report has a device: a shape and a line of its own."""
    usual, threads = usual_joints(peers, name), peers.threads[0]
    entries = []
    for network in peers.networks:
        timing, accuracy = network.timing(threads), network.accuracy.get(name)
        if timing is None or accuracy is None or network.precision is None or len(accuracy.joints) != usual:
            continue
        entries.append(
            Entry(
                label=network.title,
                artefact=network.name,
                student=network.title,
                target=network.runtime,
                precision=network.precision,
                bytes=network.bytes,
                accuracy=accuracy,
                device=network.runtime,
                threads=threads,
                timing=Timing(latency_ms=timing.latency_ms),
            )
        )
    return entries


def _style() -> str:
    """The rules of the report's style sheet that a drawing needs: its colours, of both themes, and those of `svg`."""
    sheet = STYLE.read_text(encoding="utf-8")
    colours = re.findall(r"^:root \{.*?^\}|^@media screen and \(prefers-color-scheme: dark\) \{.*?^\}", sheet, re.M | re.S)
    drawing = re.findall(r"^svg [^{]+\{[^}]*\}.*$", sheet, re.M)
    return "\n".join([*colours, *drawing])


def _score(accuracy: Accuracy | None, usual: int) -> str:
    if accuracy is None or accuracy.error or not accuracy.joints:
        return ""
    others = f" ({len(accuracy.joints)})" if len(accuracy.joints) != usual else ""
    return f"{points(accuracy.ap)}, {points(accuracy.pck)}{others}"


def _times(timing: PeerTiming | None) -> list[str]:
    if timing is None:
        return [""] * 4
    latency = timing.latency_ms
    ratio = "" if timing.ratio is None else f"{timing.ratio:.2f}"
    share = "" if timing.peak_share is None else f"{timing.peak_share:.0%}"
    return [ms(timing.min_ms), f"{ms(latency.p50)}, {ms(latency.p90)}", ratio, share]
