"""The vocabulary that every other package shares: skeletons, crops, models, decoding, metrics, cards, files, errors.

Start reading with `skeleton` (joints), `crop` (from an image to a network's input and back), `models.protocols` (what a
student and a teacher are) and `card` (the description of everything that is written). It imports no other package of ours.

`pose.load` opens a student: see `pose.loading`.
"""

import os

from pose import interrupts  # noqa: F401 - first: Ctrl-C while the rest is imported
from pose.loading import load

__all__ = ["__version__", "load"]
__version__ = "0.1.0"
MOST_PIXELS = 1 << 27  # of an image, 400 MB in memory; a small file can state far more
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(MOST_PIXELS))  # OpenCV reads it when it is first imported
