"""A source of people whose labels are the answers of a program: it finds all of them, however small it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from calib_data.sample import Sample
from calib_data.synthetic import SyntheticPeople
from edge import run


class AnsweredPeople:
    """Drawn people, labelled with what the float graph of the program in a folder answers."""

    def __init__(self, program: Path, count: int) -> None:
        runner, drawn = run.open(program / "student_fp32.pt2"), SyntheticPeople(count)
        self.skeleton = runner.card.skeleton
        self.people: list[Sample] = []
        for person in map(drawn.__getitem__, range(count)):
            points, _ = run.keypoints(runner, person.image, person.box)
            keypoints = np.column_stack([points, np.full(len(points), 2.0)])
            self.people.append(Sample(person.image, person.box, keypoints, person.area, person.image_id, person.person_id))

    def __len__(self) -> int:
        return len(self.people)

    def __getitem__(self, index: int) -> Sample:
        return self.people[index]
