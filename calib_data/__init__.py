"""Annotated photos and drawn people, as crops with keypoints."""
