"""Teachers on real photos against the figures published with the data: reading, cropping, decoding and metrics at once."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from calib_data.coco import CocoPeople, open_data
from calib_data.sample import Labels
from pose import crop, metrics
from pose.foreign import HeatmapTeacher, load_teacher

DATA = Path(os.environ.get("POSE_DATA", "unset"))
pytestmark = pytest.mark.skipif(
    not DATA.is_dir(), reason="POSE_DATA is unset or no folder: no real photos and teachers here"
)


def predict(teacher: HeatmapTeacher, people: CocoPeople) -> tuple[np.ndarray, np.ndarray, list[Labels]]:
    """Coordinates [N, K, 2] in image pixels, scores [N, K], and the labels."""
    coords, scores, samples = [], [], []
    for i in range(len(people)):
        sample = people.labels(i)
        matrix = crop.affine(sample.box, teacher.crop)
        points, confidence = teacher.predict(crop.warp(people.image(i), matrix, teacher.crop)[None])
        coords.append(crop.to_image(points[0].astype(np.float64), matrix, teacher.crop))
        scores.append(confidence[0])
        samples.append(sample)
    return np.array(coords), np.array(scores), samples


@pytest.mark.parametrize(
    ("name", "runtime", "joints", "published"),
    [
        ("movenet_thunder", "onnxruntime", 12, 92.6),
        ("movenet_lightning", "onnxruntime", 12, 88.1),
        ("cpm_mv2", "ai_edge_litert", 14, 89.5),
    ],
)
def test_pck_on_lspet(name: str, runtime: str, joints: int, published: float) -> None:
    pytest.importorskip(runtime)
    people = open_data(DATA / "lspet" / "val" / "person_keypoints_val.json", boxes="keypoints")
    teacher = load_teacher(name)
    coords, _, samples = predict(teacher, people)
    truth = np.array([sample.keypoints for sample in samples])
    shared = people.skeleton.shared(teacher.skeleton)
    assert (len(people), len(shared)) == (300, joints)
    measured = 100 * metrics.pck(teacher.skeleton.convert(coords, people.skeleton), truth, people.skeleton, shared)
    assert measured == pytest.approx(published, abs=1)


@pytest.mark.parametrize(("name", "published"), [("movenet_thunder", 0.503), ("movenet_lightning", 0.396)])
def test_ap_on_coco(name: str, published: float) -> None:
    pytest.importorskip("onnxruntime")
    people = open_data(DATA / "coco17" / "annotations" / "person_keypoints_dev.json")
    coords, scores, samples = predict(load_teacher(name), people)
    images = [sample.image_id for sample in samples]
    answer = metrics.average_precision(
        people.annotations, metrics.as_results(coords, scores, images), people.skeleton.sigmas
    )
    assert (len(people), len(people.annotations)) == (193, 338)
    assert answer["ap"] == pytest.approx(published, abs=0.01)
