"""Bad input to the edge commands: exit code 2, one line, nothing left behind."""

from __future__ import annotations

import hashlib
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from report_examples import bench as example_bench
from report_examples import check

from calib_data.synthetic import SyntheticPeople
from edge import dist, run
from edge.bench import bench, twins
from edge.check import main as check_command
from edge.devices.local import Local
from edge.devices.session import Plan
from edge.evaluate.check import check as evaluate
from edge.evaluate.demo import collect
from edge.export import export
from pose.errors import BackendError, InputError
from pose.program import load_program
from targets import base
from targets.spec import TargetSpec

ROOT = Path(__file__).parents[2]
Command = Callable[..., subprocess.CompletedProcess[str]]


def refused(answer: subprocess.CompletedProcess[str], *words: str) -> None:
    assert answer.returncode == 2, answer.stderr
    assert answer.stderr.startswith("error: ")
    assert len(answer.stderr.splitlines()) == 1
    assert not [word for word in words if word not in answer.stderr], answer.stderr


@pytest.mark.parametrize(
    ("module", "flags"),
    [
        ("edge.check", ["--data", "kept.json", "--json", "kept.json"]),
        ("edge.check", ["--artefact", "kept.json", "--json", "kept.json"]),
        ("edge.bench", ["--artefact", "kept.json", "--json", "kept.json"]),
        ("edge.teacher", ["--teacher", "kept.json", "--data", "other.json", "--json", "kept.json"]),
        ("edge.report", ["--check", "kept.json", "--out", "kept.html"]),
        ("edge.report", ["--data", "kept.json", "--out", "kept.html"]),
        ("edge.demo", ["--run", "folder", "--out", "kept.json", "--json", "kept.json"]),
        ("edge.export", ["--program", "folder", "--json", "folder/card.yaml"]),
        ("distill.student", ["--weights", "folder/student.safetensors", "--out", "folder"]),
        ("distill.student", ["--recipe", "folder/run.json", "--out", "folder"]),
        ("distill.teacher", ["--weights", "folder/teacher.safetensors", "--out", "folder"]),
        ("quantize.qat", ["--data", "kept.json", "--json", "kept.json"]),
    ],
)
def test_no_command_writes_over_what_it_reads(
    command: Command, module: str, flags: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    read = ("kept.json", "folder/card.yaml", "folder/student.safetensors", "folder/teacher.safetensors", "folder/run.json")
    for name in read:
        (tmp_path / name).write_text(name)
    paths = [str(tmp_path / flag) if "." in flag or flag == "folder" else flag for flag in flags]
    refused(command(module, *paths), "would write over")
    assert [(tmp_path / name).read_text() for name in read] == list(read)


def damage(path: Path) -> None:
    held = bytearray(path.read_bytes())
    held[len(held) // 2] ^= 1
    path.write_bytes(held)


def edit(card: Path, **fields: object) -> None:
    card.write_text(yaml.safe_dump({**yaml.safe_load(card.read_text()), **fields}))


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["edge.export", "--target", "abacus"], ["no target 'abacus'", "executorch"]),
        (["edge.export", "--program", "nowhere"], ["nowhere/card.yaml"]),
        (["edge.export", "--precision", "int3"], ["--precision", "int8"]),
        (["edge.check", "--artefact", "nowhere.pte"], ["nowhere.pte", "edge.export"]),
        (["edge.check", "--images", "photos", "--artefact", "nowhere.pte"], ["--data"]),
        (["edge.check", "--strict", "--artefact", "nowhere.pte"], ["--strict belong to --data"]),
        (["edge.check", "--limit", "0"], ["--limit"]),
        (["edge.bench", "--artefact", "nowhere.pte"], ["nowhere.pte", "edge.export"]),
        (["edge.bench", "--device", "toaster"], ["--device", "local", "ssh://"]),
        (["edge.bench", "--device", "local", "--device", "local"], ["--device", "twice"]),
        (["edge.bench", "--affinity", "two"], ["--affinity", "4-7"]),
        (["edge.bench", "--rigorous", "--sustained", "1"], ["--rigorous", "--sustained"]),
        (["edge.bench", "--threads", "0"], ["--threads"]),
        (["edge.bench", "--timeout", "1e300"], ["--timeout", "1000000"]),
        (["edge.bench", "--sustained", "1e300"], ["--sustained"]),
        (["edge.demo", "--run", "nowhere"], ["nowhere/ptq/check.json"]),
    ],
)
def test_flags(command: Command, flags: list[str], words: list[str], tiny_program: Path, tmp_path: Path) -> None:
    if "abacus" in flags:
        flags = [*flags, "--program", str(tiny_program)]
    if flags[0] == "edge.export":
        flags = [*flags, "--out", str(tmp_path / "out")]
    refused(command(*flags), *words)
    assert not (tmp_path / "out").exists()


def test_no_artefact_yet(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no int8 artefact in .*edge\.export"):
        dist.Dist(tmp_path).latest()


def test_a_damaged_program_is_not_lowered(tiny_program: Path, tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.mkdir()
    for path in tiny_program.iterdir():
        (program / path.name).write_bytes(path.read_bytes())
    damage(program / "student_int8.pt2")
    with pytest.raises(InputError, match="sha256"):
        export(program, "executorch", "int8", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_damaged_artefact_is_not_opened(artefact: Path) -> None:
    damage(artefact)
    with pytest.raises(InputError, match="sha256"):
        run.open(artefact)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"skeleton": "lsp14"}, "lsp14"),
        ({"schema_version": 9}, "schema version 9"),
        ({"input": {}}, "input"),
        ({"files": {}}, "card"),
    ],
)
def test_a_card_that_does_not_fit_is_refused(artefact: Path, fields: dict, words: str) -> None:
    edit(artefact.with_name(f"{artefact.name}.card.yaml"), **fields)
    with pytest.raises(InputError, match=words) as caught:
        run.open(artefact)
    assert "\n" not in str(caught.value)


def test_the_card_of_another_artefact_is_refused(artefact: Path) -> None:
    other = artefact.with_name("tiny-executorch-fp32.pte.card.yaml")
    artefact.with_name(f"{artefact.name}.card.yaml").write_bytes(other.read_bytes())
    with pytest.raises(InputError, match="its card describes"):
        run.open(artefact)


def test_an_artefact_without_its_program_is_not_checked(dist_folder: Path, artefact: Path) -> None:
    (dist_folder / "tiny.program" / "card.yaml").unlink()
    with pytest.raises(InputError, match=r"tiny\.program.*is missing; export it again"):
        _ = dist.find(artefact).program


def test_an_artefact_beside_another_program_is_not_checked(dist_folder: Path, artefact: Path) -> None:
    from tiny_network import make_program

    make_program(dist_folder / "tiny.program", seed=1)
    with pytest.raises(InputError, match="is not the program"):
        _ = dist.find(artefact).program


def test_an_artefact_without_its_twin_is_not_timed(dist_folder: Path, artefact: Path) -> None:
    (dist_folder / "tiny-executorch-fp32.pte.card.yaml").unlink()
    with pytest.raises(InputError, match="no fp32 artefact"):
        twins(dist.find(artefact))


def test_a_damaged_artefact_is_not_timed(artefact: Path) -> None:
    damage(artefact)
    with pytest.raises(InputError, match="sha256"):
        bench(Plan(twins(dist.find(artefact)), "quick", 1, 0.0), [Local()])


def test_crops_of_another_shape_are_refused(artefact: Path) -> None:
    import numpy as np

    runner = run.open(artefact)
    for crops in (np.zeros((1, 64, 64, 3), np.uint8), np.zeros((1, 64, 48, 3), np.float32)):
        with pytest.raises(InputError, match=r"uint8 \[N, 64, 48, 3\]"):
            runner.predict(crops)


def test_a_target_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(base.SPECS, "abacus", TargetSpec("abacus", "abacus.of.wood", ".abacus", extra="abacus"))
    with pytest.raises(BackendError, match="pip install"):
        base.get("abacus")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"images": []}'])
def test_broken_annotations(artefact: Path, tmp_path: Path, text: str) -> None:
    data = tmp_path / "people.json"
    data.write_text(text)
    with pytest.raises(InputError, match=r"people\.json") as caught:
        check_command(artefact, data=data, images=tmp_path, json=tmp_path / "out.json")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out.json").exists()


@pytest.mark.parametrize("broken", ["{}", '{"fp32": []}', "not json"])
@pytest.mark.parametrize("name", ["check.json", "bench.json"])
def test_broken_measurements(tmp_path: Path, name: str, broken: str) -> None:
    for file, whole in (("check.json", check()), ("bench.json", example_bench())):
        for kind in ("ptq", "qat"):
            (tmp_path / kind).mkdir(exist_ok=True)
            (tmp_path / kind / file).write_text(json.dumps(whole))
    assert len(collect(tmp_path)) == 3
    (tmp_path / "qat" / name).write_text(broken)
    with pytest.raises(InputError, match=r"check\.json|bench\.json"):
        collect(tmp_path)


def test_an_unwritable_folder(command: Command, tiny_program: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    refused(command("edge.export", "--program", tiny_program, "--out", tmp_path / "file" / "dist"), "cannot write", "--out")


def test_a_full_disk(dist_folder: Path, tiny_program: Path) -> None:
    folder = dist_folder
    for path in (folder / "tiny.program").iterdir():
        path.unlink()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, hard))  # a write past 8 kB fails, as on a disk with so much left
    try:
        with pytest.raises(InputError, match=r"cannot write .* free some space"):
            dist.Dist(folder).keep_program(load_program(tiny_program))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not list((folder / "tiny.program").iterdir())


def test_full_standard_output(command: Command) -> None:
    with open("/dev/full", "w") as full:
        answer = subprocess.run(
            [sys.executable, "-m", "edge.check", "--help"],
            cwd=ROOT,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
        )
    refused(answer, "No space left")


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_interrupted(artefact: Path, tmp_path: Path, how: signal.Signals) -> None:
    out = tmp_path / "out"
    line = [sys.executable, "-m", "edge.check", "--artefact", str(artefact), "--json", str(out / "check.json")]
    with subprocess.Popen(line, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        _wait_until_it_scores(process)
        process.send_signal(how)
        _, complaint = process.communicate(timeout=60)
    assert process.returncode == 130
    assert complaint == "error: interrupted; nothing half-written is left\n"
    assert not out.exists()


def _wait_until_it_scores(process: subprocess.Popen) -> None:
    """Until the artefact's runtime is loaded, which is the last thing before the people are gone through."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        if any("pybindings/_C" in Path(f"/proc/{child}/maps").read_text() for child in children):
            time.sleep(0.5)
            return
        time.sleep(0.05)
    raise AssertionError("the command never opened its artefact")


def test_a_reader_that_leaves_changes_no_exit_code(artefact: Path, tmp_path: Path) -> None:
    line = [
        sys.executable,
        "-m",
        "edge.check",
        "--artefact",
        str(artefact),
        "--limit",
        "2",
        "--json",
        str(tmp_path / "c.json"),
    ]
    reader, writer = os.pipe()
    os.close(reader)
    process = subprocess.run(line, cwd=ROOT, stdout=writer, stderr=subprocess.PIPE, text=True, timeout=120)
    os.close(writer)
    assert (process.returncode, process.stderr) == (0, "")
    assert json.loads((tmp_path / "c.json").read_text())["persons"] == 2


def test_a_program_that_crashes_its_runtime_is_one_line(artefact: Path) -> None:
    """Damage that the card knows nothing of, because whoever made the file made the card."""
    import numpy as np

    whole, card, ends = artefact.read_bytes(), artefact.with_name(f"{artefact.name}.card.yaml"), []
    for place in range(900, 2000, 31):
        changed = bytearray(whole)
        changed[place] ^= 0xFF
        artefact.write_bytes(changed)
        edit(card, files={artefact.name: hashlib.sha256(changed).hexdigest()})
        try:
            run.open(artefact).predict(np.zeros((1, 64, 48, 3), np.uint8))
        except BackendError as error:
            ends.append((str(error), bytes(changed)))
    assert not [message for message, _ in ends if "\n" in message]
    crashes = [content for message, content in ends if "crashed its runtime (SIG" in message]
    assert crashes
    artefact.write_bytes(crashes[0])
    edit(card, files={artefact.name: hashlib.sha256(crashes[0]).hexdigest()})
    with pytest.raises(BackendError, match=r"tiny-executorch-int8\.pte crashed its runtime \(SIG"):
        evaluate(dist.find(artefact), SyntheticPeople(1))
