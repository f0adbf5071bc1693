"""Names of the files in the folder of a training run."""

from __future__ import annotations

SETTINGS = "run.json"
LOG = "log.csv"  # every loss term, and the validation figures
CHECKPOINT = "checkpoint.pt"  # everything needed to resume
RESULT = "result.json"
STUDENT = "student.safetensors"
TEACHER = "teacher.safetensors"
RUN_FILES = (SETTINGS, LOG, CHECKPOINT, RESULT, STUDENT, TEACHER)
LOCK = ".lock"
