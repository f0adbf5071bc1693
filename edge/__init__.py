"""The commands that ship and prove: export, run, check, bench."""

import pose.interrupts  # noqa: F401 - first: Ctrl-C while the rest is imported
