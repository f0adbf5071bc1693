"""A foreign teacher scored by the command that shows whether its YAML is right."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import yaml
from conftest import Command
from foreign_network import description, write_model
from people_file import person, write_people
from PIL import Image
from torch import nn

from calib_data.coco import open_data
from edge.evaluate.teacher import score_teacher
from edge.teacher import main
from pose import models
from pose.crop import CropSpec
from pose.errors import InputError
from pose.foreign import load_teacher
from pose.models import ModelSpec
from pose.models.output import PoseOutput
from pose.skeleton import LSP_14


def gathered(spot: tuple[int, int]) -> list[tuple[int, int]]:
    """Places of LSP's joints: all at one spot but the shoulder and the hip that PCK is measured by."""
    apart = dict(zip(LSP_14.torso or (), ((90, 14), (20, 100)), strict=True))
    return [apart.get(joint, spot) for joint in LSP_14.joints]


def test_the_command_finds_the_joints_that_are_in_the_picture(command: Command, tmp_path: Path) -> None:
    """The network answers with the brightest place for every joint: twelve of the fourteen are right."""
    places = gathered((48, 44))
    image = np.zeros((120, 120, 3), np.uint8)
    cv2.circle(image, (48, 44), 5, (255, 255, 255), -1)
    write_people(tmp_path / "people.json", tmp_path / "images", [person(image, (10, 5, 100, 110), places)], LSP_14)
    write_model(tmp_path / "net.onnx")
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(description()))
    flags = ["--teacher", tmp_path / "mine.yaml", "--data", tmp_path / "people.json", "--json", tmp_path / "out.json"]
    answer = command("edge.teacher", *flags)
    assert answer.returncode == 0, answer.stderr
    assert "mine: AP 70.0, PCK@0.2 85.7; 1 people, 14 joints" in answer.stdout
    assert json.loads((tmp_path / "out.json").read_text())["pck"] == pytest.approx(1200 / 14)


def test_a_published_decoding_of_another_grid_is_refused(tmp_path: Path) -> None:
    write_model(tmp_path / "net.onnx")
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(description(heatmaps__offset=0.5)))
    image = np.zeros((120, 120, 3), np.uint8)
    data = write_people(
        tmp_path / "people.json", tmp_path / "images", [person(image, (10, 5, 100, 110), gathered((48, 44)))], LSP_14
    )
    with pytest.raises(InputError, match=r"mine: mmpose_msra decodes a grid of its own, .* an offset of 0\.5"):
        main(str(tmp_path / "mine.yaml"), data, method="mmpose_msra")


def test_a_teacher_that_finds_nothing_is_no_result(command: Command, tmp_path: Path) -> None:
    """The bright place is no joint's."""
    places = [(20 + 28 * (joint % 4), 14 + 30 * (joint // 4)) for joint in range(len(LSP_14))]
    image = np.zeros((120, 120, 3), np.uint8)
    cv2.circle(image, (112, 112), 5, (255, 255, 255), -1)
    write_people(tmp_path / "people.json", tmp_path / "images", [person(image, (10, 5, 100, 110), places)], LSP_14)
    write_model(tmp_path / "net.onnx")
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(description()))
    flags = ["--teacher", tmp_path / "mine.yaml", "--data", tmp_path / "people.json", "--json", tmp_path / "out.json"]
    answer = command("edge.teacher", *flags)
    assert (answer.returncode, answer.stdout) == (2, "")
    assert "mine has PCK 0.0 on 1 people of people.json, which is near chance; check its YAML" in answer.stderr
    assert not (tmp_path / "out.json").exists()


def test_photos_that_are_turned_by_half_are_not_scored_as_they_are_stored(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """The joints at the bright place are found only on the photo as viewers show it."""
    places = gathered((48, 14))
    image = np.zeros((120, 120, 3), np.uint8)
    cv2.circle(image, (48, 14), 5, (255, 255, 255), -1)
    data = write_people(tmp_path / "people.json", tmp_path / "images", [person(image, (10, 5, 100, 110), places)], LSP_14)
    exif = Image.Exif()
    exif[0x0112] = 3
    Image.fromarray(image[::-1, ::-1]).save(tmp_path / "images" / "1.png", exif=exif)
    write_model(tmp_path / "net.onnx")
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(description()))
    with pytest.raises(InputError, match=r"1 of 1 photos .* --exif apply .* --exif ignore"):
        main(str(tmp_path / "mine.yaml"), data)
    main(str(tmp_path / "mine.yaml"), data, exif="apply")
    assert "PCK@0.2 85.7" in capsys.readouterr().out
    with pytest.raises(InputError, match=r"PCK 0\.0 .* near chance"):
        main(str(tmp_path / "mine.yaml"), data, exif="ignore")


class Brightness(nn.Module):
    """Heatmaps that are the red pixels at stride 4, in 0..1, for every joint."""

    def __init__(self, keypoints: int) -> None:
        super().__init__()
        self.gains = nn.Parameter(torch.ones(1, keypoints, 1, 1))

    def forward(self, images: torch.Tensor) -> PoseOutput:
        return PoseOutput(heatmaps=self.gains * (0.229 * images[:, :1, ::4, ::4] + 0.485))


def test_a_network_of_ours_is_scored_with_its_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    spec = ModelSpec(Brightness, CropSpec(96, 96), (24, 24), teacher=True)
    monkeypatch.setitem(models.MODELS, "bright", spec)
    torch.save(Brightness(14).state_dict(), tmp_path / "weights.pth")
    places = gathered((76, 44))
    image = np.zeros((120, 120, 3), np.uint8)
    cv2.circle(image, (76, 44), 9, (255, 255, 255), -1)
    image = cv2.GaussianBlur(image, (0, 0), 6)  # DARK takes a Gaussian for granted
    people = [person(image, (10, 5, 100, 110), places)]
    data = write_people(tmp_path / "people.json", tmp_path / "images", people, LSP_14)
    for options in ({}, {"flip": True}, {"method": "hrnet", "flip": True}):
        main("bright", data, teacher_file=tmp_path / "weights.pth", **options)
    assert capsys.readouterr().out.count("bright: AP 80.0, PCK@0.2 85.7; 1 people, 14 joints") == 3
    with pytest.raises(InputError, match="no weights of bright are bundled; give them with --teacher-file"):
        main("bright", data)
    with pytest.raises(InputError, match=r"there is no decoding 'best'; choose one of argmax, quarter, dark, .*mmpose_udp"):
        main("bright", data, teacher_file=tmp_path / "weights.pth", method="best")
    with pytest.raises(InputError, match=r"distilpose_s is a student; score it with edge\.check"):
        main("distilpose_s", data)


def test_movenet_finds_people_in_photos(pose_data: Path) -> None:
    people = open_data(pose_data / "lspet" / "val" / "person_keypoints_val.json", boxes="keypoints")
    result = score_teacher(load_teacher("movenet_lightning", folder=pose_data), people, "val", limit=20)
    assert result.persons == 20
    assert len(result.joints) == 12
    assert result.pck > 75
