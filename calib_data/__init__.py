"""Annotated photos and drawn people, as crops with keypoints.

Start reading with `sample` (what a source of people is), then `coco` (COCO files), `synthetic` (drawn people) and `crops`
(what a network sees of them). It imports `pose` only.
"""
