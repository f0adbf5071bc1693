"""The regression families against the outputs and key lists of their public implementations, on made-up weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from parity_vectors import SYSTEMS, assert_near, images, needed, official_state, reference
from torch import Tensor, nn

from pose.decode import assign_queries
from pose.errors import InputError
from pose.models import MODELS, build
from pose.models.checkpoint import load
from pose.models.output import PoseOutput
from pose.models.profile import multiply_adds, parameters

pytestmark = needed

# theirs: ours, parameters in M as the paper counts
CASES = {
    "deeppose_r50_mmpose0": ("deeppose_r50", 23.58),
    "deeppose_r50_mmpose1": ("deeppose_r50", 23.58),
    "rle_r50": ("rle_r50", 23.65),
    "rle_hrnet_w48": ("rle_hrnet_w48", 75.56),
    "prtr_r50": ("prtr_r50", 41.51),
    "prtr_w32": ("prtr_w32", 57.23),
    "poseur_mbv2": ("poseur_mbv2", 11.25),
    "poseur_r50": ("poseur_r50", 33.15),
    "rle_r50_mmpose0": ("rle_r50_mmpose", 23.65),
    "rle_r50_mmpose1": ("rle_r50_mmpose", 23.65),
}
Case = tuple[str, nn.Module, dict[str, Tensor]]


@pytest.fixture(scope="module", params=list(CASES))
def case(request: pytest.FixtureRequest) -> Case:
    """One network at a time, built once for all tests of it."""
    state = official_state(request.param)
    return request.param, build(CASES[request.param][0], weights=state).eval(), state


def test_size(case: Case) -> None:
    name, model, state = case
    described, (ours, millions) = reference(name), CASES[name]
    names = set(type(model).published(model, state))
    published = {key: value for key, value in model.named_parameters() if key in names}
    assert sum(value.numel() for value in published.values()) == described["params"]
    assert round(parameters(model) / 1e6, 2) == millions
    assert multiply_adds(model, MODELS[ours].crop) == pytest.approx(described["macs"], rel=0.02)


def test_every_key_is_loaded(case: Case) -> None:
    name, model, state = case
    load(model, {f"module.model.{key}": value for key, value in state.items()}, name)
    first, last = next(iter(state)), next(reversed(state))
    for key in (first, last):
        with pytest.raises(InputError, match=r"[1-3] missing"):
            load(model, {k: v for k, v in state.items() if k != key}, name)
    with pytest.raises(InputError, match=r"[13] unexpected"):
        load(model, {**state, f"{first}_2": state[first]}, name)


def test_output(case: Case) -> None:
    name, model, _ = case
    path = SYSTEMS / f"{name}.npz"
    if not path.exists():
        pytest.skip(f"there is no vector of {name}")
    with torch.no_grad():
        output = model(images())
    expected = np.load(path)
    actual = queries(output) if name.startswith("prtr") else joints(output, centred=name == "rle_r50")
    for key in expected:
        assert_near(actual[key], expected[key])


def joints(output: PoseOutput, centred: bool) -> dict[str, Tensor]:
    """What the vectors keep of a prediction of joints; the authors of RLE have coordinates around the centre of the crop."""
    sigmas = output.sigmas / output.sigmas.new_tensor([48, 64])
    kept = {"coords": output.coords - 0.5 * centred, "score": output.scores[..., None], "sigma": sigmas}
    if output.layer_sigmas is None:
        return kept
    layers = {"coords": output.layer_coords, "sigma": output.layer_sigmas / output.sigmas.new_tensor([48, 64])}
    return (
        kept
        | {f"enc_{name}": value[:, 0] for name, value in layers.items()}
        | {f"all_{name}": value[:, 1:] for name, value in layers.items()}
    )


def queries(output: PoseOutput) -> dict[str, Tensor]:
    """What the vectors keep of a prediction of queries; the assigned ones are in pixels of the crop."""
    coords, scores = (torch.tensor(one) for one in assign_queries(output.coords.numpy(), output.scores.numpy()))
    return {
        "coords": output.coords,
        "logits": output.layer_logits[:, -1],
        "aux0_coords": output.layer_coords[:, 0],
        "aux4_logits": output.layer_logits[:, 4],
        "decoded_input_coords": coords * coords.new_tensor([192, 256]),
        "decoded_scores": scores[..., None],
    }
