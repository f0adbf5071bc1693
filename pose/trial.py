"""A network of somebody else's is opened and run in a process of its own, before this one does: it may crash its runtime."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

from pose.errors import BackendError

_SECONDS = 180.0  # the runtime's import included
_MEMORY, _MEMORY_PER_BYTE = 3 << 30, 8  # bytes of the process: fixed, and of the file
_SIDE = 256  # of an axis that the file leaves open


def require_harmless(path: Path) -> None:
    """Raises BackendError where opening a file, or running it on zeros, crashes its runtime, hangs or takes all memory.

    What the runtime refuses without that is for the caller to find out. A file is tried once in a process.
    """
    status = path.stat()
    _try(path.absolute(), status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=64)
def _try(path: Path, size: int, _: int) -> None:
    paths = [str(Path(__file__).parents[1]), *(part or str(Path.cwd()) for part in sys.path)]
    try:
        status = subprocess.run(  # noqa: S603 - our own module
            [sys.executable, "-P", "-m", "pose.trial", str(path), str(os.getpid()), str(_MEMORY + _MEMORY_PER_BYTE * size)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C ends it through this process
            timeout=_SECONDS,
        ).returncode
    except subprocess.TimeoutExpired as error:
        raise BackendError(f"{path} took longer than {_SECONDS:.0f} s to open and run; use another") from error
    if status == -signal.SIGKILL:
        raise BackendError(f"the process that tried {path} was killed; out of memory? close other programs")
    if status not in (0, 1):  # 1 is an exception of Python, which would be one here, too
        how = signal.Signals(-status).name if status < 0 else f"exit status {status}"
        raise BackendError(
            f"{path} crashed its runtime ({how}): it is damaged, or needs more memory than such a file may take; use another"
        )


def _run_once(path: Path) -> None:
    import numpy as np

    from pose.sessions import open_untried

    session = open_untried(path)
    first, *others = (side or 0 for side in session.input_shape)
    session.run(np.zeros((first or 1, *(side or _SIDE for side in others)), session.input_dtype), list(session.outputs))


def main() -> None:
    """Try the file that the command line names; a process that ends by itself ends well."""
    from pose.lifetime import end_with_parent

    path, parent, memory = sys.argv[1:]
    end_with_parent(int(parent))
    with contextlib.suppress(ImportError, ValueError):  # not on Windows; a lower limit is set already
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_DATA, (int(memory),) * 2)
    with contextlib.suppress(Exception):
        _run_once(Path(path))


if __name__ == "__main__":
    main()
    os._exit(0)
