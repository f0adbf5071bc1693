"""Sources of people for tests of scoring: people in a list, and people whom a program finds, however small it is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from calib_data.sample import Labels
from calib_data.synthetic import SyntheticPeople
from edge import run
from pose.skeleton import COCO_17, Skeleton

Person = tuple[np.ndarray, Labels]  # image and labels


class ListedPeople:
    """A source of the people in a list."""

    def __init__(self, people: Sequence[Person], skeleton: Skeleton = COCO_17) -> None:
        self.people, self.skeleton = list(people), skeleton

    def __len__(self) -> int:
        return len(self.people)

    def labels(self, index: int) -> Labels:
        return self.people[index][1]

    def image(self, index: int) -> np.ndarray:
        return self.people[index][0]


def drawn_people(count: int) -> list[Person]:
    """The first drawn people."""
    drawn = SyntheticPeople(count)
    return [(drawn.image(index), drawn.labels(index)) for index in range(count)]


def answered_people(program: Path, count: int) -> ListedPeople:
    """Drawn people, labelled with what the float graph of the program in a folder answers."""
    runner, people = run.open(program / "student_fp32.pt2"), []
    for image, labels in drawn_people(count):
        points, _ = run.keypoints(runner, image, labels.box)
        keypoints = np.column_stack([points, np.full(len(points), 2.0)])
        people.append((image, Labels(labels.box, keypoints, labels.area, labels.image_id, labels.person_id)))
    return ListedPeople(people, runner.card.skeleton)
