"""Annotated photos and drawn people, as crops with keypoints.

Start reading with `sample` (what a source of people is), then `coco` (annotation files: types in `coco_file`, numbers in
`geometry`, what is said of both in `repairs`), `synthetic` (drawn people) and `crops` (what a network sees of them). It
imports `pose` only.
"""

import pose.interrupts  # noqa: F401 - first: Ctrl-C while the rest is imported
