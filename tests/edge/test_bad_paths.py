"""Folders where files belong, runtimes that are not installed, limits that are no numbers: one line each."""

from __future__ import annotations

import logging
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edge import bench, check, doctor, export
from edge.devices import job as jobs
from edge.devices.local import Local
from edge.devices.session import Session
from edge.report import __main__ as report
from pose import card as cards
from pose import cli
from pose.errors import BackendError, InputError
from pose.weights import bundled


@pytest.fixture
def restored() -> Iterator[None]:
    """What `cli.run` changes for the rest of a process."""
    handler, disabled = signal.getsignal(signal.SIGTERM), logging.root.manager.disable
    with warnings.catch_warnings():
        yield
    signal.signal(signal.SIGTERM, handler)
    logging.disable(disabled)


@pytest.mark.parametrize("path", ["/", ".", "..", "/dev", "/dev/null", "no/such.pte", "d\udcff/x.pte"])
def test_a_path_that_is_no_artefact_is_wrong_input(path: str) -> None:
    for main in (check.main, bench.main, doctor.main):
        with pytest.raises(InputError) as caught:
            main(artefact=Path(path))
        assert "\n" not in str(caught.value)
    with pytest.raises(InputError):
        export.main(program=Path(path))


@pytest.mark.parametrize("path", ["/", ".", "/dev/null", "no/such.json", "d\udcff.json"])
@pytest.mark.parametrize("option", ["check", "bench", "against"])
def test_a_path_that_is_no_measurement_is_wrong_input(option: str, path: str, tmp_path: Path) -> None:
    value: Any = Path(path) if option == "against" else [Path(path)]
    with pytest.raises(InputError) as caught:
        report.main(**{option: value}, out=tmp_path / "report.html")
    assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("restored")
@pytest.mark.parametrize(
    ("main", "arguments", "line"),
    [
        (check.main, ["--artefact", ""], "--artefact has an empty value; name something, or leave it out"),
        (check.main, ["--artefact="], "--artefact has an empty value; name something, or leave it out"),
        (check.main, ["--data", "", "--images", "x"], "--data has an empty value"),
        (check.main, ["--json", "/"], "cannot write /: Is a directory"),
        (check.main, ["--max-drop", "nan"], "Invalid value for '--max-drop'"),
        (check.main, ["--max-drop", "inf"], "--max-drop inf is no number to measure by; give a finite one"),
        (bench.main, ["--max-p90-ms", "nan"], "Invalid value for '--max-p90-ms'"),
        (bench.main, ["--max-p90-ms", "inf"], "--max-p90-ms inf is no number"),
        (report.main, ["--worse", "nan"], "Invalid value for '--worse'"),
        (report.main, ["--out", "/"], "cannot write /: Is a directory"),
        (report.main, ["--check", "x\x1b[31m\n[/b]"], r"cannot read x\x1b[31m [/b]: No such file or directory"),
        (export.main, ["--min-int8-macs", "nan"], "Invalid value for '--min-int8-macs'"),
        (export.main, ["--precision", "fp32", "--min-int8-macs", "0.9"], "--min-int8-macs is for --precision int8, not"),
        (export.main, ["--precision", "[/b]\x1b"], "Invalid value for '--precision': '[/b]\\x1b' is not one of"),
    ],
)
def test_wrong_options_end_with_a_line_and_2(
    main: Callable[..., None], arguments: list[str], line: str,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr(sys, "argv", ["command", *arguments])
    with pytest.raises(SystemExit) as caught:
        cli.run(main, "edge.command", "example")
    out, error = capsys.readouterr()
    assert (caught.value.code, out) == (2, "")
    assert error.startswith(f"error: {line}")
    assert error.count("\n") == 1
    assert "\x1b" not in error


def test_a_bench_of_onnx_without_onnx_names_the_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    card = cards.read(bundled() / "card.yaml").model_copy(update={"target": "onnx"})
    for module in ("onnx", "targets.onnx.backend"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(BackendError, match=r"^target onnx needs onnx; pip install 'distilpose-edge\[onnx\]'$"):
        jobs.runnable_file(Path("x.onnx"), card, "x86_64", tmp_path)


@pytest.mark.parametrize(("runtime", "extra"), [("tflite", "tflite"), ("onnx", "onnx"), ("executorch", "executorch")])
def test_a_runtime_that_the_agent_misses_here_is_named_by_its_extra(runtime: str, extra: str) -> None:
    hint = Session(Local())._hint("runtime", {"artefacts": [{"runtime": runtime}]})  # type: ignore[typeddict-item]
    assert hint == f"; pip install 'distilpose-edge[{extra}]'"
