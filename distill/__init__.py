"""Float training: DistilPose's distillation losses, teachers (live, cached, foreign, labels), the loop, recipes.

Start reading at `distill.student`, the command, then `distill.task` (what a run needs) and `distill.training` (the loop).
"""

import pose.interrupts  # noqa: F401 - first: Ctrl-C while the rest is imported
