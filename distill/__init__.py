"""Float training: a student learns from a heatmap teacher; objective and losses, teachers, training loop, recipes.

Imports `pose` and `calib_data` only.
"""
