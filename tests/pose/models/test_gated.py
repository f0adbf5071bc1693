"""The gated read chooses the person in the middle; with MoveNet's weights it answers as MoveNet does."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from pose.errors import InputError
from pose.models import build
from pose.models.backbones.movenet import MoveNetHeads, MoveNetTrunk, import_weights
from pose.models.gated import GatedPose, GatedRead
from pose.models.protocols import require_student
from pose.sessions import open_session
from pose.weights import weights_file

SIDE = 24
SURE, UNSURE = 3.0, -6.0  # logits
POSE_DATA = os.environ.get("POSE_DATA")
with_data = pytest.mark.skipif(POSE_DATA is None, reason="needs POSE_DATA: the published MoveNets and photos")


def cell_of(logits: torch.Tensor, row: int, column: int, value: float = SURE) -> None:
    logits[..., row, column] = value


def two_people(middle_is_sure: bool = True) -> tuple[torch.Tensor, ...]:
    """Maps of one joint: of a person in the middle, at cell (10, 13), and of a surer one beside, at (10, 20).

    The persons' centres are in the cells (13, 13) and (13, 21), which are (3, 3) and (3, 5) of the coarse maps.
    """
    heatmaps, centre = torch.full((1, 1, SIDE, SIDE), UNSURE), torch.full((1, 1, SIDE // 4, SIDE // 4), UNSURE)
    displacements, features = torch.zeros(1, 2, SIDE // 4, SIDE // 4), torch.zeros(1, 4, SIDE, SIDE)
    cell_of(heatmaps, 10, 13, 1.0)
    cell_of(heatmaps, 10, 20, 4.0)
    cell_of(centre, 3, 3 if middle_is_sure else 0)
    cell_of(centre, 3, 5)
    displacements[0, 0, 3] = torch.tensor([0.0, 0, 0, 0, 0, -1])  # x to the joint
    displacements[0, 1, 3] = -3.0  # y
    features[0, :, 10, 13] = 1.0
    return heatmaps, displacements, centre, features


def test_the_joint_of_the_person_in_the_middle_wins_over_a_surer_neighbour() -> None:
    read = GatedRead(1, 4, SIDE)
    with torch.no_grad():
        output = read(*two_people())
    assert torch.allclose(output.coords, (torch.tensor([[[13.0, 10.0]]]) + 0.5) / SIDE, atol=0.3 / SIDE)
    assert output.scores.item() == pytest.approx(torch.tensor(1.0).sigmoid().item(), abs=0.1)
    assert torch.allclose(output.keypoint_tokens, torch.ones(1, 1, 4), atol=0.15)
    assert (output.sigmas < 1.5).all()


def test_at_the_size_of_another_member_it_answers_as_that_member() -> None:
    torch.manual_seed(0)
    small, network = GatedPose(3, 96).eval(), GatedPose(3, 128).eval()
    network.load_state_dict(small.state_dict())
    images = torch.rand(2, 3, 96, 96) * 2 - 1
    with torch.no_grad():
        own, other = small(images), network(images)
    assert torch.equal(own.coords, other.coords)
    assert torch.equal(own.scores, other.scores)
    assert torch.allclose(other.sigmas, own.sigmas * (128 / 96))  # in cells of the network's own size


@pytest.mark.parametrize("name", ["distilpose_edge_t", "distilpose_edge_s", "distilpose_edge_m"])
def test_the_bundled_weights_are_those_of_three_members(name: str) -> None:
    assert build(name, 17, weights_file(name)).head.correction.weight.abs().sum() > 0


def test_without_a_person_in_the_middle_the_neighbour_is_read() -> None:
    with torch.no_grad():
        output = GatedRead(1, 4, SIDE)(*two_people(middle_is_sure=False))
    assert torch.allclose(output.coords, (torch.tensor([[[20.0, 10.0]]]) + 0.5) / SIDE, atol=0.3 / SIDE)


def test_sigmas_are_the_spread_of_the_attention_in_cells() -> None:
    heatmaps, displacements, centre, features = two_people()
    heatmaps[:] = SURE  # everywhere alike: only the gate is left, a Gaussian of 4 cells of 48, which are 2 of 24
    with torch.no_grad():
        output = GatedRead(1, 4, SIDE)(heatmaps, displacements, centre, features)
    assert torch.allclose(output.sigmas, torch.full((1, 1, 2), 2.0), rtol=0.02)
    assert torch.allclose(output.coords, (torch.tensor([[[13.0, 10.0]]]) + 0.5) / SIDE, atol=0.1 / SIDE)


def test_every_part_learns_and_its_deploy_form_is_equal() -> None:
    torch.manual_seed(0)
    model = GatedPose(3, 64)
    model.crop, model.heatmap = build("distilpose_edge_s").crop.__class__(64, 64, (127.5,) * 3, (127.5,) * 3), (16, 16)
    require_student(model, "gated", 3)
    images = torch.rand(2, 3, 64, 64) * 2 - 1
    output = model(images)
    (output.coords.sum() + output.scores.sum() + output.sigmas.sum()).backward()
    still = [name for name, parameter in model.named_parameters() if parameter.grad is None]
    assert not still
    deployed = model.deploy()(images)
    assert torch.equal(deployed.coords, output.coords)
    assert torch.equal(deployed.scores, output.scores)


def test_coarse_heads_are_movenets_in_every_sixteenth_cell() -> None:
    torch.manual_seed(0)
    heads, features = MoveNetHeads(3), torch.randn(2, MoveNetTrunk.channels, SIDE, SIDE)
    _, displacements, centre = heads(features)
    for name, coarse in (("displacements", displacements), ("centre", centre)):
        head = getattr(heads, name)
        head[0].stride, head[0].padding = (1, 1), (1, 1)
        torch.testing.assert_close(coarse, head(features)[..., 1::4, 1::4], rtol=0, atol=1e-5)


def test_a_damaged_file_of_weights_is_refused(tmp_path: Path) -> None:
    (tmp_path / "movenet.onnx").write_bytes(b"\x08")
    with pytest.raises(InputError, match=r"movenet\.onnx"):
        import_weights(MoveNetTrunk(), tmp_path / "movenet.onnx", MoveNetHeads(17))


@with_data
@pytest.mark.parametrize(("name", "width"), [("lightning", 1.0), ("thunder", 1.75)])
def test_the_published_weights_give_the_published_maps(name: str, width: float) -> None:
    assert POSE_DATA
    path = Path(POSE_DATA) / "movenet" / f"movenet-{name}.onnx"
    published, side = open_session(path, threads=1), 192 if name == "lightning" else 256
    photo = cv2.imread(str(min((Path(POSE_DATA) / "coco17/images").glob("*.jpg"))))[..., ::-1]
    crop = cv2.resize(photo, (side, side))
    model = GatedPose(17, side, width)
    import_weights(model.backbone, path, model.maps)
    with torch.no_grad():
        features = model.backbone(torch.from_numpy(crop / np.float32(127.5) - 1).permute(2, 0, 1)[None])
        heatmaps = model.maps(features)[0].sigmoid().numpy()
    (expected,) = published.run(crop[None].astype(np.int32), ["kpt_heatmap"])
    assert np.abs(heatmaps - expected.transpose(0, 3, 1, 2)).max() < 2e-3


@with_data
def test_weights_of_another_width_or_number_of_keypoints() -> None:
    assert POSE_DATA
    path = Path(POSE_DATA) / "movenet/movenet-lightning.onnx"
    with pytest.raises(InputError, match="another width"):
        import_weights(MoveNetTrunk(1.75), path)
    heads, published = MoveNetHeads(14), MoveNetHeads(17)
    own = heads.heatmaps[-1].weight.clone()
    import_weights(MoveNetTrunk(), path, heads)
    import_weights(MoveNetTrunk(), path, published)
    assert torch.equal(heads.heatmaps[-1].weight, own)
    assert torch.equal(heads.heatmaps[1].weight, published.heatmaps[1].weight)
    assert torch.equal(heads.centre[-1].weight, published.centre[-1].weight)
