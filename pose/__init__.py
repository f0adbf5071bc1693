"""The vocabulary that every other package shares: skeletons, crops, models, decoding, metrics, cards."""
