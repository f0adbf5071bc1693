"""The networks against the outputs and key lists of the two public implementations, on made-up weights."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from parity_vectors import FOLDER, images, made_up, needed
from torch import Tensor, nn

from pose.errors import InputError
from pose.models import MODELS, build
from pose.models.checkpoint import load
from pose.models.output import PoseOutput
from pose.models.profile import multiply_adds, parameters

pytestmark = needed

# ours: theirs, parameters in M (the paper prints three of them), multiply-adds in G of the paper
CASES = {
    "tokenpose_t": ("tokenpose_t", 5.82, None),
    "tokenpose_s_v1": ("tokenpose_s_v1", 6.62, None),
    "tokenpose_s_v2": ("tokenpose_s_v2", 6.23, None),
    "tokenpose_b": ("tokenpose_b", 13.47, None),
    "tokenpose_l_d24": ("tokenpose_l_d24", 27.48, None),
    "tokenpose_s": ("distilpose_teacher_stemnet", 6.62, None),
    "tokenpose_l": ("distilpose_teacher_hr48", 69.41, 17.03),
    "distilpose_s": ("distilpose_s", 5.36, 2.38),
    "distilpose_l": ("distilpose_l", 21.27, 10.33),
}


@pytest.fixture(scope="module", params=list(CASES))
def case(request: pytest.FixtureRequest) -> tuple[str, nn.Module, dict[str, Tensor], int]:
    """One network at a time (the largest has 69 M parameters), built once for all tests of it."""
    name = request.param
    reference = json.loads((FOLDER / f"{CASES[name][0]}.json").read_text())
    state = {key: made_up(key, shape) for key, shape in reference["keys"].items()}
    return name, build(name, weights=state).eval(), state, reference["params"]


def test_size(case: tuple[str, nn.Module, dict[str, Tensor], int]) -> None:
    name, model, _, total = case
    _, millions, giga = CASES[name]
    assert sum(parameter.numel() for parameter in model.parameters()) == total
    assert round(parameters(model) / 1e6, 2) == millions
    if giga is not None:
        assert multiply_adds(model, MODELS[name].crop) / 1e9 == pytest.approx(giga, rel=0.02)


def test_every_key_is_accounted_for(case: tuple[str, nn.Module, dict[str, Tensor], int]) -> None:
    name, model, state, _ = case
    load(model, {f"module.{key}": value for key, value in state.items()}, name)
    for key in [next(iter(state)), next(reversed(state)), next(key for key in state if "keypoint_token" in key)]:
        with pytest.raises(InputError, match=f"does not fit {name}.*1 missing \\({key}\\)"):
            load(model, {k: v for k, v in state.items() if k != key}, name)
        with pytest.raises(InputError, match=f"1 unexpected \\({key}_2\\)"):
            load(model, {**state, f"{key}_2": state[key]}, name)
        with pytest.raises(InputError, match=f"1 of another shape \\({key} "):
            load(model, {**state, key: torch.zeros(7, 7)}, name)


def test_output(case: tuple[str, nn.Module, dict[str, Tensor], int]) -> None:
    name, model, _, _ = case
    path = FOLDER / f"{CASES[name][0]}.npz"
    if not path.exists():
        pytest.skip(f"there is no vector of {name}")
    with torch.no_grad():
        actual = sampled(model(images()))
    expected = np.load(path)
    assert set(expected) <= set(actual)
    for key in expected:
        size = 1e-4 if key in ("pred", "score", "sigma") else 1e-3 * np.abs(expected[key]).max()
        np.testing.assert_allclose(actual[key], expected[key], rtol=0, atol=size, err_msg=key)


def sampled(output: PoseOutput) -> dict[str, Tensor]:
    """What the vectors keep of an output, by their names."""
    assert output.keypoint_tokens is not None
    assert output.visual_tokens is not None
    tokens = {"kpt_token": output.keypoint_tokens[:, :, ::8], "vis_token": output.visual_tokens[:, ::8, ::8]}
    if output.heatmaps is not None:
        spatial = output.heatmaps.flatten(2)
        return tokens | {"heatmaps": output.heatmaps[:, :, ::4, ::4], "mean": spatial.mean(2), "std": spatial.std(2)}
    assert output.coords is not None
    assert output.scores is not None
    assert output.sigmas is not None
    return tokens | {"pred": output.coords, "score": output.scores[..., None], "sigma": output.sigmas}
