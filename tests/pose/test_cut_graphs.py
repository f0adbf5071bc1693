"""Programs bundled without the weights of their float graph: put together again they are the files that were cut."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tiny_network import SHAPE

from pose import card as cards
from pose import cut_graphs, weights
from pose.errors import InputError
from pose.files import sha256
from pose.program import CARD, Program, graph_name, load_program

FLOAT = graph_name("fp32")
OPEN = """
import sys, pathlib
from pose import program, weights
weights.FOLDER = pathlib.Path(sys.argv[1]).parent
made = program.load_program(pathlib.Path(sys.argv[1]))
print(made.folder, made.card.files["student_fp32.pt2"])
"""


@pytest.fixture
def bundle(tiny_program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The tiny program, cut, among weights; its uncut files are in `whole`. Half of its tensors are float16."""
    monkeypatch.setenv("DISTILPOSE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(weights, "FOLDER", tmp_path / "weights")
    whole, folder = (Path(shutil.copytree(tiny_program, tmp_path / place)) for place in ("whole", "weights/tiny"))
    graph = torch.export.load(whole / FLOAT)
    for parameter in list(graph.state_dict.values())[::2]:
        parameter.data = parameter.data.half().float()
    tensors = {f"its.{name}": tensor.half() if (tensor.half().float() == tensor).all() else tensor.clone()
               for name, tensor in graph.state_dict.items()}  # fmt: skip
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float16, torch.float32}
    torch.export.save(graph, whole / FLOAT)
    save_file(tensors, tmp_path / "weights" / "tiny.safetensors")
    card = cards.read(whole / CARD)
    files, sources = {**card.files, FLOAT: sha256(whole / FLOAT)}, {"weights": sha256(weights.weights_file("tiny"))}
    card = card.model_copy(update={"files": files, "sources": sources})
    for place in (whole, folder):
        card.write(place / CARD)
        shutil.copyfile(whole / FLOAT, place / FLOAT) if place != whole else None
    cut_graphs.cut(folder / FLOAT, tmp_path / "weights" / "tiny.safetensors")
    return folder


def test_what_is_put_together_is_the_file_that_was_cut(bundle: Path, tmp_path: Path) -> None:
    assert not (bundle / FLOAT).exists()
    assert (bundle / f"{FLOAT}.cut").stat().st_size < (tmp_path / "whole" / FLOAT).stat().st_size / 2
    images = torch.randn(SHAPE, generator=torch.Generator().manual_seed(0))
    expected = load_program(tmp_path / "whole").graph("fp32").module()(images)
    for _ in range(2):  # the first use, and one that finds it in the cache
        program = load_program(bundle)
        assert program.path("fp32").read_bytes() == (tmp_path / "whole" / FLOAT).read_bytes()
        answers = program.graph("fp32").module()(images)
        assert all(torch.equal(*pair) for pair in zip(answers, expected, strict=True))
    assert program.path("int8").read_bytes() == (bundle / graph_name("int8")).read_bytes()
    assert program.card == cards.read(bundle / CARD)


def test_the_second_use_writes_nothing(bundle: Path) -> None:
    program = load_program(bundle)
    before = {path: path.stat().st_mtime_ns for path in program.folder.iterdir()}
    assert load_program(bundle) == program
    assert {path: path.stat().st_mtime_ns for path in program.folder.iterdir()} == before


def test_two_processes_at_once_have_the_same_program(bundle: Path) -> None:
    command, pipe = [sys.executable, "-c", OPEN, str(bundle)], subprocess.PIPE
    processes = [subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True) for _ in range(2)]
    answers = [process.communicate(timeout=60) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], answers
    program = load_program(bundle)
    assert {answer for answer, _ in answers} == {f"{program.folder} {program.card.files[FLOAT]}\n"}
    assert {path.name for path in program.folder.iterdir()} == {CARD, FLOAT, graph_name("int8")}


@pytest.mark.parametrize("name", [CARD, FLOAT, graph_name("int8")])
def test_a_damaged_cache_is_made_anew(bundle: Path, name: str) -> None:
    program = load_program(bundle)
    content = (program.folder / name).read_bytes()
    (program.folder / name).write_bytes(content[:-1])
    assert load_program(bundle) == program
    assert (program.folder / name).read_bytes() == content


def test_other_weights_are_refused(bundle: Path) -> None:
    save_file({"its.conv.weight": torch.zeros(8, 3, 16, 16)}, weights.FOLDER / "tiny.safetensors")
    with pytest.raises(InputError, match=r"tiny\.safetensors is not what .*tiny was made from"):
        load_program(bundle)


def test_a_cache_that_cannot_be_written_is_named(bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("DISTILPOSE_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(InputError, match=r"^cannot write .*; DISTILPOSE_CACHE names the folder of the cache$"):
        load_program(bundle)


def test_a_program_of_others_is_not_put_together(bundle: Path, tmp_path: Path) -> None:
    stranger = shutil.copytree(bundle, tmp_path / "stranger" / "tiny")
    with pytest.raises(InputError, match=rf"{FLOAT} is missing"):
        load_program(stranger)


def test_a_graph_of_other_weights_stays_whole(tiny_program: Path, tmp_path: Path) -> None:
    graph = Path(shutil.copy(tiny_program / FLOAT, tmp_path))
    save_file({"x": torch.full((5,), 3.0)}, tmp_path / "other.safetensors")
    with pytest.raises(InputError, match="has none of the tensors of"):
        cut_graphs.cut(graph, tmp_path / "other.safetensors")
    assert graph.exists()


def test_tensors_are_found_in_the_order_of_other_runtimes(
    tiny_program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TFLite has the channels of a convolution last; one tensor is there twice."""
    monkeypatch.setattr(weights, "FOLDER", tmp_path)
    monkeypatch.setenv("DISTILPOSE_CACHE", str(tmp_path / "cache"))
    random = torch.Generator().manual_seed(0)
    tensors = {"conv": torch.randn(8, 3, 5, 5, generator=random), "depthwise": torch.randn(32, 1, 3, 3, generator=random)}
    save_file(tensors, tmp_path / "tiny.safetensors")
    parts = [tensors["conv"].permute(0, 2, 3, 1), tensors["depthwise"].permute(1, 2, 3, 0), tensors["conv"]]
    path = tmp_path / "program" / "net.tflite"
    path.parent.mkdir()
    path.write_bytes(b"".join(b"header" + part.contiguous().numpy().tobytes() for part in parts) + b"end")
    card = cards.read(tiny_program / CARD)
    sources = {"weights": sha256(tmp_path / "tiny.safetensors")}
    card = card.model_copy(update={"files": {path.name: sha256(path)}, "sources": sources})
    card.write(cards.card_path(path))
    assert cut_graphs.cut(path, tmp_path / "tiny.safetensors").stat().st_size < 500
    card.verify_artefact(cut_graphs.whole_folder(cards.card_path(path), card) / path.name)


def test_no_bundled_program_holds_its_weights_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISTILPOSE_CACHE", str(tmp_path))
    for path in weights.FOLDER.glob(f"*/{CARD}"):
        if (weights.FOLDER / f"{path.parent.name}.safetensors").is_file():
            assert not [*path.parent.glob("*fp32.pt2"), *path.parent.glob("*fp32.tflite")], "cut them: pose.cut_graphs.cut"
        program = load_program(path.parent)
        assert isinstance(program, Program)
        assert program.folder.parent == tmp_path / "programs"
