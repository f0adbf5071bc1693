"""A target that this file defines goes through lower, open, predict and lint; what it does wrong is reported."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pose import card as cards
from pose.errors import BackendError, InputError
from pose.program import Program, load_program
from targets import base
from targets.base import Artefact, LintFinding, RefusedError
from targets.common import OneByOneRunner, accepted, artefact_card, network_input, verified_card, write_artefact
from targets.spec import Option, TargetSpec

SPEC = TargetSpec(
    name="linear",
    module=__name__,
    suffix=".npz",
    libraries=("numpy",),
    options=(
        Option(
            "answer", ("good", "nan", "huge", "short"), "good", card_field="metrics.answer", help="Linear: what it answers."
        ),
    ),
)


class LinearRunner(OneByOneRunner):
    """Keypoints are a linear function of the mean colour of a crop."""

    def __init__(self, path: Path, card: cards.Card) -> None:
        super().__init__(card)
        with np.load(path, allow_pickle=False) as arrays:
            self._weight = arrays["weight"]

    def predict_one(self, crop: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        colour = network_input(crop, self.card).mean((2, 3))[0]
        coords = (self._weight @ colour).astype(np.float32).reshape(1, -1, 2)
        if self.card.metrics["answer"] == "short":
            coords = coords[:, 1:]
        return coords, np.ones(coords.shape[:2], np.float32)


def lower(program: Program, out: Path, precision: cards.Precision = "int8", *, answer: str = "good") -> Artefact:
    SPEC.check_option("answer", answer)
    findings = accepted(lint(program.graph(precision)), program, SPEC.name)
    path = Path(out) / SPEC.file_name(program.card.student, precision, {"answer": answer})
    keypoints = program.card.outputs[0].shape[1]
    weight = np.linspace(0, 1, keypoints * 6).reshape(-1, 3)
    weight[:2] = {"nan": np.nan, "huge": 1e30}.get(answer, weight[:2])
    scratch = Path(out) / "weight.npz"
    scratch.parent.mkdir(parents=True, exist_ok=True)
    np.savez(scratch, weight=weight)
    content = scratch.read_bytes()
    scratch.unlink()
    card = artefact_card(program, SPEC.name, precision, None, findings)
    card = card.model_copy(update={"metrics": {**card.metrics, "answer": answer}})
    return write_artefact(path, content, card, LinearRunner)


def open(path: Path, threads: int = 1) -> LinearRunner:  # noqa: A001, named by the Target protocol
    return LinearRunner(path, verified_card(path, SPEC.name))


def lint(program) -> list[LintFinding]:
    quantized = [node.name for node in program.graph.nodes if "quantize_per_tensor" in str(node.target)]
    return [LintFinding("error", name, "is quantized, which a linear function cannot be") for name in quantized[:1]]


@pytest.fixture
def program(own_specs: None, tiny_program: Path) -> Program:
    base.register(SPEC)
    return load_program(tiny_program)


def test_it_is_in_every_list(program: Program) -> None:
    assert base.lowered_names()[-1] == "linear"
    assert ("linear",) in base.names_by_toolchain()
    assert base.get_spec("linear") is SPEC
    SPEC.check_installed()


def test_it_goes_all_the_way(program: Program, tmp_path: Path) -> None:
    artefact = base.get("linear").lower(program, tmp_path, "fp32")
    assert artefact.path.name == "tiny-linear-fp32.npz"
    assert {path.name for path in tmp_path.iterdir()} == {artefact.path.name, f"{artefact.path.name}.card.yaml"}
    card = cards.read(cards.card_path(artefact.path))
    assert card == artefact.card
    assert card.versions["numpy"] == np.__version__
    crops = np.stack([np.full((64, 48, 3), value, np.uint8) for value in (0, 255)])
    coords, scores = base.open_artefact(artefact.path).predict(crops)
    assert (coords.shape, scores.shape, coords.dtype) == ((2, 17, 2), (2, 17), np.float32)
    np.testing.assert_allclose(coords[0], -coords[1], rtol=1e-5)
    golden = base.open_artefact(artefact.path).predict(card.golden.pixels(48, 64)[None])[0]
    np.testing.assert_allclose(golden[0], card.golden.expected["lowered"].coords, rtol=1e-6)


def test_an_error_of_the_lint_stops_the_lowering(program: Program, tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match=r"linear does not take .*: .* is quantized, which a linear function cannot be"):
        base.get("linear").lower(program, tmp_path / "dist", "int8")
    assert not (tmp_path / "dist").exists()


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ("nan", r"tiny-linear-nan-fp32\.npz answered crop 0 with 2 of 51 values that are NaN or infinite"),
        ("huge", r"tiny-linear-huge-fp32\.npz answered crop 0 with 2 of 51 values that are more than 1e\+06"),
        ("short", r"tiny-linear-short-fp32\.npz answered shapes .*, its card says \(\(1, 17, 2\), \(1, 17\)\)"),
    ],
)
def test_an_answer_that_means_nothing_is_an_error_and_leaves_no_file(
    program: Program, tmp_path: Path, answer: str, message: str
) -> None:
    with pytest.raises(BackendError, match=message) as error:
        lower(program, tmp_path, "fp32", answer=answer)
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_options_are_checked(program: Program) -> None:
    with pytest.raises(InputError, match="no answer 'bad'; choose one of good, nan, huge, short"):
        SPEC.check_option("answer", "bad")
    with pytest.raises(InputError, match="target linear has no option delegate"):
        SPEC.check_option("delegate", "xnnpack")
    with pytest.raises(InputError, match="--compute float16 is for --precision int8, not fp32"):
        base.get_spec("coreml").check_option("compute", "float16", "fp32")


def test_what_is_missing_is_named_with_the_command_that_installs_it() -> None:
    spec = TargetSpec(name="x", module="x", suffix=".x", needs=("abacus_toolkit",), libraries=("abacus",))
    with pytest.raises(BackendError, match="target x needs abacus_toolkit; pip install abacus"):
        spec.check_installed()


def test_every_built_in_target_names_its_facts() -> None:
    for spec in base.SPECS.values():
        assert spec.name == spec.module.split(".")[1]
        assert bool(spec.wheels) == (spec.runtime is not None)
        assert bool(spec.libraries) == bool(spec.needs) == (spec.extra is not None) == spec.lowers
        for option in spec.options:
            assert option.default in option.choices
            assert option.flag == f"--{option.name}"
