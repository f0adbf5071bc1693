"""Where artefacts are timed: this machine."""
