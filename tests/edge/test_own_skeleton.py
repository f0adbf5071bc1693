"""Joints that nobody has registered: from the program to the artefact, the check, the gate, the report and a YAML."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from answered_people import ListedPeople, answered_people
from people_file import sample_of, write_people
from tiny_network import make_program

from edge import dist
from edge.check import main as check_command
from edge.evaluate import gates
from edge.evaluate.check import check
from edge.export import export
from edge.report import worst
from pose.errors import InputError
from pose.skeleton import Skeleton

FINGERS = ("thumb", "index", "middle", "ring", "little")
HAND = Skeleton(
    "hand",
    ("wrist", *(f"{finger}_{number}" for finger in FINGERS for number in range(1, 5))),
    limbs=tuple(("wrist", f"{finger}_1") for finger in FINGERS),
)


@pytest.fixture(scope="module")
def hand(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An artefact of a hand's network."""
    folder = tmp_path_factory.mktemp("hand")
    program = make_program(folder / "program", skeleton=HAND)
    return export(program.folder, "onnx", "int8", folder / "dist")[0]


@pytest.fixture(scope="module")
def hands(hand: Path) -> ListedPeople:
    """Hands where the network finds them."""
    return answered_people(hand.parent / "tiny.program", 8)


def test_the_artefact_is_checked_and_gated(hand: Path, hands: ListedPeople) -> None:
    artefact = dist.find(hand)
    assert artefact.card.skeleton == HAND
    assert artefact.twin("fp32").card.skeleton == HAND
    result = check(artefact, hands)
    assert (result.fp32.ap, result.fp32.pck) == (pytest.approx(100), pytest.approx(100))
    assert tuple(result.joints) == tuple(result.lowered.per_joint_px) == HAND.joints
    gates.require(gates.accuracy([result], 50))


def test_the_report_draws_its_limbs(hand: Path, hands: ListedPeople) -> None:
    pictures = worst.crops(check(dist.find(hand), hands), hands)
    assert len(pictures) == 6
    assert all('class="limb int8"' in picture.picture for picture in pictures)


def test_the_command_takes_the_skeleton_of_a_file_without_joints(hand: Path, hands: ListedPeople, tmp_path: Path) -> None:
    samples = [sample_of(hands, index) for index in range(len(hands))]
    data = write_people(tmp_path / "hands.json", tmp_path / "images", samples, HAND)
    named = json.loads(data.read_text())
    data.write_text(json.dumps({**named, "categories": [{"id": 1, "name": "hand"}]}))
    joints = tmp_path / "hand.yaml"
    joints.write_text(yaml.safe_dump({"joints": list(HAND.joints)}))
    with pytest.raises(InputError, match="names its keypoints"):
        check_command(hand, data=data)
    check_command(hand, data=data, skeleton=str(joints), max_drop=50, json=tmp_path / "check.json")
    written = json.loads((tmp_path / "check.json").read_text())
    assert written["skeleton"] == str(joints)
    assert np.isclose(written["fp32"]["ap"], 100)
    assert written["fp32"]["pck_reference"] == "diagonal"
    with pytest.raises(InputError, match="--skeleton belong to --data"):
        check_command(hand, skeleton=str(joints))
