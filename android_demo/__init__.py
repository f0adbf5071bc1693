"""The student on a phone: an app that shows the skeleton on the camera, and that runs the jobs of `edge.bench` over adb.

Start reading at `build.py` and at `MainActivity.java` in `java/main`; the versions of what is fetched are in `pom.xml`.
"""

import pose.interrupts  # noqa: F401 - first: Ctrl-C while the rest is imported
