"""A program is lowered to an artefact with the same answers; damaged and foreign files are refused in one line."""

from __future__ import annotations

import json
import pickle
import re
import shutil
import zipfile
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from quantized_student import assert_answers_as, quantized_student
from tiny_student import tiny_crops
from torch import nn

from pose import card as cards
from pose.errors import BackendError, InputError
from pose.program import Program, load_program
from targets import base
from targets.common import artefact_card
from targets.executorch import backend as executorch
from targets.graph import WEIGHTED, arithmetic, halved, quantization_findings

pytestmark = pytest.mark.minutes


@pytest.fixture(scope="module")
def program(tmp_path_factory) -> Program:
    return quantized_student(tmp_path_factory.mktemp("program"))


@pytest.fixture(scope="module")
def artefacts(program: Program, tmp_path_factory) -> dict[str, base.Artefact]:
    out = tmp_path_factory.mktemp("dist")
    return {precision: executorch.lower(program, out, precision) for precision in ("fp32", "fp16", "int8")}


@pytest.fixture
def copied(program: Program, tmp_path: Path) -> Path:
    return shutil.copytree(program.folder, tmp_path / "program")


def pixels(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.linalg.norm((a - b) * 64, axis=-1)


@pytest.mark.parametrize(("precision", "median", "p99"), [("fp32", 0.01, 0.05), ("fp16", 0.1, 0.3), ("int8", 0.5, 2.0)])
def test_an_artefact_answers_as_its_program(artefacts, program: Program, precision, median, p99) -> None:
    assert_answers_as(program, artefacts[precision], median, p99)


def test_in_float16_the_stem_and_the_head_stay_float32(program: Program) -> None:
    half = halved(program.graph("fp32"), partial(executorch._stays_float, modules=("head",)))
    float_weights = set()
    for node in half.graph.nodes:
        if node.target in WEIGHTED:
            dtypes = {value.meta["val"].dtype for value in (node, *node.all_input_nodes)}
            assert len(dtypes) == 1  # input, weight and result have one type
            weight = half.graph_signature.inputs_to_parameters[node.all_input_nodes[1].name]
            float_weights |= {weight.removeprefix("student.student.")} if dtypes == {torch.float32} else set()
    assert float_weights == {"backbone.stem.0.weight", "backbone.down.0.weight", "head.coords.weight", "head.scores.weight"}


def test_the_graph_is_one_delegate_and_its_arithmetic_is_int8(artefacts) -> None:
    assert artefacts["int8"].path.name == "distilpose_edge-executorch-int8.pte"
    for artefact in artefacts.values():
        half = artefact.card.precision == "fp16"  # a cast ends a delegate
        assert artefact.card.coverage.delegates == (4 if half else 1)
        assert artefact.card.coverage.undelegated == ({"_to_dim_order_copy": 6} if half else {})
    assert artefacts["int8"].card.coverage.int8_macs > 0.99
    assert artefacts["fp32"].card.coverage.int8_macs == 0
    assert 0 < artefacts["int8"].card.coverage.float_matmul_macs < 0.5
    assert artefacts["int8"].path.stat().st_size < artefacts["fp32"].path.stat().st_size


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_the_card_holds_the_artefacts_own_answer_to_the_golden_crop(artefacts, program: Program, precision) -> None:
    card = cards.read(cards.card_path(artefacts[precision].path))
    assert card == artefacts[precision].card
    assert card.sources["program"] == program.card.files[f"student_{precision}.pt2"]
    expected = card.golden.expected
    assert set(expected) == {"fp32", "int8", "lowered"}
    assert pixels(np.array(expected["lowered"].coords), np.array(expected[precision].coords)).max() < 2


def test_an_artefact_that_does_not_match_its_card_is_refused(artefacts, tmp_path) -> None:
    path = tmp_path / artefacts["int8"].path.name
    shutil.copy(artefacts["int8"].path, path)
    with pytest.raises(InputError, match="cannot read the card"):
        base.open_artefact(path)
    shutil.copy(cards.card_path(artefacts["int8"].path), cards.card_path(path))
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InputError, match="sha256 differs"):
        base.open_artefact(path)


def test_crops_of_another_shape_or_type_are_refused(artefacts) -> None:
    runner = base.open_artefact(artefacts["int8"].path)
    for crops in (np.zeros((1, 64, 63, 3), np.uint8), np.zeros((64, 64, 3), np.uint8), np.zeros((1, 64, 64, 3)), [[0]]):
        with pytest.raises(InputError, match=r"takes crops uint8 \[N, 64, 64, 3\]"):
            runner.predict(crops)
    coords, scores = runner.predict(np.zeros((0, 64, 64, 3), np.uint8))
    assert (coords.shape, scores.shape) == ((0, 17, 2), (0, 17))


def test_the_thread_pool_is_not_replaced_under_an_open_artefact(artefacts) -> None:
    runner = base.open_artefact(artefacts["int8"].path, threads=1)
    with pytest.raises(InputError, match="one pool"):
        base.open_artefact(artefacts["int8"].path, threads=2)
    del runner
    coords, _ = base.open_artefact(artefacts["int8"].path, threads=2).predict(tiny_crops(1))
    assert np.isfinite(coords).all()


@pytest.mark.parametrize("name", ["card.yaml", "student_fp32.pt2", "student_int8.pt2"])
def test_a_program_with_a_file_missing_or_cut_is_refused(copied: Path, name: str) -> None:
    whole = (copied / name).read_bytes()
    (copied / name).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError) as cut:
        load_program(copied)
    (copied / name).unlink()
    with pytest.raises(InputError) as missing:
        load_program(copied)
    for error in (cut, missing):
        assert name in str(error.value)
        assert "\n" not in str(error.value)


class _Attack:
    def __reduce__(self) -> tuple:
        return Path.touch, (Path("evil"),)


def _edit(path: Path, suffix: str, change, twice: bool = False) -> None:
    """Rewrite one member of a saved graph, or put the changed one before it, and let the card agree."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for key, value in members.items():
            if key.endswith(suffix):
                archive.writestr(key, change(value))
            if twice or not key.endswith(suffix):
                archive.writestr(key, value)
    card = cards.read(path.parent / "card.yaml")
    card.model_copy(update={"files": {**card.files, path.name: cards.digest(path)}}).write(path.parent / "card.yaml")


def _retarget(target: str, data: bytes) -> bytes:
    value = json.loads(data)
    value["graph_module"]["graph"]["nodes"][0]["target"] = target
    return json.dumps(value).encode()


NO_OPERATORS = (
    "torch.hub.load",
    "torch.ops.aten.from_file.default",
    "torch.ops.aten.copy_.default",
    "torch.ops.aten.empty.memory_format",
)


@pytest.mark.parametrize(
    ("suffix", "change", "expected"),
    [
        (
            "model_weights_config.json",
            lambda data: data.replace(b'"use_pickle": false', b'"use_pickle": true', 1),
            "use_pickle",
        ),
        *(
            ("models/model.json", partial(_retarget, name), re.escape(f"{name.removeprefix('torch.ops.')} is not among"))
            for name in NO_OPERATORS
        ),
        ("models/model.json", lambda data: data.replace(b'"guards_code": []', b'"guards_code": ["x"]'), "guards_code"),
        ("sample_inputs/model.pt", lambda data: pickle.dumps(_Attack()), "not a whole program"),
    ],
)
def test_a_program_that_could_run_code_is_not_loaded(copied: Path, monkeypatch, suffix, change, expected) -> None:
    monkeypatch.chdir(copied)
    _edit(copied / "student_int8.pt2", suffix, change)
    with pytest.raises(InputError, match=expected):
        load_program(copied).graph("int8")
    assert not (copied / "evil").exists()


def test_an_archive_that_unpacks_to_more_than_its_size_is_refused(copied: Path) -> None:
    path = copied / "student_int8.pt2"
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    card = cards.read(copied / "card.yaml")
    card.model_copy(update={"files": {**card.files, path.name: cards.digest(path)}}).write(copied / "card.yaml")
    with pytest.raises(InputError, match="is compressed"):
        load_program(copied).graph("int8")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_an_archive_with_two_members_of_one_name_is_refused(copied: Path, monkeypatch) -> None:
    """Python's zipfile reads the last of them, torch's reader the first."""
    monkeypatch.chdir(copied)
    _edit(copied / "student_int8.pt2", "sample_inputs/model.pt", lambda data: pickle.dumps(_Attack()), twice=True)
    with pytest.raises(InputError, match=r"sample_inputs/model\.pt, which is not part of .* or twice"):
        load_program(copied).graph("int8")
    assert not (copied / "evil").exists()


def test_unknown_targets_are_refused(tmp_path) -> None:
    with pytest.raises(InputError, match="no target 'abacus'"):
        base.get("abacus")


class _Shares(nn.Module):
    """Coordinates and scores cut from one int8 tensor, a concatenation of two ranges, and a LayerNorm."""

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        ops = torch.ops.quantized_decomposed
        x = nn.functional.layer_norm(images.flatten(1)[:, :51], (51,))
        parts = [
            ops.dequantize_per_tensor(ops.quantize_per_tensor(x, s, 0, -128, 127, torch.int8), s, 0, -128, 127, torch.int8)
            for s in (0.1, 0.2)
        ]
        out = torch.cat(parts, 1)
        one = ops.quantize_per_tensor(out, 0.1, 0, -128, 127, torch.int8)
        out = ops.dequantize_per_tensor(one, 0.1, 0, -128, 127, torch.int8)
        return out[:, :34].reshape(1, 17, 2), out[:, 34:51]


def test_the_lint_finds_operators_that_split_the_graph_and_quantization_that_costs_accuracy(program: Program) -> None:
    bad = torch.export.export(_Shares(), (torch.zeros(1, 3, 8, 8),))
    messages = " ".join(finding.message for finding in executorch.lint(bad))
    for word in (
        "LayerNorm becomes eight float operators",
        "concatenates 2 int8 ranges",
        "shares one int8 scale",
        "leaves the network in int8",
    ):
        assert word in messages
    assert executorch.lint(program.graph("int8")) == []
    assert quantization_findings(program.graph("fp32")) == []


def test_arithmetic_counts_products_of_activations_separately() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(4, 6)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.linear(x)  # 5 * 6 * 4 multiply-adds
            return torch.bmm(y, y.transpose(1, 2))  # 5 * 5 * 6

    share = arithmetic(torch.export.export(Net(), (torch.zeros(1, 5, 4),)))
    assert (share.int8_ops, share.int8_macs) == (0, 0)
    assert share.float_matmul_macs == pytest.approx(150 / 270)


def test_a_product_counts_as_int8_only_if_the_backend_computes_it_in_int8(program: Program, artefacts) -> None:
    """Both query and key come from dequantize nodes; XNNPACK multiplies them in float nevertheless."""
    in_int8, in_float = (arithmetic(program.graph("int8"), int8_products) for int8_products in (True, False))
    assert in_int8.int8_ops > in_float.int8_ops
    assert in_int8.float_matmul_macs < in_float.float_matmul_macs == arithmetic(program.graph("fp32")).float_matmul_macs
    assert in_int8.int8_macs == in_float.int8_macs
    coverage = artefacts["int8"].card.coverage
    assert (coverage.int8_ops, coverage.float_matmul_macs) == (in_float.int8_ops, in_float.float_matmul_macs)


def test_an_unknown_delegate_is_refused(program: Program, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no delegate 'abacus'; choose one of xnnpack, coreml, vulkan"):
        executorch.lower(program, tmp_path, delegate="abacus")


def test_the_card_holds_the_lint(tmp_path: Path) -> None:
    findings = [base.LintFinding("warning", f"norm_{i}", "splits the graph") for i in range(2)]
    program = quantized_student(tmp_path)
    card = artefact_card(program, "executorch", "int8", None, findings)
    assert card.metrics["lint"] == [{"severity": "warning", "message": "splits the graph", "nodes": ["norm_0", "norm_1"]}]


@pytest.mark.parametrize("delegate", ["coreml", "vulkan"])
def test_a_delegate_that_is_not_run_here_takes_the_whole_graph(program: Program, tmp_path: Path, delegate) -> None:
    artefact = executorch.lower(program, tmp_path, "fp32", delegate=delegate)
    card = cards.read(cards.card_path(artefact.path))
    assert artefact.path.name == f"distilpose_edge-executorch-{delegate}-fp32.pte"
    assert (card.coverage.delegates, card.coverage.undelegated) == (1, {})
    assert "lowered" not in card.golden.expected
    assert card.metrics == {"lint": [], "delegate": delegate, "lowered": "not run here"}
    with pytest.raises(BackendError, match="not run here"):
        executorch.open(artefact.path)
