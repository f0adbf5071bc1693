"""A card survives its file, refuses what does not fit, and tells one file from another."""

from __future__ import annotations

import re

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from pose import card as cards
from pose.card import Card, Golden, Input, Output, Prediction, Quantization, pack
from pose.crop import CropSpec, affine, to_image, warp
from pose.errors import InputError
from pose.skeleton import COCO_17, LSP_14, Skeleton

CROP = np.random.default_rng(0).integers(0, 256, (64, 48, 3), np.uint8)
_unit = st.floats(0, 1)
_colour = st.tuples(*[st.floats(0.1, 255)] * 3)
_size = st.integers(1, 512)


def make_card(**changes) -> Card:
    golden = Golden(crop=pack(CROP), expected={"fp32": Prediction(coords=[(0.5, 0.5)] * 17, scores=[0.9] * 17)})
    fields = {
        "student": "distilpose_edge",
        "skeleton": COCO_17,
        "input": Input(shape=(1, 3, 64, 48), mean=(1.0, 2.0, 3.0), std=(4.0, 5.0, 6.0), padding=1.25),
        "outputs": (Output(name="coords", shape=(1, 17, 2)), Output(name="scores", shape=(1, 17))),
        "scheme": "affine",
        "float_modules": ["head"],
        "files": {},
        "sources": {},
        "versions": {},
        "golden": golden,
    }
    return Card(**{**fields, **changes})


@given(
    size=st.tuples(_size, _size),
    mean=_colour,
    std=_colour,
    coords=st.lists(st.tuples(_unit, _unit), min_size=17, max_size=17),
    metrics=st.dictionaries(st.text(), st.one_of(st.floats(allow_nan=False, allow_infinity=False), st.text(), st.none())),
    scale=st.floats(1e-9, 1e9),
)
def test_what_is_written_is_what_is_read(tmp_path_factory, size, mean, std, coords, metrics, scale) -> None:
    quantization = Quantization(scale=scale, zero_point=-3)
    card = make_card(
        input=Input(shape=(1, 3, *size), mean=mean, std=std, padding=1.1, quantization=quantization),
        golden=Golden(
            crop=pack(np.zeros((*size, 3), np.uint8)), expected={"int8": Prediction(coords=coords, scores=[0.0] * 17)}
        ),
        metrics=metrics,
    )
    path = tmp_path_factory.mktemp("card") / "card.yaml"
    card.write(path)
    assert cards.read(path) == card
    assert cards.read(path).spec == CropSpec(size[1], size[0], mean, std, 1.1)


INPUT = make_card().model_dump(mode="json")["input"]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"schema_version": 99}, "schema version 99"),
        ({"schema_version": "3"}, "schema version '3', this toolkit reads 3"),
        ({"schema_version": None}, "schema version None"),
        ({"golden": {"crop": pack(CROP), "expected": {"int8": {"coords": [], "scores": []}}}}, "golden.expected.int8"),
        ({"golden": {"crop": pack(CROP[1:]), "expected": {}}}, "golden.crop is not one of 48x64"),
        ({"golden": {"crop": pack(CROP.repeat(99, 0)), "expected": {}}}, "golden.crop is not one of 48x64"),
        ({"golden": {"crop": "AAAA" + pack(CROP), "expected": {}}}, "golden.crop cannot be unpacked"),
        ({"student": None}, "student"),
        ({"skeleton": "centaur"}, "skeleton: .*not 'centaur'"),
        ({"skeleton": LSP_14.to_dict()}, "not coords and scores of lsp14"),
        ({"skeleton": {"name": "a"}}, "skeleton: .*joints: Field required"),
        ({"skeleton": COCO_17.to_dict() | {"sigmas": [0.1]}}, "skeleton: .*sigmas must be 17 numbers"),
        ({"student": "../../etc"}, "student: .*printable name"),
        ({"student": "a\nb"}, "student: .*printable name"),
        ({"files": {"/etc/passwd": "0" * 64}}, "files./etc/passwd.*: .*printable name"),
        ({"files": {"..": "0" * 64}}, "files.*printable name"),
        ({"surprise": 1}, "surprise"),
        ({"files": {"a": "not a digest"}}, "files.a"),
        ({"input": {**INPUT, "shape": [1, 3, 10**12, 10**12]}}, "input.shape"),
        ({"input": {**INPUT, "std": [0.0, 1.0, 1.0]}}, "input.std"),
        ({"input": {**INPUT, "padding": 0.0}}, "input.padding"),
        ({"metrics": {"ap": float("inf")}}, "metrics.ap.*finite"),
        ({"metrics": {"lint": [{"severity": float("nan")}]}}, "metrics.lint.*severity.*finite"),
    ],
)
def test_a_card_that_does_not_fit_is_one_line(tmp_path, change, expected) -> None:
    path = tmp_path / "card.yaml"
    path.write_text(yaml.safe_dump({**make_card().model_dump(mode="json"), **change}))
    with pytest.raises(InputError, match=expected) as caught:
        cards.read(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_card_without_a_field_names_it(tmp_path) -> None:
    value = make_card().model_dump(mode="json")
    del value["golden"]
    path = tmp_path / "card.yaml"
    path.write_text(yaml.safe_dump(value))
    with pytest.raises(InputError, match="golden: missing"):
        cards.read(path)


def test_a_truncated_card_is_refused_wherever_it_is_cut(tmp_path) -> None:
    path = tmp_path / "card.yaml"
    make_card().write(path)
    text = path.read_text()
    for end in range(0, text.index("created"), 41):
        path.write_text(text[:end])
        with pytest.raises(InputError) as caught:
            cards.read(path)
        assert "\n" not in str(caught.value)


def test_a_missing_card_is_an_input_error(tmp_path) -> None:
    with pytest.raises(InputError, match="cannot read the card"):
        cards.read(tmp_path / "none.yaml")


def test_a_card_knows_its_file(tmp_path) -> None:
    path = tmp_path / "a.pte"
    path.write_bytes(b"one")
    card = make_card(files={"a.pte": cards.digest(path)})
    card.verify(path)
    path.write_bytes(b"two")
    with pytest.raises(InputError, match="sha256 differs"):
        card.verify(path)
    path.unlink()
    with pytest.raises(InputError, match="is missing"):
        card.verify(path)
    with pytest.raises(InputError, match=r"describes a\.pte"):
        card.verify(tmp_path / "b.pte")


def test_the_digest_of_a_folder_sees_contents_and_names(tmp_path) -> None:
    folder = tmp_path / "model.mlpackage"
    (folder / "data").mkdir(parents=True)
    (folder / "data" / "weights").write_bytes(b"1")
    before = cards.digest(folder)
    (folder / "data" / "weights").rename(folder / "data" / "renamed")
    renamed = cards.digest(folder)
    (folder / "data" / "renamed").write_bytes(b"2")
    assert len({before, renamed, cards.digest(folder)}) == 3


def test_the_golden_crop_comes_back() -> None:
    np.testing.assert_array_equal(make_card().golden.pixels(48, 64), CROP)


def test_a_card_holds_its_skeleton_whoever_registered_it(tmp_path) -> None:
    joints = ("tip", "left_wing", "right_wing")
    own = Skeleton(
        "bird", joints, limbs=(("tip", "left_wing"),), sigmas=np.array([0.1, 0.2, 0.3]), torso=("tip", "left_wing")
    )
    card = make_card(
        skeleton=own,
        outputs=(Output(name="coords", shape=(1, 3, 2)), Output(name="scores", shape=(1, 3))),
        golden=Golden(crop=pack(CROP), expected={}),
    )
    path = tmp_path / "card.yaml"
    card.write(path)
    skeleton = cards.read(path).skeleton
    assert skeleton == own
    assert skeleton.flip.tolist() == [0, 2, 1]
    assert yaml.safe_load(path.read_text())["skeleton"] == {
        "name": "bird",
        "joints": list(joints),
        "flip_pairs": [["left_wing", "right_wing"]],
        "limbs": [["tip", "left_wing"]],
        "sigmas": [0.1, 0.2, 0.3],
        "torso": ["tip", "left_wing"],
    }


def test_the_instructions_state_all_that_an_app_needs() -> None:
    text = make_card().instructions()
    for fact in ("48 x 64", "float32 [1, 3, 64, 48] (NCHW)", "RGB", "s = 1.25 *", "'coords': float32 [1, 17, 2]", "[1, 17]"):
        assert fact in text
    camera = Input(
        shape=(1, 3, 64, 48), layout="NHWC", dtype="uint8", mean=(1.0, 2.0, 3.0), std=(4.0, 5.0, 6.0), padding=1.25
    )
    assert (
        "uint8 [1, 64, 48, 3] (NHWC), channels in the order RGB:\n   pixels 0..255."
        in make_card(input=camera).instructions()
    )


def test_the_instructions_have_means_in_the_order_of_the_channels() -> None:
    wanted = Input(shape=(1, 3, 64, 48), colour="BGR", mean=(1.0, 2.0, 3.0), std=(4.0, 5.0, 6.0), padding=1.25)
    text = make_card(input=wanted).instructions()
    assert "channels in the order BGR:" in text
    assert "mean [3.0, 2.0, 1.0], std [6.0, 5.0, 4.0]" in text


def test_the_instructions_cut_the_crop_that_the_network_is_trained_on() -> None:
    """The two formulas of the text, evaluated as they stand there, against the project's own crop."""
    spec, box = make_card().spec, np.array([30.0, 20.0, 40.0, 90.0])
    image = np.random.default_rng(1).integers(0, 256, (150, 160, 3), np.uint8)
    matrix = affine(box, spec)
    crop = warp(image, matrix, spec)
    lines = make_card().instructions()
    place = re.search(r"is the image at\n +\((.+), (y \+ h.+)\)\.\n", lines)
    back = re.search(r"in the image they are\n +\((.+), (y \+ h.+)\)\.\n", lines)
    values = dict(zip("xywh", box, strict=True))
    values["s"] = eval(re.search(r"s = (.+)\.\n", lines)[1], {"max": max}, values)
    for i, j in ((24, 32), (10, 50), (47, 0)):
        u, v = (eval(axis, {}, values | {"i": i, "j": j}) for axis in place.groups())
        left, top = int(np.floor(u)), int(np.floor(v))
        corners = image[top : top + 2, left : left + 2].astype(float)
        rows = corners[0] + (v - top) * (corners[1] - corners[0])
        assert np.abs(rows[0] + (u - left) * (rows[1] - rows[0]) - crop[j, i]).max() < 9  # OpenCV's weights have 5 bits
        coords = np.array([i / spec.width, j / spec.height])
        point = [eval(axis, {}, values | {"coords_x": coords[0], "coords_y": coords[1]}) for axis in back.groups()]
        assert np.allclose(point, to_image(coords, matrix, spec))
        assert np.allclose(point, (u, v))
