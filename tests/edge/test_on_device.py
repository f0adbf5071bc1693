"""edge.bench and edge.check where another processor, another kernel of the runtime and a connection come in."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from calib_data.synthetic import SyntheticPeople, validation
from edge import dist, run
from edge.check import main
from edge.devices import answers as device_answers
from edge.devices import open as open_device
from edge.devices.local import Local
from edge.devices.parallel import together
from edge.evaluate.answers import Answers
from edge.evaluate.check import check_all
from pose import weights
from pose.card import card_path, read
from pose.crop import CropSpec, affine, warp
from pose.errors import BackendError, InputError
from pose.program import load_program
from targets import base

SURE = 0.3  # least score of a joint with a sure place


@pytest.fixture(scope="module")
def bundled_int8(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Of distilpose_edge, by target."""
    program = weights.bundled("distilpose_edge")
    onnx = base.get("onnx").lower(load_program(program), tmp_path_factory.mktemp("bundled"), "int8").path
    return {"tflite": program / "distilpose_edge-tflite-int8.tflite", "onnx": onnx}


class Broken(Local):
    name = "ssh://broken"

    def run(self, *_: Any, **__: Any) -> Any:
        raise BackendError("ssh://broken: gone")


def test_the_column_of_a_device(lowered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    devices = [Local(), Broken()]
    folder = dist.Dist(lowered)
    artefacts = [folder.artefact(lowered / name) for name in ("tiny-onnx-int8.onnx", "tiny-tflite-int8.tflite")]
    results = check_all(artefacts, SyntheticPeople(3), devices=devices)
    assert set(results) == {"onnx", "tflite"}
    for result in results.values():
        broken = result.on_device["ssh://broken"]
        assert (broken.error, broken.ap, broken.pck) == ("ssh://broken: gone", None, None)
        on_device, host = json.loads(json.dumps([result.on_device["local"].as_json(), result.lowered.as_json()]))
        assert on_device["host_px"]["p99"] == 0
        host.pop("fake_quant_px")
        assert {name: on_device[name] for name in host} == host
        assert on_device["error"] is None


def test_a_device_that_fails_ends_the_command_with_3(lowered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.devices.open", lambda spec, apk: Broken())
    out = tmp_path / "check.json"
    with pytest.raises(BackendError, match=r"^1 of 1 devices failed; ssh://broken: gone$"):
        main(lowered / "tiny-onnx-int8.onnx", device=["ssh://broken"], limit=2, json=out)
    assert json.loads(out.read_text())["lowered"]["persons"] == 2


def test_an_artefact_that_no_agent_runs_is_refused(lowered: Path, tmp_path: Path) -> None:
    artefact = tmp_path / "tiny-onnx-int8.onnx"
    artefact.write_bytes((lowered / artefact.name).read_bytes())
    card = read(card_path(lowered / artefact.name))
    card.model_copy(update={"target": "tensorrt"}).write(card_path(artefact))
    assert not device_answers.is_answerable(dist.find(artefact))
    assert device_answers.is_answerable(dist.find(lowered / artefact.name))
    with pytest.raises(InputError, match="no answers are collected from trtexec"):
        device_answers.collect([Local()], [dist.find(artefact)], [])


def test_the_bundled_student_answers_on_boards(lab: Any, bundled_int8: dict[str, Path]) -> None:
    """Two processors give the same answers with its int8 artefacts, and this machine nearly the same.

    Between them and this machine differ float operators (LayerNorm, softmax), in their last bit, and ONNX Runtime's
    QLinearAdd, which rounds one activation in thousands otherwise on ARM. Each may move an activation by a step, and a few
    steps shift a joint by a pixel or more, one with a low score by more than that. tflite-runtime 2.14 has
    kernels of three years ago, which round otherwise, and the card's crop refuses it before anything is scored.
    """
    from emulated.boards import PI4, PI5, RUNTIMES, Machine

    runners = {target: run.open(path) for target, path in bundled_int8.items()}
    spec, people = runners["tflite"].card.spec, validation(8)
    crops = [warp(people.image(n), affine(people.labels(n).box, spec), spec) for n in range(len(people))]
    inputs = np.stack(crops)

    def answers(machine: Machine, count: int, *wheels: str) -> list[Answers | str]:
        device = open_device(lab.raspberry_pi(machine, wheels or RUNTIMES).spec)
        return device_answers.collect([device], [dist.find(path) for path in bundled_int8.values()], crops[:count])[0]

    # the Cortex-A72 takes longest to emulate
    actions = [partial(answers, PI5, 8), partial(answers, PI4, 2), partial(answers, PI4, 2, "tflite_runtime")]
    pi5, pi4, old = together([lambda stopped, action=action: action() for action in actions])  # type: ignore[misc]
    limits = {"tflite": (0.1, 1.0), "onnx": (1.0, 3.0)}  # pixels: median, and the largest of a joint with a sure score
    for (target, runner), one, other in zip(runners.items(), pi5, pi4, strict=True):
        assert np.array_equal(one.coords[:2], other.coords)
        assert np.array_equal(one.scores[:2], other.scores)
        assert within(one, runner.predict(inputs), spec, *limits[target]), target
    assert "answers the golden crop" in str(old[0])
    assert "no onnxruntime" in old[1]


def within(on_board: Answers, host: tuple[np.ndarray, np.ndarray], spec: CropSpec, median: float, most: float) -> bool:
    """Whether two answers lie at most so many pixels of the crop apart."""
    pixels = np.linalg.norm((on_board.coords - host[0]) * spec.size, axis=-1)
    return bool(np.median(pixels) < median and pixels[host[1] > SURE].max() < most)


def test_an_answer_that_is_not_finite_is_no_score(lowered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    class Damaged(Local):
        name = "ssh://damaged"

        def pull(self, remote: str, to: Path) -> None:
            with np.load(remote) as answers:
                coords, scores = answers["coords"], answers["scores"]
            coords[1, 4, 1], scores[2, 0] = np.nan, np.inf
            np.savez(to, coords=coords, scores=scores)

    (check,) = check_all([dist.find(lowered / "tiny-onnx-int8.onnx")], SyntheticPeople(3), devices=[Damaged()]).values()
    column = check.on_device["ssh://damaged"]
    assert column.ap is None
    assert "NaN or infinity in 2 of 153 values; the first is y of joint 4 in crop 1" in column.error
