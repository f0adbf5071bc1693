"""What an artefact is worth: typed records, the answers of runners, one score, one set of gates. Start with `records`."""
