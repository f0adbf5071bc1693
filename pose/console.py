"""The console script: `distilpose package command ...` is `python -m package.command ...`."""

from __future__ import annotations

import contextlib
import difflib
import runpy
import sys
from typing import NoReturn, TextIO

from pose import __version__
from pose.streams import end, open_standard_streams, printable

# module -> what it does, in the order of the work; tests/test_house.py holds that no command is missing
COMMANDS = {
    "calib_data.inspect": "Show what is in a file of people, what was left out and why",
    "calib_data.cut": "Cut every person out of their photo, with context and labels: a small folder to train on",
    "distill.teacher": "Fit a heatmap teacher to labels",
    "distill.student": "Train a float student against a heatmap teacher",
    "distill.ablation": "Train a student with each combination of losses, from the same start, and compare",
    "quantize.qat": "Make an int8 program: calibrate, then fine-tune with the distillation losses active",
    "quantize.compare": "Compare PTQ, QAT on labels alone and QAT with distillation: equal steps, several seeds",
    "edge.predict": "Find the keypoints of people in photos, videos and cameras",
    "edge.export": "Lower a program to a backend: artefacts with cards",
    "edge.check": "Score fp32, fake-quantized and lowered on the same people; gates",
    "edge.bench": "Time fp32 and int8 in turns, here and on devices",
    "edge.peers": "Compare artefacts with networks of others: accuracy and latency in one process",
    "edge.report": "Accuracy and latency on one page",
    "edge.doctor": "Check what this host and the devices can run, and say how to fix what they cannot",
    "edge.npu": "Estimate how much of a .tflite an Ethos-U NPU takes",
    "edge.teacher": "Score a teacher on labelled people",
    "android_demo.build": "Build the Android app",
    "edge.demo": "Print the table and draw the picture of `make demo`",
}
USAGE = "Usage: distilpose PACKAGE COMMAND [OPTIONS]"


def listing(package: str = "") -> str:
    """Usage and the commands, one a line; those of one package if it is given."""
    names = {f"distilpose {name.replace('.', ' ')}": text for name, text in COMMANDS.items() if name.startswith(package)}
    width = max(map(len, names))
    lines = [f"  {name:<{width}}  {text}" for name, text in names.items()]
    notes = ["`distilpose PACKAGE COMMAND --help` shows a command's options and an example.", "--version shows the version."]
    return "\n".join([USAGE, "", "Commands:", *lines, "", *notes])


def main() -> NoReturn:
    """Run the command that `sys.argv` names, as `python -m` would; exit codes are the command's, 2 if there is none."""
    open_standard_streams()
    arguments = sys.argv[1:]
    if arguments[:1] == ["--version"]:
        _answer(f"distilpose-edge {__version__}")
    if arguments[:1] in ([], ["--help"]):
        _answer(listing())
    package, *rest = arguments
    if rest[:1] in ([], ["--help"]) and any(name.startswith(f"{package}.") for name in COMMANDS):
        _answer(listing(f"{package}."))
    module = ".".join([package, *rest[:1]])
    if "." in package or module not in COMMANDS:
        similar = difflib.get_close_matches(module, COMMANDS, n=1)
        hint = f"did you mean 'distilpose {similar[0].replace('.', ' ')}'? " if similar else ""
        command = " ".join([package, *rest[:1]])
        line = f"error: no command 'distilpose {command}'; {hint}distilpose --help lists them all"
        _answer(printable(line), sys.stderr, 2)
    sys.argv[1:3] = []
    runpy.run_module(module, run_name="__main__", alter_sys=True)
    sys.exit(0)


def _answer(text: str, stream: TextIO | None = None, code: int = 0) -> NoReturn:
    with contextlib.suppress(OSError):  # its reader has left
        print(text, file=stream or sys.stdout)
    end(code)


if __name__ == "__main__":
    main()
