"""Starts tritonserver again when it ended by itself, on the same ports and only if it still answers right.

tritonserver 2.51, which the pip wheel carries, dies of a request whose tensor claims a shape beyond memory (later
releases refuse it: triton-inference-server/server#8182). In a cluster the pod is restarted; here this thread does it.
"""

import threading
import time
from collections import deque
from collections.abc import Callable

from reaseq import progress
from reaseq.errors import ReaSeqError
from serving.errors import ServingError
from serving.triton_server import TritonServer


class Watchdog(threading.Thread):
    """Watches one server until it is stopped.

    Args:
        triton: a running server.
        verify: called after each restart; raises if the server must not be used.
        limit: restarts within `window` seconds; one more is not tried.
        window: seconds.
        interval: seconds between two looks.
    """

    def __init__(
        self,
        triton: TritonServer,
        verify: Callable[[], object],
        limit: int = 5,
        window: float = 60.0,
        interval: float = 0.2,
    ):
        super().__init__(name="triton-watchdog", daemon=True)
        self.triton = triton
        self.failure: ReaSeqError | None = None
        """Why it gave up; None while the server is watched."""
        self.restarts = 0
        self._verify = verify
        self._limit = limit
        self._window = window
        self._interval = interval
        self._over = threading.Event()

    def run(self) -> None:
        # tritonserver is tied to the thread that starts it, so this thread stays until it is told to go.
        recent: deque[float] = deque()
        while not self._over.wait(self._interval):
            if self.triton.alive or self.failure:
                continue
            recent.append(time.monotonic())
            while recent[0] < recent[-1] - self._window:
                recent.popleft()
            if len(recent) > self._limit:
                self.failure = ServingError(
                    f"tritonserver ended {len(recent)} times within {self._window:g} s; it is not started again. "
                    f"Its last log is {self.triton.log}."
                )
                continue
            self._restart()

    def _restart(self) -> None:
        kept = self.triton.log.with_suffix(".ended.log")
        self.triton.log.replace(kept)
        progress.note(f"tritonserver ended by itself (its log: {kept}); starting it again")
        try:
            self.triton.start()
            self._verify()
            self.restarts += 1
        except ReaSeqError as error:
            self.failure = error
            self.triton.stop()

    def stop(self) -> None:
        self._over.set()
        if self.is_alive():
            self.join()
