"""The commands that ship and prove: export, run, check, bench."""
