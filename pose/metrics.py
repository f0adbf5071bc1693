"""Accuracy of keypoints: OKS AP, PCK, end-point error, and their confidence intervals (bootstrap)."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from pose.skeleton import TORSO, Skeleton

_PERSON = 1


def as_annotations(
    keypoints: np.ndarray, areas: np.ndarray, boxes: np.ndarray, image_ids: Sequence[int]
) -> list[dict[str, Any]]:
    """COCO annotations of arrays: keypoints [N, K, 3] (x, y, v) and boxes [N, 4] (x, y, w, h) in image pixels, areas [N]."""
    rows = zip(keypoints, areas, boxes, image_ids, strict=True)
    return [
        {"id": i, "image_id": image, "keypoints": person.ravel().tolist(), "area": float(area), "bbox": box.tolist()}
        for i, (person, area, box, image) in enumerate(rows, 1)
    ]


def as_results(coords: np.ndarray, scores: np.ndarray, image_ids: Sequence[int]) -> list[dict[str, Any]]:
    """COCO results of coords [N, K, 2] in image pixels and scores [N, K]; a person's score is the mean of their joints'."""
    triples = np.concatenate([coords, scores[..., None]], -1).astype(np.float64)
    return [
        {"image_id": image, "keypoints": person.ravel().tolist(), "score": float(person[:, 2].mean())}
        for person, image in zip(triples, image_ids, strict=True)
    ]


class OksEvaluation:
    """COCO keypoint evaluation of one set of people: matched once, summed up for any weights of the images.

    Args:
        truth: COCO annotations. Crowds and people without labelled joints are ignored: they are neither hits nor misses.
        predictions: COCO results (image_id, keypoints, score). The best 20 of an image count.
        sigmas: [K], of the skeleton.
    """

    def __init__(self, truth: Sequence[Mapping], predictions: Sequence[Mapping], sigmas: np.ndarray) -> None:
        with contextlib.redirect_stdout(io.StringIO()):
            self._coco = COCOeval(_coco(truth, predictions), _coco(predictions, truth), "keypoints")
            self._coco.params.kpt_oks_sigmas = np.asarray(sigmas, np.float64)
            self._coco.evaluate()
        images = self._coco.params.imgIds
        per_image = self._coco.evalImgs[: len(images)]  # the entries for people of any area come first
        self._of = np.concatenate(
            [np.full(len(e["dtScores"]), i) for i, e in enumerate(per_image) if e] or [np.zeros(0, int)]
        )
        scores = np.concatenate([e["dtScores"] for e in per_image if e] or [np.zeros(0)])
        order = np.argsort(-scores, kind="mergesort")
        thresholds = len(self._coco.params.iouThrs)
        matched = np.concatenate([e["dtMatches"] for e in per_image if e] or [np.zeros((thresholds, 0))], 1)[:, order] > 0
        ignored = np.concatenate([e["dtIgnore"] for e in per_image if e] or [np.zeros((thresholds, 0))], 1)[:, order] > 0
        self._of = self._of[order]
        first = np.diff(scores[order], prepend=np.nan) != 0
        first |= np.diff(self._of, prepend=-1) != 0
        self._starts = np.flatnonzero(first)  # of runs of equal scores in one image, which a copy of the image repeats
        self._hit, self._miss = matched & ~ignored, ~matched & ~ignored
        self._people = np.array([0 if e is None else (np.asarray(e["gtIgnore"]) == 0).sum() for e in per_image])

    def summary(self) -> dict[str, float]:
        """`ap` (mean over OKS 0.50:0.05:0.95), `ap50`, `ap75` and `ar`, all 0..1, by pycocotools; nan without people."""
        with contextlib.redirect_stdout(io.StringIO()):
            self._coco.accumulate()
            self._coco.summarize()
        stats = self._coco.stats
        return {name: float(stats[i]) if self._people.sum() else np.nan for name, i in _STATS.items()}

    def weighted(self, weights: np.ndarray) -> dict[str, float]:
        """The summary of a set that has each image `weights` [images] times (whole numbers)."""
        people = float(self._people @ weights)
        if people == 0:
            return dict.fromkeys(_STATS, np.nan)
        chosen = self._in_copies(np.asarray(weights, int))
        hits, misses = np.cumsum(self._hit[:, chosen], 1), np.cumsum(self._miss[:, chosen], 1)
        recall = hits / people
        precision = hits / np.maximum(hits + misses, np.spacing(1))
        envelope = np.maximum.accumulate(precision[:, ::-1], 1)[:, ::-1]
        padded = np.pad(envelope, ((0, 0), (0, 1)))  # recalls that are never reached have precision 0
        levels = self._coco.params.recThrs
        ap = np.array([row[np.searchsorted(r, levels, side="left")].mean() for row, r in zip(padded, recall, strict=True)])
        ar = recall[:, -1].mean() if recall.shape[1] else 0.0
        return {"ap": float(ap.mean()), "ap50": float(ap[0]), "ap75": float(ap[5]), "ar": float(ar)}

    def _in_copies(self, weights: np.ndarray) -> np.ndarray:
        """Indices of the predictions by score, those of an image as often as it is there, as pycocotools orders its copies.

        Equal scores keep the order of the images: hit, miss, hit, miss of two copies, not hit, hit, miss, miss.
        """
        times = weights[self._of[self._starts]]
        starts = np.repeat(self._starts, times)
        lengths = np.repeat(np.diff(self._starts, append=len(self._of)), times)
        behind = np.cumsum(lengths) - lengths
        return np.repeat(starts - behind, lengths) + np.arange(lengths.sum())

    def interval(self, n: int = 1000, seed: int = 0) -> dict[str, tuple[float, float]]:
        """95 % bootstrap intervals of the summary over `n` resamples of the images; nan of one image."""
        random, images = np.random.default_rng(seed), len(self._people)
        if images < 2:
            return dict.fromkeys(_STATS, (np.nan, np.nan))
        draws = [self.weighted(random.multinomial(images, np.full(images, 1 / images))) for _ in range(n)]
        return {name: _middle95([draw[name] for draw in draws]) for name in _STATS}


_STATS = {"ap": 0, "ap50": 1, "ap75": 2, "ar": 5}


def average_precision(truth: Sequence[Mapping], predictions: Sequence[Mapping], sigmas: np.ndarray) -> dict[str, float]:
    """`OksEvaluation(...).summary()`."""
    return OksEvaluation(truth, predictions, sigmas).summary()


def _coco(people: Sequence[Mapping], others: Sequence[Mapping]) -> COCO:
    """pycocotools' index of people, over the images of both."""
    images = sorted({person["image_id"] for person in [*people, *others]})
    coco = COCO()
    coco.dataset = {
        "images": [{"id": image} for image in images],
        "categories": [{"id": _PERSON}],
        "annotations": [_entry(i, person) for i, person in enumerate(people, 1)],
    }
    coco.createIndex()
    return coco


def _entry(number: int, person: Mapping) -> dict[str, Any]:
    """One person as pycocotools takes it; a result gets the box and the area of its keypoints, as in COCO.loadRes."""
    points = np.reshape(person["keypoints"], (-1, 3))
    low, high = points[:, :2].min(0), points[:, :2].max(0)
    derived = {"bbox": [*low, *(high - low)], "area": float(np.prod(high - low)), "iscrowd": 0}
    counted = {"id": number, "category_id": _PERSON, "num_keypoints": int((points[:, 2] > 0).sum())}
    return {**derived, **person, **counted}


Reference = Literal["torso", "head", "box", "diagonal"]


def pck_reference(skeleton: Skeleton) -> Reference:
    """The default length that PCK measures errors by: the torso, or the diagonal where a skeleton has no torso."""
    return "diagonal" if skeleton.torso is None else "torso"


def reference_length(truth: np.ndarray, skeleton: Skeleton, reference: Reference | None = None) -> np.ndarray:
    """The length [N] that PCK measures errors by, nan where it is not defined, of truth [N, K, 3].

    Args:
        reference: `torso`: between the joints of `skeleton.torso`. `head`: neck to head top (PCKh). `box`, `diagonal`: the
            longer side and the diagonal of the labelled joints' box. None: `pck_reference` of the skeleton.

    Raises:
        InputError: the skeleton lacks the torso or the head that is asked for.
    """
    points = np.where(truth[..., 2:] > 0, truth[..., :2], np.nan)
    reference = reference or pck_reference(skeleton)
    if reference in ("box", "diagonal"):
        labelled = ~np.isnan(points)
        spans = np.where(labelled, points, -np.inf).max(1) - np.where(labelled, points, np.inf).min(1)
        length = spans.max(-1) if reference == "box" else np.hypot(*spans.T)
    else:
        ends = (skeleton.torso or TORSO) if reference == "torso" else ("neck", "head_top")
        a, b = skeleton.indices(ends)
        length = np.linalg.norm(points[:, a] - points[:, b], axis=-1)
    return np.where(np.isfinite(length) & (length > 0), length, np.nan)


def pck_counts(
    pred: np.ndarray,
    truth: np.ndarray,
    skeleton: Skeleton,
    joints: tuple[str, ...] | None = None,
    *,
    threshold: float = 0.2,
    reference: Reference | None = None,
) -> np.ndarray:
    """Number of correct and of counted joints of each person: int64 [N, 2].

    Args:
        pred: [N, K, 2], truth: [N, K, 3] (x, y, v), in the same unit, joints in the skeleton's order.
        joints: that are counted; all by default. Unlabelled ones are not.
        threshold: a joint is correct if its error is at most this share of the reference length.
        reference: see `reference_length`; a person without it does not count: (0, 0).
    """
    limit = threshold * reference_length(truth, skeleton, reference)
    chosen = skeleton.indices(joints or skeleton.joints)
    error = distances(pred, truth)[:, chosen]
    counted = ~np.isnan(error) & ~np.isnan(limit)[:, None]
    correct = counted & (np.nan_to_num(error, nan=np.inf) <= np.nan_to_num(limit)[:, None])
    return np.stack([correct.sum(1), counted.sum(1)], 1)


def pck(
    pred: np.ndarray,
    truth: np.ndarray,
    skeleton: Skeleton,
    joints: tuple[str, ...] | None = None,
    *,
    threshold: float = 0.2,
    reference: Reference | None = None,
) -> float:
    """Share (0..1) of correct joints among the labelled ones, see `pck_counts`; nan without labelled joints."""
    return ratio(pck_counts(pred, truth, skeleton, joints, threshold=threshold, reference=reference))


def ratio(counts: np.ndarray) -> float:
    """Sum of the first column over that of the second: the PCK of `pck_counts`."""
    correct, counted = counts.sum(0)
    return float(correct / counted) if counted else np.nan


def distances(pred: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Error [N, K] of each joint, in the unit of the coordinates; nan where it is not labelled."""
    return np.where(truth[..., 2] > 0, np.linalg.norm(pred - truth[..., :2], axis=-1), np.nan)


def end_point_error(pred: np.ndarray, truth: np.ndarray) -> float:
    """Mean error of the labelled joints; nan without labelled joints."""
    error = distances(pred, truth)
    return float(np.nanmean(error)) if np.isfinite(error).any() else np.nan


def bootstrap(
    values: np.ndarray, statistic: Callable[[np.ndarray], float], n: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """95 % percentile interval of `statistic(values)` over `n` resamples of the rows of `values` (one row a person).

    It is nan of one row, whose resamples are all the same: an interval without width would claim certainty.
    """
    if len(values) < 2:
        return np.nan, np.nan
    return _middle95([statistic(draw) for draw in _resamples(values, n, seed)])


def percentile_intervals(
    values: np.ndarray, percents: Sequence[float], n: int = 1000, seed: int = 0
) -> list[tuple[float, float]]:
    """`bootstrap` of several percentiles of all values, over the same resamples."""
    if len(values) < 2:
        return [(np.nan, np.nan)] * len(percents)
    draws = np.array([np.percentile(draw, percents) for draw in _resamples(values, n, seed)])
    return [_middle95(column.tolist()) for column in draws.T]


def _resamples(values: np.ndarray, n: int, seed: int) -> Iterator[np.ndarray]:
    random = np.random.default_rng(seed)
    for _ in range(n):
        yield values[random.integers(0, len(values), len(values))]


def _middle95(draws: list[float]) -> tuple[float, float]:
    good = [draw for draw in draws if not np.isnan(draw)]
    if not good:
        return np.nan, np.nan
    low, high = np.percentile(good, [2.5, 97.5])
    return float(low), float(high)
