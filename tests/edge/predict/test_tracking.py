"""Following people: a drawn person who walks, turns, leaves and comes back; smoothing; numbers of several people."""

from __future__ import annotations

import numpy as np
import pytest
from walking_person import FPS, HEIGHT, TALL, WIDTH, WalkingPerson

import pose
from edge.predict.estimator import Estimator
from edge.predict.identities import Identities
from edge.predict.one_euro import OneEuro
from edge.predict.tracking import Tracking, tiles
from pose.poses import Poses
from pose.skeleton import COCO_17


@pytest.fixture(scope="module")
def estimator() -> Estimator:
    return pose.load("distilpose_edge", runtime="tflite")  # type: ignore[return-value]


def walk(person: WalkingPerson) -> list[tuple[np.ndarray, np.ndarray]]:
    """Right across the room, a turn, out of it, nobody for a while, and back again."""
    across = [(40 + 4 * n, 0.5 * n, 70.0) for n in range(40)]
    turn = [(200.0, 0.0, 70 - 5.0 * n) for n in range(20)]
    out = [(200 + 5.0 * n, 0.5 * n, 70.0) for n in range(36)]
    away = [(600.0, 0.0, 0.0)] * 8
    back = [(380 - 5.0 * n, 0.5 * n, -70.0) for n in range(40)]
    return [person.frame(number, *place) for number, place in enumerate(across + turn + out + away + back)]


def test_a_person_who_walks_turns_leaves_and_returns(estimator: Estimator) -> None:
    seen, lost, longest = 0, 0, 0
    for room in range(6):
        tracking, misses, numbers = Tracking(estimator, FPS), 0, set[int]()
        for image, joints in walk(WalkingPerson(room)):
            poses = tracking.find(image)
            inside = ((joints >= 0) & (joints < (WIDTH, HEIGHT))).all(1).mean()
            if inside == 0:
                assert len(poses) == 0, "nobody is there"
            if inside == 1:
                seen += 1
                apart = np.median(np.linalg.norm(poses.keypoints[0] - joints, axis=1)) if len(poses) else np.inf
                misses = misses + 1 if apart > 0.15 * TALL else 0
                lost, longest = lost + (misses > 0), max(longest, misses)
                numbers |= set(poses.tracks.tolist()) if len(poses) else set()
        assert len(numbers) == 2, "who comes back is somebody new"
    assert seen > 480
    assert lost <= 0.02 * seen
    assert longest <= 10


def test_smoothing_cuts_the_jitter_of_a_still_person_to_a_third(estimator: Estimator) -> None:
    jitter = {}
    for smooth in (True, False):
        person, tracking = WalkingPerson(3, noise=6), Tracking(estimator, FPS, smooth=smooth)
        points = [tracking.find(person.frame(number, 150)[0]).keypoints[0] for number in range(30)]
        jitter[smooth] = np.std(points[8:], axis=0).mean()
    assert jitter[False] > 3 * jitter[True] > 0


@pytest.mark.parametrize("speed", [0.1, 0.4, 1.0])
def test_smoothing_lags_less_than_two_frames(speed: float) -> None:
    """Of a point that moves by so many body sizes a second, after a second of it."""
    smooth, size = OneEuro(FPS), 100.0
    for number in range(50):
        truth = np.array([[size * speed * number / FPS, 0.0]])
        filtered = smooth(truth, size)
    assert 0 <= (truth - filtered)[0, 0] < 2 * size * speed / FPS


@pytest.mark.parametrize(
    ("width", "height"), [(640, 480), (480, 640), (1920, 1080), (100, 100), (3000, 200), (1, 1), (5000, 1), (2, 9000)]
)
def test_tiles_cover_the_frame_and_are_few(width: int, height: int) -> None:
    assert len(tiles(width, height)) <= 80
    covered = np.zeros((height, width), bool)
    for x, y, w, h in tiles(width, height):
        assert x >= 0
        assert y >= 0
        assert x + w <= width + 1e-9
        assert y + h <= height + 1e-9
        covered[int(y) : int(np.ceil(y + h)), int(x) : int(np.ceil(x + w))] = True
    assert covered.all()


def people_at(*boxes: tuple[float, float, float, float]) -> Poses:
    places = np.array(boxes, np.float64).reshape(-1, 4)
    middles = places[:, None, :2] + places[:, None, 2:] / 2
    keypoints = np.broadcast_to(middles, (len(places), 17, 2)).copy()
    return Poses(COCO_17, keypoints, np.ones((len(places), 17), np.float32), places)


def test_people_keep_their_numbers_whatever_order_they_are_found_in() -> None:
    number = Identities(FPS, smooth=False)
    left, right = (0, 0, 50, 100), (200, 0, 50, 100)
    assert number(people_at(left, right)).tracks.tolist() == [1, 2]
    assert number(people_at((205, 0, 50, 100), (5, 0, 50, 100))).tracks.tolist() == [2, 1]
    assert number(people_at()).tracks.tolist() == []
    assert number(people_at((10, 0, 50, 100))).tracks.tolist() == [1], "gone for one frame"
    assert number(people_at((500, 0, 50, 100), (12, 0, 50, 100))).tracks.tolist() == [3, 1]
    for _ in range(int(FPS) + 2):
        number(people_at())
    assert number(people_at((12, 0, 50, 100))).tracks.tolist() == [4], "gone for more than a second"


def test_all_people_together_overlap_as_much_as_can_be() -> None:
    """The first box overlaps both last ones, the second one of them only: a greedy choice would leave it without."""
    number = Identities(FPS, smooth=False)
    number(people_at((0, 0, 100, 100), (60, 0, 100, 100)))
    assert number(people_at((45, 0, 100, 100), (100, 0, 100, 100))).tracks.tolist() == [1, 2]
