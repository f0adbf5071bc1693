from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pose import metrics
from pose.errors import InputError
from pose.skeleton import COCO_17, LSP_14, Skeleton

LIMBS = LSP_14.shared(COCO_17)


def people(n: int = 40, seed: int = 0, joints: int = 14, unlabelled: float = 0.1) -> np.ndarray:
    """Keypoints [n, joints, 3] in a 100 x 200 px box."""
    random = np.random.default_rng(seed)
    xy = random.random((n, joints, 2)) * (100, 200)
    v = np.where(random.random((n, joints, 1)) < unlabelled, 0, 2)
    return np.concatenate([np.where(v > 0, xy, 0), v], -1)


def coco(truth: np.ndarray, per_image: int = 1) -> list[dict]:
    n = len(truth)
    boxes = np.tile([0, 0, 100, 200], (n, 1))
    return metrics.as_annotations(truth, np.full(n, 10_000.0), boxes, [i // per_image for i in range(n)])


def results(truth: np.ndarray, noise: float, seed: int = 1, per_image: int = 1) -> list[dict]:
    random = np.random.default_rng(seed)
    coords = truth[..., :2] + random.normal(size=truth[..., :2].shape) * noise
    return metrics.as_results(coords, random.random(truth.shape[:2]), [i // per_image for i in range(len(truth))])


def test_perfect_and_hopeless() -> None:
    truth = people()
    every = {"ap": 1.0, "ap50": 1.0, "ap75": 1.0, "ar": 1.0}
    assert metrics.average_precision(coco(truth), results(truth, 0), LSP_14.sigmas) == pytest.approx(every)
    assert metrics.average_precision(coco(truth), results(truth, 1e4), LSP_14.sigmas) == pytest.approx(
        dict.fromkeys(every, 0)
    )
    assert metrics.average_precision(coco(truth), [], LSP_14.sigmas) == pytest.approx(dict.fromkeys(every, 0))


def test_ap_by_hand() -> None:
    """Two people, one a hit with the higher score, one missed: precision 1 to recall 0.5, 51 of COCO's 101 levels."""
    truth = people(2, unlabelled=0)
    coords, scores = truth[..., :2].copy(), np.array([[0.9] * 14, [0.1] * 14])
    coords[1] += 1e4
    answer = metrics.average_precision(coco(truth), metrics.as_results(coords, scores, [0, 1]), LSP_14.sigmas)
    assert answer == pytest.approx({"ap": 51 / 101, "ap50": 51 / 101, "ap75": 51 / 101, "ar": 0.5})


def test_oks_thresholds_by_hand() -> None:
    """Every joint off by d with exp(-d^2 / (2 area (2 sigma)^2)) = 0.72: a hit at 0.50 .. 0.70, five thresholds of ten."""
    truth = people(3, unlabelled=0)
    off = np.sqrt(-np.log(0.72) * 2 * 10_000) * 2 * LSP_14.sigmas
    coords = truth[..., :2] + np.stack([off, 0 * off], -1)
    answer = metrics.average_precision(coco(truth), metrics.as_results(coords, np.ones((3, 14)), [0, 1, 2]), LSP_14.sigmas)
    assert answer == pytest.approx({"ap": 0.5, "ap50": 1.0, "ap75": 0.0, "ar": 0.5})


def test_crowds_and_people_without_joints_do_not_count() -> None:
    truth = people(6, unlabelled=0)
    truth[4:, :, :] = 0
    labels = coco(truth)
    labels[3]["iscrowd"] = 1
    predictions = results(truth, 0)[:3]  # none for the crowd and the two people without joints
    assert metrics.average_precision(labels, predictions, LSP_14.sigmas)["ar"] == pytest.approx(1)
    del labels[3]["iscrowd"]
    assert metrics.average_precision(labels, predictions, LSP_14.sigmas)["ar"] == pytest.approx(0.75)


def test_nobody_to_find_has_no_ap() -> None:
    truth = people(2) * 0
    evaluation = metrics.OksEvaluation(coco(truth), results(truth, 1), LSP_14.sigmas)
    assert all(np.isnan(value) for value in [*evaluation.summary().values(), *evaluation.weighted(np.ones(2)).values()])


def test_nothing_is_printed(capfd: pytest.CaptureFixture) -> None:
    truth = people(3)
    metrics.average_precision(coco(truth), results(truth, 1), LSP_14.sigmas)
    assert capfd.readouterr() == ("", "")


@given(st.floats(0, 25), st.integers(1, 4), st.integers(0, 1000), st.booleans())
@settings(max_examples=40, deadline=None)
def test_own_sum_equals_pycocotools(noise: float, per_image: int, seed: int, incomplete: bool) -> None:
    truth = people(30, seed, unlabelled=0.3)
    labels, predictions = coco(truth, per_image), results(truth, noise, seed, per_image)
    labels[0]["iscrowd"] = 1
    evaluation = metrics.OksEvaluation(labels, predictions[::2] if incomplete else predictions, LSP_14.sigmas)
    images = len({label["image_id"] for label in labels})
    assert evaluation.weighted(np.ones(images)) == pytest.approx(evaluation.summary(), abs=1e-12)


def test_weights_equal_images_that_are_there_so_often() -> None:
    truth = people(12)
    labels, predictions = coco(truth, 2), results(truth, 9, per_image=2)
    weights = np.array([0, 3, 1, 0, 2, 1])
    again = [(image, 100 * image + copy) for image, times in enumerate(weights) for copy in range(times)]

    def copied(rows: list[dict]) -> list[dict]:
        return [{**row, "image_id": new} for image, new in again for row in rows if row["image_id"] == image]

    expected = metrics.average_precision(copied(labels), copied(predictions), LSP_14.sigmas)
    assert 0.1 < expected["ap"] < 0.9
    assert metrics.OksEvaluation(labels, predictions, LSP_14.sigmas).weighted(weights) == pytest.approx(expected)


@given(st.integers(0, 10_000), st.integers(1, 3), st.lists(st.integers(0, 3), min_size=8, max_size=8))
@settings(max_examples=40, deadline=None)
def test_equal_scores_keep_their_order_in_every_weighing(seed: int, levels: int, weights: list[int]) -> None:
    """People found several times with few different scores: images there so often, and copied so often, have one AP."""
    truth = people(16, seed, unlabelled=0)
    labels, random = coco(truth, 2), np.random.default_rng(seed)
    predictions = [row for times in range(3) for row in results(truth, 12, seed + times, per_image=2)]
    for row in predictions:
        row["score"] = float(random.integers(levels))
    evaluation = metrics.OksEvaluation(labels, predictions, LSP_14.sigmas)
    assert evaluation.weighted(np.ones(8)) == pytest.approx(evaluation.summary(), abs=1e-12)
    again = [(image, 100 * image + copy) for image, times in enumerate(weights) for copy in range(times)]
    copied = [
        [{**row, "image_id": new} for image, new in again for row in rows if row["image_id"] == image]
        for rows in (labels, predictions)
    ]
    expected = metrics.average_precision(copied[0], copied[1], LSP_14.sigmas)
    assert evaluation.weighted(np.array(weights)) == pytest.approx(expected, abs=1e-12, nan_ok=True)


def test_ap_interval() -> None:
    truth = people(60)
    evaluation = metrics.OksEvaluation(coco(truth), results(truth, 12), LSP_14.sigmas)
    intervals = evaluation.interval(200, seed=3)
    for name, value in evaluation.summary().items():
        low, high = intervals[name]
        assert low < value < high
    assert intervals == evaluation.interval(200, seed=3)
    assert intervals != evaluation.interval(200, seed=4)


def test_pck_by_hand() -> None:
    truth = np.zeros((3, 14, 3))
    truth[:, LSP_14.joints.index("left_shoulder")] = 0, 0, 2
    truth[:, LSP_14.joints.index("right_hip")] = 30, 40, 2  # torso 50 px, so the limit is 10
    truth[1, LSP_14.joints.index("right_hip"), 2] = 0  # no torso: left out
    pred = truth[..., :2].copy()
    pred[:, LSP_14.joints.index("left_shoulder")] = 0, 10.001
    pred[2, LSP_14.joints.index("left_shoulder")] = 0, 9.999
    counts = metrics.pck_counts(pred, truth, LSP_14)
    assert counts.tolist() == [[1, 2], [0, 0], [2, 2]]
    assert metrics.pck(pred, truth, LSP_14) == 0.75
    assert metrics.pck(pred, truth, LSP_14, ("left_shoulder",)) == 0.5
    assert metrics.pck(pred, truth, LSP_14, threshold=0.21) == 1
    assert np.isnan(metrics.pck(pred, truth, LSP_14, reference="head"))
    assert metrics.reference_length(truth, LSP_14, "box")[0] == 40


@given(st.integers(0, 10_000), st.floats(0, 50), st.floats(0.1, 10), st.floats(-500, 500))
def test_pck_properties(seed: int, noise: float, zoom: float, shift: float) -> None:
    truth = people(5, seed)
    pred = truth[..., :2] + np.random.default_rng(seed).normal(size=(5, 14, 2)) * noise
    counts = [metrics.pck_counts(pred, truth, LSP_14, LIMBS, threshold=t)[:, 0].sum() for t in (0.05, 0.2, 0.5, 1e4)]
    assert counts == sorted(counts)  # a looser limit finds no fewer
    assert counts[-1] == metrics.pck_counts(pred, truth, LSP_14, LIMBS)[:, 1].sum()
    assert noise > 0 or counts[0] == counts[-1]
    moved = truth.copy()
    moved[..., :2] = truth[..., :2] * zoom + shift
    for reference in ("torso", "head", "box"):
        before = metrics.pck_counts(pred, truth, LSP_14, reference=reference, threshold=0.3)
        after = metrics.pck_counts(pred * zoom + shift, moved, LSP_14, reference=reference, threshold=0.3)
        assert np.abs(before - after).sum() <= 1  # rounding may move one joint over the limit


def test_pck_does_not_look_at_unlabelled_joints() -> None:
    truth = people(20, unlabelled=0.4)
    pred = np.where(truth[..., 2:] > 0, truth[..., :2], 1e6)
    assert metrics.pck(pred, truth, LSP_14) == 1
    assert metrics.end_point_error(pred, truth) == 0


def test_end_point_error() -> None:
    truth = np.array([[[0, 0, 2], [10, 10, 1], [5, 5, 0]]], float)
    pred = np.array([[[3, 4], [10, 11], [99, 99]]], float)
    assert np.array_equal(metrics.distances(pred, truth), [[5, 1, np.nan]], equal_nan=True)
    assert metrics.end_point_error(pred, truth) == 3
    assert np.isnan(metrics.end_point_error(pred, truth * 0))


def test_bootstrap_has_the_width_that_theory_gives() -> None:
    values = np.random.default_rng(0).normal(5, 2, 400)
    low, high = metrics.bootstrap(values, lambda rows: float(rows.mean()))
    assert low < values.mean() < high
    assert high - low == pytest.approx(2 * 1.96 * values.std() / np.sqrt(400), rel=0.1)
    assert (low, high) == metrics.bootstrap(values, lambda rows: float(rows.mean()))


def test_one_person_has_no_interval() -> None:
    one = np.array([[1.0, 2.0]])
    assert np.isnan(metrics.bootstrap(one, lambda rows: float(rows.mean()))).all()
    assert np.isnan(metrics.percentile_intervals(one, (50, 99))).all()


def test_intervals_of_percentiles_are_the_bootstrap_of_each() -> None:
    values = np.random.default_rng(0).gamma(2, 1, (50, 17))
    expected = [metrics.bootstrap(values, partial(lambda p, rows: float(np.percentile(rows, p)), p), 200) for p in (50, 99)]
    assert metrics.percentile_intervals(values, (50, 99), 200) == expected


@pytest.mark.parametrize(
    "skeleton", [Skeleton("hand", tuple(f"j{i}" for i in range(21))), Skeleton("pet", tuple("abcdefghi"))]
)
def test_own_joints_have_ap_and_pck(skeleton: Skeleton) -> None:
    truth = people(20, joints=len(skeleton), unlabelled=0.2)
    assert metrics.average_precision(coco(truth), results(truth, 0), skeleton.sigmas)["ap"] == 1
    close = metrics.average_precision(coco(truth), results(truth, 6), skeleton.sigmas)["ap"]
    assert 0.1 < close < 1
    assert metrics.average_precision(coco(truth), results(truth, 6), 2 * skeleton.sigmas)["ap"] > close
    assert metrics.pck_reference(skeleton) == "diagonal"
    assert metrics.pck(truth[..., :2], truth, skeleton) == 1


def test_pck_without_a_torso_measures_by_the_diagonal_of_the_labelled_joints() -> None:
    thing = Skeleton("thing", ("a", "b", "c"))
    truth = np.array([[[0, 0, 2], [30, 40, 1], [1000, 0, 0]], [[5, 5, 2], [0, 0, 0], [0, 0, 0]]], float)
    assert metrics.reference_length(truth, thing)[0] == 50
    assert np.isnan(metrics.reference_length(truth, thing)[1])  # one joint has no box
    pred = truth[..., :2] + (0, 10.001)
    assert metrics.pck_counts(pred, truth, thing).tolist() == [[0, 2], [0, 0]]
    assert metrics.pck_counts(pred - (0, 0.01), truth, thing).tolist() == [[2, 2], [0, 0]]
    assert (metrics.pck_reference(COCO_17), metrics.pck_reference(COCO_17.only(("nose",)))) == ("torso", "diagonal")
    with pytest.raises(InputError, match="has no joint 'left_shoulder'"):
        metrics.reference_length(truth, thing, "torso")
