"""The vocabulary that every other package shares: skeletons, crops, models, decoding, metrics, cards."""

__version__ = "0.1.0"
