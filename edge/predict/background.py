"""Work in a second thread, in order: drawing and encoding, while the next frame is predicted."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable

_WAITING = 4  # calls at most: frames in memory


class Background:
    """Call it with a function, which then runs in the other thread. An exception there is raised by the next call or `wait`.

    Attributes:
        seconds: that the functions took.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self._calls: queue.Queue[Callable[[], None]] = queue.Queue(maxsize=_WAITING)
        self._error: BaseException | None = None
        threading.Thread(target=self._work, daemon=True).start()

    def __call__(self, function: Callable[[], None]) -> None:
        self._raise()
        self._calls.put(function)

    def wait(self) -> None:
        """Until every function has run."""
        self._calls.join()
        self._raise()

    def _raise(self) -> None:
        error, self._error = self._error, None
        if error is not None:
            raise error

    def _work(self) -> None:
        while True:
            function = self._calls.get()
            start = time.perf_counter()
            try:
                if self._error is None:
                    function()
            except BaseException as error:
                self._error = error
            finally:
                self.seconds += time.perf_counter() - start
                self._calls.task_done()
