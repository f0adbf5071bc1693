"""DeepPose, RLE, PRTR and Poseur without reference data: layouts, deploy forms, flips."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from parity_vectors import SYSTEMS, assert_near, needed
from tiny_regression import FAMILIES, GRID, deeppose, poseur, prtr, rle
from tiny_student import SPEC, tiny_images
from torch import Tensor, nn
from torch.nn import functional as F

from pose.errors import InputError
from pose.models.backbones.deformable import DeformableAttention
from pose.models.checkpoint import load
from pose.models.output import PoseOutput
from pose.models.protocols import group_names, require_student
from pose.models.regression import fuse_flip
from pose.models.rle import RLE
from pose.skeleton import COCO_17


def randomised(model: nn.Module) -> dict[str, Tensor]:
    """A state dict of other values than a new model has, but for constants."""
    state = {key: value.clone() for key, value in model.state_dict().items()}
    return {key: value + 0.01 if value.is_floating_point() and "mask" not in key else value for key, value in state.items()}


def assert_loaded(
    model: nn.Module, layout: dict[str, Tensor], ours: dict[str, Tensor], absent: tuple[str, ...] = ()
) -> None:
    load(model, layout, "student")
    for key, value in model.state_dict().items():
        assert torch.equal(value, ours[key]) or key.startswith(absent), key


def renamed(state: dict[str, Tensor], **prefixes: str) -> dict[str, Tensor]:
    """Other names: `head_fc="keypoint_head.fc"` is what `head.fc` becomes."""
    pairs = [(ours.replace("_", "."), theirs) for ours, theirs in prefixes.items()]
    for ours, theirs in pairs:
        state = {theirs + key.removeprefix(ours) if key.startswith(ours) else key: value for key, value in state.items()}
    return state


@pytest.mark.parametrize("family", FAMILIES)
def test_it_is_a_student_whose_deploy_form_is_equal(family: str) -> None:
    model = FAMILIES[family]()
    require_student(model, family, 17)
    form = model.deploy()
    assert not [name for name, module in form.named_modules() if isinstance(module, nn.BatchNorm2d)]
    assert not [name for name, _ in form.named_parameters() if "flow" in name]
    assert set(group_names(form).values()) >= {"backbone", "rest"}
    with torch.no_grad():
        ours, theirs = model(tiny_images(2)), form(tiny_images(2))
    for name in ("coords", "scores", "sigmas"):
        torch.testing.assert_close(getattr(theirs, name), getattr(ours, name), atol=1e-5, rtol=1e-5)
    assert (ours.sigmas > 0).all()


@pytest.mark.parametrize("prefix", ["", "module.", "model.", "_orig_mod.module."])
def test_deeppose_of_mmpose(prefix: str) -> None:
    ours = randomised(deeppose())
    new = {key: value for key, value in ours.items() if not key.startswith(("head.scores", "head.sigmas"))}
    for head in ("head.fc.", "keypoint_head.fc."):
        layout = renamed({**new, "data_preprocessor.mean": torch.zeros(3)}, head_fc_=head)
        model = deeppose()
        assert_loaded(model, {prefix + key: value for key, value in layout.items()}, ours, ("head.scores", "head.sigmas"))
        assert torch.equal(model(tiny_images(2)).scores, torch.ones(2, 17))  # what mmpose reports


def test_rle_in_both_forms() -> None:
    ours = randomised(rle())
    authors = renamed(ours, backbone_="preact.", head_coords_="fc_coord.linear.", head_sigmas_="fc_sigma.linear.")
    assert_loaded(rle(), authors, ours)
    mmpose = {key: value for key, value in ours.items() if not key.startswith("head.")}
    for leaf in ("weight", "bias"):
        parts = [ours[f"head.{name}.{leaf}"].unflatten(0, (17, 2)) for name in ("coords", "sigmas")]
        mmpose[f"head.fc.{leaf}"] = torch.cat(parts, dim=1).flatten(0, 1)
    mmpose |= {"flow.loc": torch.zeros(2), "flow.cov": torch.eye(2)}
    for version in ({"flow_": "head.loss_module.flow_model."}, {"flow_": "keypoint_head.loss.flow_model.", "head_fc_": ""}):
        layout = renamed(mmpose, flow_=version["flow_"])
        layout = renamed(layout, head_fc_="keypoint_head.fc.") if "head_fc_" in version else layout
        small = RLE(rle().backbone, 64, 17, "mmpose", GRID)
        assert_loaded(small, layout, ours)
        with pytest.raises(InputError, match="in the form of mmpose, which is another function; take rle_r50_mmpose"):
            load(rle(), layout, "rle")
    with pytest.raises(InputError, match=r"in the form of its authors, .* take rle_r50$"):
        load(small, authors, "rle")


def test_a_flow_may_be_absent_as_a_whole_alone() -> None:
    ours = randomised(rle())
    model = rle()
    assert_loaded(model, {key: value for key, value in ours.items() if not key.startswith("flow.")}, ours, ("flow.",))
    with pytest.raises(InputError, match=r"1 missing \(flow.t.0.0.bias\)"):
        load(model, {key: value for key, value in ours.items() if key != "flow.t.0.0.bias"}, "rle")


def test_prtr_with_packed_projections_and_old_names(tmp_path: Path) -> None:
    ours = randomised(prtr())
    layout = {}
    for key, value in ours.items():
        owner, part, leaf = key.rpartition("query.")
        if part:
            layout[f"{owner}in_proj_{leaf}"] = torch.cat([ours[f"{owner}{one}.{leaf}"] for one in ("query", "key", "value")])
        elif not any(part in key for part in (".key.", ".value.", "head.sigmas")):
            layout[key.replace(".out.", ".out_proj.")] = value
    layout = renamed(
        layout, backbone_="backbone.body.", encoder_="transformer.encoder.layers.", norm_="transformer.decoder.norm."
    )
    layout = renamed(layout, decoder_="transformer.decoder.layers.", queries="query_embed.weight", head_="")
    checkpoint = {"state_dict": {f"module.{key}": value for key, value in layout.items()}, "perf": np.float64(0.7)}
    checkpoint["optimizer"] = {"state": {0: {"exp_avg": torch.ones(3)}}, "param_groups": [{"lr": 1e-4}]}
    torch.save(checkpoint, tmp_path / "checkpoint.pth")
    model = prtr()
    load(model, tmp_path / "checkpoint.pth", "prtr")
    assert all(torch.equal(value, ours[key]) or "head.sigmas" in key for key, value in model.state_dict().items())


def test_poseur_survives_a_round_trip_with_its_flows() -> None:
    ours = randomised(poseur())
    assert any("flows.coarse" in key for key in ours)
    assert_loaded(poseur(), ours, ours)


def test_deformable_attention_samples_as_a_grid_sample_does() -> None:
    torch.manual_seed(0)
    attention = DeformableAttention(8, 2, 2)
    sizes, query, reference = [(6, 5), (3, 4)], torch.randn(2, 3, 8), torch.rand(2, 3, 2) * 1.2 - 0.1
    maps = [torch.randn(2, 8, *size) for size in sizes]
    actual = attention(query, reference, [one.flatten(2).transpose(1, 2) for one in maps], sizes)
    offsets = attention.sampling_offsets(query).reshape(2, 3, 2, 2, 4, 2)
    weights = attention.attention_weights(query).reshape(2, 3, 2, 8).softmax(-1).reshape(2, 3, 2, 2, 4)
    total = torch.zeros(2, 3, 2, 8)
    for level, one in enumerate(maps):
        at = reference[:, :, None, None] + offsets[:, :, :, level] / torch.tensor([one.shape[-1], one.shape[-2]])
        values = F.grid_sample(one, (2 * at - 1).flatten(1, 2), padding_mode="zeros", align_corners=False)
        total += torch.einsum("ndqhp,nqhp->nqhd", values.unflatten(2, (3, 2)), weights[:, :, :, level])
    projected = [total[:, :, head] @ attention.value.weight.chunk(2)[head] + attention.value.bias[head] for head in (0, 1)]
    torch.testing.assert_close(actual, attention.output_proj(torch.cat(projected, -1)), atol=1e-5, rtol=1e-5)


@needed
def test_flips_are_the_published_ones() -> None:
    vectors = np.load(SYSTEMS / "decode.npz")
    output = torch.tensor(vectors["regression_output"])
    sigmas, scores = output[..., 2:], 1 - output[..., 2:].mean(-1)
    mmpose = torch.tensor(vectors["mmpose_flip_coords_shift"])
    for coords, expected in (
        (output[..., :2], mmpose[..., :2]),
        (torch.tensor(vectors["rle_coords"]) + 0.5, torch.tensor(vectors["rle_flip_coords_shift"]) + 0.5),
    ):
        zero = PoseOutput(torch.zeros_like(coords), torch.zeros_like(scores), torch.zeros_like(sigmas))
        fused = fuse_flip(zero, PoseOutput(coords, scores, sigmas), COCO_17.flip, 1.0, 192)
        assert_near(2 * fused.coords, expected.numpy())
        assert_near(2 * fused.scores, vectors["rle_flip_scores"][..., 0])
        assert_near(2 * fused.sigmas, mmpose[..., 2:].numpy())


def test_a_mirrored_crop_of_itself_changes_nothing() -> None:
    coords, scores = torch.rand(2, 17, 2), torch.rand(2, 17)
    order = list(COCO_17.flip)
    mirrored = PoseOutput(torch.stack([1 - coords[:, order, 0], coords[:, order, 1]], -1), scores[:, order])
    fused = fuse_flip(PoseOutput(coords, scores), mirrored, COCO_17.flip, 0.0, SPEC.width)
    torch.testing.assert_close(fused.coords, coords)
    torch.testing.assert_close(fused.scores, scores)
    assert fused.sigmas is None
