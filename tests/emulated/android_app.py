"""An emulated phone's app: `am` starts it, `pm` installs it, `logcat` tells why it ended. It runs natively, in a JVM.

Programs on the phone are shell scripts; they talk to `serve`, which runs beside adbd, through files in `/run/app`:
`installed`, `pid`, and what a test puts there: `refuse` (a reason of pm), `denied` (am may not start it), `kill` (Android
ends it), `processor` (the name of one that the app has no libraries for).
"""

from __future__ import annotations

import os
import subprocess
import threading
from pathlib import Path

PACKAGE = "org.distilpose.demo"
STATE = "/run/app"
JOBS = f"/sdcard/Android/data/{PACKAGE}/files/jobs"
_PM = f"""#!/bin/sh
case $1 in
path) [ -e {STATE}/installed ] && echo package:/data/app/base.apk ;;
install)
  for apk; do :; done
  [ -e {STATE}/refuse ] && echo "Failure [$(cat {STATE}/refuse)]" && exit 1
  head -c 2 "$apk" | grep -q PK || {{ echo "Failure [INSTALL_PARSE_FAILED_NOT_APK]"; exit 1; }}
  touch {STATE}/installed; echo Success ;;
esac
"""
_AM = f"""#!/bin/sh
case $1 in
force-stop) echo stop >{STATE}/requests; while [ -e {STATE}/pid ]; do sleep 0.1; done ;;
start)
  [ -e {STATE}/denied ] && echo "java.lang.SecurityException: Permission Denial: starting Intent" && exit 255
  [ -e {STATE}/installed ] || {{ echo "Error: Activity class does not exist."; exit 1; }}
  job=; while [ $# -gt 0 ]; do [ "$1" = --es ] && job=$3; shift; done
  rm -f {STATE}/started; echo "start $job" >{STATE}/requests
  until [ -e {STATE}/started ]; do sleep 0.1; done
  echo "Status: ok" ;;
esac
"""
FILES = {
    "/usr/bin/pm": _PM,
    "/usr/bin/am": _AM,
    "/usr/bin/pidof": f"#!/bin/sh\n[ -e {STATE}/pid ] && cat {STATE}/pid\n",
    "/usr/bin/logcat": f"#!/bin/sh\ncat {STATE}/logcat 2>/dev/null || true\n",
}


def serve(root: Path, java: list[str], user: int) -> None:
    """Start and end the app as the phone's programs ask, for as long as the phone runs.

    Args:
        root: of the phone's files.
        java: the command that runs the app, before the folder of its jobs and the name of one.
        user: who owns the folder.
    """
    state = root / STATE.lstrip("/")
    state.mkdir(parents=True)
    state.chmod(0o777)
    requests = state / "requests"
    os.mkfifo(requests)
    requests.chmod(0o666)
    process: subprocess.Popen[bytes] | None = None
    with os.fdopen(os.open(requests, os.O_RDWR)) as lines:  # also for writing: so it has no end while nobody writes
        for line in lines:
            if process is not None:
                process.kill()
                process.wait()
            (state / "pid").unlink(missing_ok=True)
            action, _, job = line.strip().partition(" ")
            if action == "start":
                process = start(state, root / JOBS.lstrip("/"), java, user, job)
                (state / "started").touch()


def start(state: Path, folder: Path, java: list[str], user: int, job: str) -> subprocess.Popen[bytes] | None:
    """Make the app's folder, and run a job if there is one."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in (folder, *folder.parents[:5]):
        os.chown(path, user, user)
    if not job:
        return None
    if kill := (state / "kill").exists():
        (state / "logcat").write_text(f"I lowmemorykiller: Kill '{PACKAGE}' (4711), to free memory\n")
    environment = {name: value for name, value in os.environ.items() if name != "LD_LIBRARY_PATH"}
    processor = state / "processor"
    options = [f"-Dos.arch={processor.read_text().strip()}"] if processor.exists() else []
    command = [java[0], *options, *java[1:], str(folder), job, str(kill)]
    process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL)
    (state / "pid").write_text(str(process.pid))

    def wait() -> None:
        process.wait()
        (state / "pid").unlink(missing_ok=True)

    threading.Thread(target=wait, daemon=True).start()
    return process
